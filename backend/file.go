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
	// firstBuffer is large enough for every file of one number and most lists. file.read doubles it as needed.
	firstBuffer = 4096
	// largestFile bounds the buffer. /proc/stat of a machine with thousands of interrupts has about 100 KB.
	largestFile = 4 << 20
	// surelyWhole is the size below which one pread surely returned the whole file. Lists such as /proc/net/dev come
	// from the kernel's seq_file. It stops early only if the next record does not fit into a page
	// (fs/seq_file.c, seq_read_iter). No record read here is longer than 1 KB, and the smallest page has 4 KB. A longer
	// result needs a second pread that returns 0.
	surelyWhole = 3 << 10
	// mostLinks is the most symbolic links in one path, as in the kernel (path_resolution(7)).
	mostLinks = 40
)

var (
	errNotRegular = errors.New("not a regular file")
	errTooLong    = errors.New("longer than 4 MiB")
	errNoNumber   = errors.New("not a whole number")
	errLinks      = errors.New("too many symbolic links")
)

// file is a pseudo-file that is read repeatedly. It is opened once. Each reading reads it whole, by pread from offset 0,
// into a buffer that is kept. Reading does not allocate once the buffer is large enough. Calls must not overlap.
type file struct {
	handle handle
	opened bool // and not closed yet
	path   string
	buf    []byte
	// quick says that the kernel makes the text from what it has in memory, so that a reading never waits.
	quick bool
	// failed is the last error, kept for reuse: a sensor may fail at every beat of a long run.
	failed *fs.PathError
}

// open opens a file of procfs or sysfs, or a copy of one. It accepts only regular files, which all files of procfs and
// sysfs appear to be: a FIFO or a terminal would block the reader for ever. The error wraps fs.ErrNotExist or
// fs.ErrPermission if it is one of them.
func open(path string) (*file, error) {
	h, regular, err := openHandle(path)
	if err == nil && !regular {
		_ = h.close() // nothing was written
		err = errNotRegular
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &file{handle: h, opened: true, path: path, buf: make([]byte, firstBuffer)}, nil
}

// read returns the current content of the file, valid until the next read. If the device or process is gone, it returns
// the error of pread: ENODEV or ESRCH. An empty file gives no bytes and no error.
func (f *file) read() ([]byte, error) {
	if !f.opened {
		return nil, f.wrap(os.ErrClosed)
	}
	n := 0
	for {
		if n == len(f.buf) {
			if n >= largestFile {
				return nil, f.wrap(errTooLong)
			}
			// Doubling leaves room, so a list that grows a little needs no new buffer.
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

// number reads a file that contains one whole number, and otherwise only white space.
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

// close closes the file. A second call does nothing.
func (f *file) close() error {
	if f == nil || !f.opened {
		return nil
	}
	f.opened = false
	return f.handle.close()
}

// wrap adds the path to an error.
func (f *file) wrap(err error) error {
	if f.failed == nil || !errors.Is(err, f.failed.Err) {
		f.failed = &fs.PathError{Op: "read", Path: f.path, Err: err}
	}
	return f.failed
}

// readString reads a small file once, such as a name or a limit, and trims white space.
func readString(path string) (string, error) {
	f, err := open(path)
	if err != nil {
		return "", err
	}
	b, err := f.read()
	s := string(bytes.TrimSpace(b))
	return s, errors.Join(err, f.close())
}

// number parses the decimal number at the start of b, after blanks, and returns the rest. It is not ok if there is no
// digit, if something other than white space follows the digits, or if the number exceeds uint64.
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

// word returns the next run of non-blank bytes, and the rest. At the end of the line the word is empty.
func word(b []byte) (w, rest []byte) {
	i := blanks(b)
	end := i
	for end < len(b) && b[end] != ' ' && b[end] != '\t' && b[end] != '\n' {
		end++
	}
	return b[i:end], b[end:]
}

// blanks counts the spaces and tabs at the start of b.
func blanks(b []byte) int {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// line splits the first line, without its newline, from b.
func line(b []byte) (first, rest []byte) {
	if before, after, ok := bytes.Cut(b, []byte{'\n'}); ok {
		return before, after
	}
	return b, nil
}

// resolve returns the real path of a file below root. Root is a tree of procfs or sysfs that may be mounted or copied
// anywhere, and links never lead out of it: sysfs is made of links (class/powercap/intel-rapl:0 is
// ../../devices/virtual/powercap/…), and a link out of a redirected tree would lead to another machine. An absolute link
// counts from the root, without its leading /sys or /proc. ".." stops at the root. The error wraps fs.ErrNotExist if
// there is no such file.
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

// below converts the target of an absolute link into a path relative to root.
func below(root, target string) string {
	for _, mount := range []string{root, "/sys", "/proc"} {
		if rest, ok := strings.CutPrefix(filepath.ToSlash(target), filepath.ToSlash(mount)+"/"); ok {
			return rest
		}
	}
	return target
}

// reach returns a path that opens a file below root. It spares the kernel's own trees the walk of resolve, which is a
// system call for each folder: their links do not lead to another machine.
func reach(root, path string) (string, error) {
	if root == "/proc" || root == "/sys" {
		return root + "/" + path, nil
	}
	return resolve(root, path)
}

// openBelow opens the file that reach finds.
func openBelow(root, path string) (*file, error) {
	actual, err := reach(root, path)
	if err != nil {
		return nil, err
	}
	return open(actual)
}
