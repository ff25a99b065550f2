//go:build !linux

package inventory

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// folder is an open folder. Names that are given to its methods end with 0. An os.Root follows no link out of it.
type folder struct{ root *os.Root }

// keptOpen is the number of folders that stay open while the walk is below them: all, as an os.Root has no "..".
const keptOpen = 1 << 30

// openRoot opens the folder of an area. Only a path with a slash at its end leads root through a link: in a folder of another
// user the link may be theirs.
func openRoot(path string) (folder, error) {
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 && os.Geteuid() == 0 && !strings.HasSuffix(path, "/") {
		return folder{}, &os.PathError{Op: "open", Path: path, Err: errLink}
	}
	root, err := os.OpenRoot(path)
	return folder{root}, err
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
	info, err := os.Lstat(path)
	if err != nil {
		return s, nil, false
	}
	s = statusOf(info)
	return s, []byte(filepath.Base(path)), s.kind == regular
}

func (f folder) close() { _ = f.root.Close() } // it was only read

// open opens a folder in this one. It follows no link.
func (f folder) open(name []byte) (folder, error) {
	path := string(name[:len(name)-1])
	info, err := f.root.Lstat(path)
	if err != nil {
		return folder{}, err
	}
	if !info.IsDir() {
		return folder{}, fs.ErrNotExist // it was one a moment ago
	}
	root, err := f.root.OpenRoot(path)
	return folder{root}, err
}

// identity tells the folder from others.
func (f folder) identity() (identity, error) {
	info, err := f.root.Stat(".")
	if err != nil {
		return identity{}, err
	}
	return statusOf(info).id, nil
}

// list calls each for the entries of the folder until it returns false.
func (f folder) list(_ []byte, each func(name []byte, k kind) bool) error {
	d, err := f.root.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	const some = 1000
	for {
		names, err := d.Readdirnames(some)
		for _, name := range names {
			if !each(append([]byte(name), 0), unknown) {
				return nil
			}
		}
		if err != nil || len(names) == 0 {
			if errors.Is(err, os.ErrClosed) {
				return err
			}
			return nil
		}
	}
}

// status asks what stands behind a name, without following a link.
func (f folder) status(name []byte, s *status) error {
	info, err := f.root.Lstat(string(name[:len(name)-1]))
	if err != nil {
		return err
	}
	*s = statusOf(info)
	return nil
}

// dangles reports whether a link leads nowhere. A link that leads out of the area is not followed.
func (f folder) dangles(name []byte) bool {
	_, err := f.root.Stat(string(name[:len(name)-1]))
	return errors.Is(err, fs.ErrNotExist)
}

// ofRoot reports whether a link belongs to root, which nobody needs to know here: no link is followed out of the area.
func (f folder) ofRoot([]byte) bool { return true }

func statusOf(info fs.FileInfo) status {
	s := status{size: info.Size(), names: 1, kind: special}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		s.kind = regular
	case mode.IsDir():
		s.kind = directory
	case mode&fs.ModeSymlink != 0:
		s.kind = link
	}
	s.id, s.names = identityOf(info)
	return s
}
