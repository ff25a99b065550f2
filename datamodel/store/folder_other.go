//go:build !unix

package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// handle is an open folder. These systems have no owners and no locks that ergon could ask for. os.Root follows links, but
// never to a place outside the folder.
type handle struct{ root *os.Root }

func openHandle(path string) (handle, error) {
	root, err := os.OpenRoot(path)
	return handle{root}, err
}

func (h handle) open(name string) (handle, error) {
	if err := h.direct(name); err != nil {
		return handle{}, err
	}
	root, err := h.root.OpenRoot(name)
	return handle{root}, err
}

// direct returns an error unless the name is plain and there is no link of that name.
func (h handle) direct(name string) error {
	if err := plain(name); err != nil {
		return err
	}
	info, err := h.root.Lstat(name)
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		err = errLink
	}
	return err
}

func (h handle) mkdir(name string, mode fs.FileMode) error {
	if err := plain(name); err != nil {
		return err
	}
	return h.root.Mkdir(name, mode)
}

func (h handle) create(name, _ string, mode fs.FileMode) (*os.File, error) {
	if err := plain(name); err != nil {
		return nil, err
	}
	return h.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
}

func (h handle) read(name, _ string) (*os.File, error) {
	if err := h.direct(name); err != nil {
		return nil, err
	}
	return h.root.Open(name)
}

func (h handle) rename(name, to string) error {
	for _, n := range []string{name, to} {
		if err := plain(n); err != nil {
			return err
		}
	}
	return h.root.Rename(name, to)
}

// move goes by paths: os.Root renames only within one folder.
func (h handle) move(name string, to handle, as string) error {
	if err := errors.Join(h.direct(name), plain(as)); err != nil {
		return err
	}
	return os.Rename(filepath.Join(h.root.Name(), name), filepath.Join(to.root.Name(), as))
}

// lockFile returns an error: these systems have no locks that end with their process.
func (h handle) lockFile(string, string) (*os.File, error) { return nil, ErrNoLocks }

func (h handle) remove(name string) error {
	if err := plain(name); err != nil {
		return err
	}
	return h.root.Remove(name)
}

func (h handle) list() ([]string, error) {
	dir, err := h.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }() // it was only read
	return dir.Readdirnames(-1)
}

func (h handle) lock() (held bool, err error) { return false, nil }

// taken returns true: these systems do not tell.
func (h handle) taken() bool { return true }

// sync does nothing: on Windows a folder cannot be opened for writing, and NTFS journals its names.
func (h handle) sync() error { return nil }

func (h handle) close() error { return h.root.Close() }

func (h handle) holds(name string, sub handle) bool {
	there, err := h.root.Lstat(name)
	if err != nil {
		return false
	}
	open, err := sub.root.Stat(".")
	return err == nil && os.SameFile(there, open)
}

// mode returns the permissions of the folder. These systems have no owners.
func (h handle) mode() (fs.FileMode, Owner, error) {
	info, err := h.root.Stat(".")
	if err != nil {
		return 0, Owner{}, err
	}
	return info.Mode(), Owner{-1, -1}, nil
}

// ownerOf returns false: these systems have no owners.
func (h handle) ownerOf(string) (Owner, bool) { return Owner{}, false }

// ownFile returns true: these systems do not tell.
func ownFile(*os.File) bool { return true }

// own returns true: these systems do not tell.
func (h handle) own() bool { return true }

// settle does nothing: what a folder lets others do is not in its mode on these systems.
func (h handle) settle(rights, bool) error { return nil }

// trusts returns true: these systems do not tell.
func (h handle) trusts(string) bool { return true }

// Owner returns -1 and true: these systems do not tell.
func (f *Folder) Owner() (uid int, own bool) { return -1, true }
