package inventory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// folder is an open folder. Names that are given to its methods end with 0.
//
// The calls per file are made here and not by package unix, which copies each name. With a million files that is a third of
// the time.
type folder struct{ fd int }

// keptOpen is the number of folders, from the area down, that stay open while the walk is below them. A deeper folder is
// opened again by its "..", so the depth of a tree needs no descriptors.
const keptOpen = 128

// openRoot opens the folder of an area. Only a path with a slash at its end leads root through a link: in a folder of another
// user the link may be theirs.
func openRoot(path string) (folder, error) {
	flags := unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NONBLOCK | unix.O_CLOEXEC
	if os.Geteuid() == 0 && !strings.HasSuffix(path, "/") {
		flags |= unix.O_NOFOLLOW
	}
	for {
		fd, err := unix.Open(path, flags, 0)
		switch {
		case err == nil:
			return folder{fd}, nil
		case errors.Is(err, unix.EINTR):
			continue
		case isLink(path) && flags&unix.O_NOFOLLOW != 0:
			return folder{}, &os.PathError{Op: "open", Path: path, Err: errLink}
		}
		return folder{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

// identify returns the identity of the folder at a path.
func identify(path string) (identity, error) {
	f, err := openRoot(path)
	if err != nil {
		return identity{}, err
	}
	defer f.close()
	return f.identity()
}

// loneFile returns the status of a regular file that an area names instead of a folder.
func loneFile(path string) (s status, name []byte, ok bool) {
	at, err := unix.BytePtrFromString(path)
	if err != nil {
		return s, nil, false
	}
	if errno := statx(unix.AT_FDCWD, at, unix.AT_SYMLINK_NOFOLLOW, &s); errno != 0 {
		return s, nil, false
	}
	return s, []byte(filepath.Base(path)), s.kind == regular
}

func (f folder) close() { _ = unix.Close(f.fd) } // it was only read

// open opens a folder in this one. It follows no link.
func (f folder) open(name []byte) (folder, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(f.fd), uintptr(unsafe.Pointer(&name[0])), flags, 0, 0, 0)
		switch errno {
		case 0:
			return folder{int(fd)}, nil
		case unix.EINTR:
		default:
			return folder{}, errno
		}
	}
}

// identity tells the folder from others. A folder lives as long as it is open, so when it was made does not matter.
func (f folder) identity() (identity, error) {
	var s status
	empty := [1]byte{}
	if errno := statx(f.fd, &empty[0], unix.AT_EMPTY_PATH, &s); errno != 0 {
		return identity{}, errno
	}
	return identity{device: s.id.device, inode: s.id.inode}, nil
}

// list calls each for the entries of the folder until it returns false.
func (f folder) list(buffer []byte, each func(name []byte, k kind) bool) error {
	const nameAt = 19 // of struct linux_dirent64: d_ino, d_off, d_reclen, d_type, d_name
	for {
		n, _, errno := unix.Syscall(unix.SYS_GETDENTS64, uintptr(f.fd), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return errno
		}
		if n == 0 {
			return nil
		}
		for rest := buffer[:n]; len(rest) > nameAt; {
			length := int(binary.NativeEndian.Uint16(rest[16:]))
			if length <= nameAt || length > len(rest) {
				return unix.EIO // no kernel writes this
			}
			name := rest[nameAt:length]
			name = name[:bytes.IndexByte(name, 0)+1]
			k := kindOf(rest[18])
			rest = rest[length:]
			if len(name) < 2 || string(name) == ".\x00" || string(name) == "..\x00" {
				continue
			}
			if !each(name, k) {
				return nil
			}
		}
	}
}

// kindOf returns the kind of an entry by its d_type. A file system that does not know it says DT_UNKNOWN.
func kindOf(d byte) kind {
	switch d {
	case unix.DT_REG:
		return regular
	case unix.DT_DIR:
		return directory
	case unix.DT_LNK:
		return link
	case unix.DT_UNKNOWN:
		return unknown
	}
	return special
}

// status asks what stands behind a name, without following a link.
func (f folder) status(name []byte, s *status) error {
	if errno := statx(f.fd, &name[0], unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, s); errno != 0 {
		return errno
	}
	return nil
}

// dangles reports whether a link leads nowhere.
func (f folder) dangles(name []byte) bool {
	var s status
	errno := statx(f.fd, &name[0], unix.AT_NO_AUTOMOUNT, &s)
	return errno == unix.ENOENT || errno == unix.ELOOP || errno == unix.ENOTDIR
}

// ofRoot reports whether a link belongs to root.
func (f folder) ofRoot(name []byte) bool {
	var s unix.Stat_t
	err := unix.Fstatat(f.fd, string(name[:len(name)-1]), &s, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && s.Uid == 0
}

// statx is statx(2). A kernel before 4.11 and some sandboxes lack it.
func statx(at int, name *byte, flags int, s *status) unix.Errno {
	const wanted = unix.STATX_TYPE | unix.STATX_NLINK | unix.STATX_INO | unix.STATX_SIZE | unix.STATX_BTIME
	var x unix.Statx_t
	_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(at), uintptr(unsafe.Pointer(name)), uintptr(flags), wanted, uintptr(unsafe.Pointer(&x)), 0)
	if errno == unix.ENOSYS || errno == unix.EPERM {
		return fstatat(at, name, flags, s)
	}
	if errno == 0 {
		*s = status{
			kind: kindOfMode(uint32(x.Mode)), size: int64(x.Size), names: uint64(x.Nlink),
			id: identity{unix.Mkdev(x.Dev_major, x.Dev_minor), x.Ino, x.Btime.Sec*1e9 + int64(x.Btime.Nsec)},
		}
	}
	return errno
}

// fstatat does the same by fstatat(2).
func fstatat(at int, name *byte, flags int, s *status) unix.Errno {
	var st unix.Stat_t
	path := unix.BytePtrToString(name)
	err := unix.Fstatat(at, path, &st, flags&unix.AT_SYMLINK_NOFOLLOW)
	if path == "" {
		err = unix.Fstat(at, &st)
	}
	if errno, failed := errors.AsType[unix.Errno](err); failed {
		return errno
	}
	*s = status{kind: kindOfMode(st.Mode), size: st.Size, names: uint64(st.Nlink), id: identity{device: st.Dev, inode: st.Ino}}
	return 0
}

func kindOfMode(mode uint32) kind {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return regular
	case unix.S_IFDIR:
		return directory
	case unix.S_IFLNK:
		return link
	}
	return special
}
