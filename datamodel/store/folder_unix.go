//go:build unix

package store

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// handle is an open folder. Every call names one entry, relative to it (openat(2)), and follows no link.
type handle struct{ file *os.File }

// openHandle opens a folder by a path that may lead through links.
func openHandle(path string) (handle, error) {
	return directory(unix.AT_FDCWD, path, path, 0)
}

// directory opens a folder. name is its name in errors.
func directory(at int, path, name string, flags int) (handle, error) {
	fd, err := openat(at, path, unix.O_RDONLY|unix.O_DIRECTORY|flags, 0)
	if err != nil {
		return handle{}, err
	}
	return handle{os.NewFile(uintptr(fd), name)}, nil
}

// openat is openat(2). A signal may interrupt it on some file systems.
func openat(at int, name string, flags int, mode fs.FileMode) (fd int, err error) {
	err = again(func() error {
		fd, err = unix.Openat(at, name, flags|unix.O_CLOEXEC, uint32(mode))
		return err
	})
	return fd, err
}

// again repeats a call that a signal has interrupted.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (h handle) fd() int { return int(h.file.Fd()) }

// Descriptor returns the descriptor of the folder, to hand it to another process.
func (f *Folder) Descriptor() int { return f.fd() }

// Inherit takes over the descriptor of a run's folder that another process has opened. path is its name in messages.
func Inherit(descriptor int, path string) *Folder {
	return &Folder{handle: handle{os.NewFile(uintptr(descriptor), path)}, path: path, ofRun: true}
}

func (h handle) open(name string) (handle, error) {
	if err := plain(name); err != nil {
		return handle{}, err
	}
	sub, err := directory(h.fd(), name, name, unix.O_NOFOLLOW)
	return sub, noLink(err)
}

func (h handle) mkdir(name string, mode fs.FileMode) error {
	if err := plain(name); err != nil {
		return err
	}
	return again(func() error { return unix.Mkdirat(h.fd(), name, uint32(mode)) })
}

func (h handle) create(name, path string, mode fs.FileMode) (*os.File, error) {
	if err := plain(name); err != nil {
		return nil, err
	}
	fd, err := openat(h.fd(), name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, mode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// read opens a file. Without O_NONBLOCK a FIFO would block here.
func (h handle) read(name, path string) (*os.File, error) {
	if err := plain(name); err != nil {
		return nil, err
	}
	fd, err := openat(h.fd(), name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, noLink(err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (h handle) rename(name, to string) error {
	if err := errors.Join(plain(name), plain(to)); err != nil {
		return err
	}
	return again(func() error { return unix.Renameat(h.fd(), name, h.fd(), to) })
}

func (h handle) move(name string, to handle, as string) error {
	if err := errors.Join(plain(name), plain(as)); err != nil {
		return err
	}
	return again(func() error { return unix.Renameat(h.fd(), name, to.fd(), as) })
}

// lockFile locks a file of the folder, and makes it if it is missing. The lock lasts until the file is closed.
func (h handle) lockFile(name, path string) (*os.File, error) {
	if err := plain(name); err != nil {
		return nil, err
	}
	// Some network file systems lock only files that are open for writing. Another user may have made the file.
	fd, err := openat(h.fd(), name, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW, 0o666)
	if errors.Is(err, unix.EACCES) {
		fd, err = openat(h.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW, 0)
	}
	if err != nil {
		return nil, noLink(err)
	}
	err = again(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if err == nil {
		return os.NewFile(uintptr(fd), path), nil
	}
	_ = unix.Close(fd) // nothing was written
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, ErrLocked
	}
	return nil, errors.Join(ErrNoLocks, err)
}

func (h handle) remove(name string) error {
	if err := plain(name); err != nil {
		return err
	}
	err := again(func() error { return unix.Unlinkat(h.fd(), name, 0) })
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) { // EPERM by POSIX, and for what may not be removed
		if again(func() error { return unix.Unlinkat(h.fd(), name, unix.AT_REMOVEDIR) }) == nil {
			return nil
		}
	}
	return err
}

// list reads the folder through a descriptor of its own, since reading moves the position.
func (h handle) list() ([]string, error) {
	own, err := directory(h.fd(), ".", h.file.Name(), 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = own.file.Close() }() // it was only read
	return own.file.Readdirnames(-1)
}

func (h handle) lock() (held bool, err error) {
	err = again(func() error { return unix.Flock(h.fd(), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, ErrLocked
	}
	return err == nil, nil
}

// taken reports whether another process holds the lock, or nobody knows.
func (h handle) taken() bool {
	if again(func() error { return unix.Flock(h.fd(), unix.LOCK_SH|unix.LOCK_NB) }) != nil {
		return true
	}
	_ = again(func() error { return unix.Flock(h.fd(), unix.LOCK_UN) }) // closing the folder would do it, too
	return false
}

func (h handle) sync() error { return h.file.Sync() }

func (h handle) close() error { return h.file.Close() }

// holds reports whether a name in the folder is that of an open folder.
func (h handle) holds(name string, sub handle) bool {
	var there, open unix.Stat_t
	return unix.Fstatat(h.fd(), name, &there, unix.AT_SYMLINK_NOFOLLOW) == nil && unix.Fstat(sub.fd(), &open) == nil &&
		there.Dev == open.Dev && there.Ino == open.Ino
}

// trusts reports whether only the user of this process and root can have made what is there under a name, and can replace it.
func (h handle) trusts(name string) bool {
	mode, owner, err := h.mode()
	if err != nil || mode&0o022 != 0 && mode&fs.ModeSticky == 0 {
		return false
	}
	var there unix.Stat_t
	if unix.Fstatat(h.fd(), name, &there, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return false
	}
	ours := func(uid int) bool { return uid == 0 || uid == unix.Geteuid() }
	return ours(owner.UID) && ours(int(there.Uid))
}

// mode returns the permissions of the folder and its owner.
func (h handle) mode() (fs.FileMode, Owner, error) {
	info, err := h.file.Stat()
	if err != nil {
		return 0, Owner{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, Owner{}, errors.ErrUnsupported
	}
	return info.Mode(), Owner{int(st.Uid), int(st.Gid)}, nil
}

// ownerOf returns the owner of a regular file in the folder; false if there is none of that name.
func (h handle) ownerOf(name string) (Owner, bool) {
	var s unix.Stat_t
	if unix.Fstatat(h.fd(), name, &s, unix.AT_SYMLINK_NOFOLLOW) != nil || s.Mode&unix.S_IFMT != unix.S_IFREG {
		return Owner{}, false
	}
	return Owner{int(s.Uid), int(s.Gid)}, true
}

// ownFile reports whether a file belongs to the user of this process.
func ownFile(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// own reports whether the folder belongs to the user of this process.
func (h handle) own() bool {
	_, owner, err := h.mode()
	return err == nil && owner.UID == os.Geteuid()
}

// settle gives a new folder what its creation could not.
func (h handle) settle(r rights, keepsGroup bool) error { return r.apply(h.file, keepsGroup) }

// Owner returns the user id of the folder's owner, and whether that is the user of this process.
func (f *Folder) Owner() (uid int, own bool) {
	var s unix.Stat_t
	if unix.Fstat(f.fd(), &s) != nil {
		return -1, false
	}
	return int(s.Uid), int(s.Uid) == unix.Geteuid()
}

// noLink says in words what the kernel's error means for a link: ELOOP, ENOTDIR if a folder is wanted, EMLINK on FreeBSD.
func noLink(err error) error {
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EMLINK) || errors.Is(err, unix.ENXIO) {
		return errLink
	}
	return err
}
