package procfs

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// initial is the link /proc/self/ns/pid of the first PID namespace (PROC_PID_INIT_INO in include/linux/proc_ns.h).
const initial = "pid:[4026531836]"

// Dir is an open /proc, as a descriptor for openat(2). A nil Dir is closed.
type Dir struct{ fd int }

// Open opens /proc. The error wraps ErrForeign, ErrNotProc or the error of open(2), such as fs.ErrNotExist.
func Open() (*Dir, error) { return OpenAt("/proc") }

// OpenAt opens a procfs that is mounted elsewhere; see Open.
func OpenAt(path string) (*Dir, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	d := &Dir{fd}
	if err := d.check(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Check reports what Open reports.
func Check() error {
	d, err := Open()
	if err == nil {
		d.Close()
	}
	return err
}

// check compares the number of this process there with its own number. The numbers may agree by chance if this process
// has several, so in a namespace below the first one it also counts them.
func (d *Dir) check() error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &fs); err != nil || int64(fs.Type) != unix.PROC_SUPER_MAGIC {
		return ErrNotProc
	}
	var b [64]byte
	n, err := unix.Readlinkat(d.fd, "self", b[:])
	if err != nil { // a procfs of a namespace in which this process has no number
		return ErrForeign
	}
	if string(b[:n]) != strconv.Itoa(os.Getpid()) {
		return ErrForeign
	}
	if n, err = unix.Readlinkat(d.fd, "self/ns/pid", b[:]); err == nil && string(b[:n]) == initial {
		return nil
	}
	status, err := d.ReadFile("self/status")
	if err != nil {
		return err
	}
	if numbers(status) > 1 {
		return ErrForeign
	}
	return nil
}

// numbers counts the numbers that a process has in the namespace of a procfs and in those below it, by its status file. It
// returns 1 if the kernel does not tell (before Linux 4.1):
//
//	NSpid:	4711	2
func numbers(status []byte) int {
	_, rest, found := bytes.Cut(status, []byte("\nNSpid:"))
	if !found {
		return 1
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return len(bytes.Fields(line))
}

// FD returns the descriptor. It is negative if the Dir is closed.
func (d *Dir) FD() int {
	if d == nil {
		return -1
	}
	return d.fd
}

// Open opens a file below for reading.
func (d *Dir) Open(name string) (fd int, err error) {
	if d.FD() < 0 {
		return -1, &os.PathError{Op: "open", Path: "/proc/" + name, Err: os.ErrClosed}
	}
	fd, err = unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: "/proc/" + name, Err: err}
	}
	return fd, nil
}

// ReadFile reads a file below.
func (d *Dir) ReadFile(name string) ([]byte, error) {
	fd, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }() // only read from
	text := make([]byte, 0, 512)
	for {
		n, err := unix.Read(fd, text[len(text):cap(text)])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return nil, &os.PathError{Op: "read", Path: "/proc/" + name, Err: err}
		case n == 0:
			return text, nil
		default:
			text = text[:len(text)+n]
			text = slices.Grow(text, 1)
		}
	}
}

// Close closes the handle. A second call does nothing.
func (d *Dir) Close() {
	if d.FD() < 0 {
		return
	}
	_ = unix.Close(d.fd) // nothing was written
	d.fd = -1
}
