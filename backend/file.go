package backend

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
)

const (
	// firstBuffer holds every file of one number and most lists; file.read doubles it as needed.
	firstBuffer = 4096
	// largestFile bounds what is kept of a file. /proc/stat of a machine with thousands of interrupts is some 100 KB.
	largestFile = 4 << 20
	// surelyWhole is how much one pread may return and still be known to be everything. The kernel's seq_file, from
	// which lists such as /proc/net/dev come, fills a page and stops short only where the next record no longer fits;
	// no record of a file read here is longer than 1 KB, so that less than 3 KB of the smallest page is the whole
	// list (fs/seq_file.c, seq_read_iter). All else needs a second pread that returns 0.
	surelyWhole = 3 << 10
	// mostLinks is how many symbolic links one path may lead through, the kernel's own limit (path_resolution(7)).
	mostLinks = 40
)

var (
	errNotRegular = errors.New("not a regular file")
	errTooLong    = errors.New("longer than 4 MiB")
	errNoNumber   = errors.New("not a whole number")
	errLinks      = errors.New("too many symbolic links")
)

// file is one pseudo-file that is read again and again: opened once, read whole by pread at 0 into a buffer that is
// kept. Once the buffer has the file's size reading does not allocate. Its methods do not overlap.
type file struct {
	f    *os.File
	fd   int
	path string
	buf  []byte
	// quick says that the kernel makes the text from what it has in memory, so that a reading never waits.
	quick bool
	// failed is the last error of reading, kept to be returned again: a sensor may fail at every beat of a long run.
	failed *fs.PathError
}

// open opens a file of procfs or sysfs, or a copy of one. Only what presents itself as a regular file is accepted, as
// all of procfs and sysfs does: a FIFO or a terminal in its place would block the reader for ever. The error wraps
// fs.ErrNotExist or fs.ErrPermission where it is one of these.
func open(path string) (*file, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errNotRegular}
	}
	if err != nil {
		_ = f.Close() // nothing was written, and the first error is the one that tells.
		return nil, err
	}
	return &file{f: f, fd: int(f.Fd()), path: path, buf: make([]byte, firstBuffer)}, nil
}

// read returns the whole file as it is now. The bytes are valid until the next read. A file that is gone (an unplugged
// device, an ended process) gives the error of pread, ENODEV or ESRCH; an empty file gives no bytes and no error.
func (f *file) read() ([]byte, error) {
	if f.f == nil {
		return nil, f.wrap(os.ErrClosed)
	}
	n := 0
	for {
		if n == len(f.buf) {
			if n >= largestFile {
				return nil, f.wrap(errTooLong)
			}
			// The buffer is at once made so large that a list that grows a little does not make it grow again.
			grown := make([]byte, 2*len(f.buf))
			copy(grown, f.buf)
			f.buf = grown
		}
		m, err := pread(f, f.buf[n:], int64(n))
		if err != nil {
			return nil, f.wrap(err)
		}
		n += m
		if m == 0 || n < surelyWhole {
			return f.buf[:n], nil
		}
	}
}

// number reads a file that holds one whole number and nothing else but white space.
func (f *file) number() (uint64, error) {
	b, err := f.read()
	if err != nil {
		return 0, err
	}
	n, rest, ok := number(b)
	if !ok || len(bytes.TrimSpace(rest)) != 0 {
		return 0, f.wrap(errNoNumber)
	}
	return n, nil
}

// close releases the file. A second call does nothing.
func (f *file) close() error {
	if f == nil || f.f == nil {
		return nil
	}
	err := f.f.Close()
	f.f = nil
	return err
}

// wrap says which file an error is about.
func (f *file) wrap(err error) error {
	if f.failed == nil || !errors.Is(err, f.failed.Err) {
		f.failed = &fs.PathError{Op: "read", Path: f.path, Err: err}
	}
	return f.failed
}

// readString reads a small file once: a name, a limit. White space around it is cut.
func readString(path string) (string, error) {
	f, err := open(path)
	if err != nil {
		return "", err
	}
	b, err := f.read()
	s := string(bytes.TrimSpace(b))
	return s, errors.Join(err, f.close())
}

// number parses the decimal number that b begins with, after blanks, and returns what follows it. It is not ok where
// there is no digit, where the digits run into something other than white space, and above the largest uint64.
func number(b []byte) (n uint64, rest []byte, ok bool) {
	i := blanks(b)
	start := i
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		d := uint64(b[i] - '0')
		if i-start > 18 && n > (math.MaxUint64-d)/10 { // 19 digits always fit.
			return 0, b, false
		}
		n = n*10 + d
	}
	if i == start || i < len(b) && b[i] != ' ' && b[i] != '\t' && b[i] != '\n' {
		return 0, b, false
	}
	return n, b[i:], true
}

// word returns the next run of bytes that are not blank, and what follows it; empty at the end of the line.
func word(b []byte) (w, rest []byte) {
	i := blanks(b)
	end := i
	for end < len(b) && b[end] != ' ' && b[end] != '\t' && b[end] != '\n' {
		end++
	}
	return b[i:end], b[end:]
}

// blanks counts the spaces and tabs b begins with.
func blanks(b []byte) int {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// line cuts the first line off b, without its end.
func line(b []byte) (first, rest []byte) {
	if before, after, ok := bytes.Cut(b, []byte{'\n'}); ok {
		return before, after
	}
	return b, nil
}

// resolve returns the real path of a file below root, a tree of procfs or sysfs that may be mounted or copied anywhere,
// with every symbolic link on the way followed inside that tree: an absolute link counts from the root, less the /sys
// or /proc that sysfs and procfs are mounted at by custom, and ".." does not lead out. sysfs is made of links
// (class/powercap/intel-rapl:0 is ../../devices/virtual/powercap/…), and one that led out of a redirected tree would
// read another machine. The error wraps fs.ErrNotExist where there is no such file.
func resolve(root, path string) (string, error) {
	root = filepath.Clean(root)
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("%s: %w", filepath.Join(root, path), err)
	}
	todo := strings.Split(filepath.ToSlash(path), "/")
	var done []string
	for links := 0; len(todo) > 0; {
		step := todo[0]
		todo = todo[1:]
		switch step {
		case "", ".":
			continue
		case "..":
			done = done[:max(0, len(done)-1)]
			continue
		}
		here := filepath.Join(root, filepath.Join(done...), step)
		info, err := os.Lstat(here)
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = append(done, step)
			continue
		}
		if links++; links > mostLinks {
			return fail(errLinks)
		}
		target, err := os.Readlink(here)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			done = nil
			target = below(root, target)
		}
		todo = append(strings.Split(filepath.ToSlash(target), "/"), todo...)
	}
	return filepath.Join(root, filepath.Join(done...)), nil
}

// below turns the target of an absolute link into a path relative to root.
func below(root, target string) string {
	for _, mount := range []string{root, "/sys", "/proc"} {
		if rest, ok := strings.CutPrefix(filepath.ToSlash(target), filepath.ToSlash(mount)+"/"); ok {
			return rest
		}
	}
	return target
}

// openBelow is open of what resolve finds.
func openBelow(root, path string) (*file, error) {
	actual, err := resolve(root, path)
	if err != nil {
		return nil, err
	}
	return open(actual)
}
