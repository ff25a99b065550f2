package store

import (
	"errors"
	"io/fs"
	"syscall"
)

// Share says who besides the owner may read a run. Nobody else may change it.
type Share string

// The values of Share.
const (
	Private    Share = ""
	ShareGroup Share = "group" // the group of the run's folder
	ShareAll   Share = "all"
)

// Owner is a user, as numbers.
type Owner struct{ UID, GID int }

// Access says whom a new run belongs to and who may read it. The zero value is a run of this user that nobody else may read.
type Access struct {
	Share Share
	// Owner gets the run's folder, and every folder that is made on the way to it. If it is nil, they belong to the user of
	// this process. Only root can give them to others.
	Owner *Owner
	// Unnamed says that the caller has not named the results folder. Then it may be a link only if nobody but the caller and
	// root can have made it.
	Unnamed bool
}

// rights are what a new file gets. A new folder gets the same, and may be entered by whoever may read it.
type rights struct {
	mode fs.FileMode
	// exact says that mode counts whatever the umask is.
	exact bool
	owner *Owner
}

// byUmask returns the rights of what a user has named: the umask decides, as for every program.
func byUmask(owner *Owner) rights { return rights{mode: 0o666, owner: owner} }

// run returns the rights of a run: of its folder, and of its tape.
func (a Access) run() rights {
	r := rights{mode: 0o600, owner: a.Owner}
	switch a.Share {
	case ShareGroup:
		r.mode, r.exact = 0o640, true
	case ShareAll:
		r.mode, r.exact = 0o644, true
	case Private: // no umask in use takes anything away from 0600
	}
	return r
}

// inside returns the rights of what is made in a folder of a run, which has this mode and this owner. The folder decides:
// whoever may read it may read what is in it, and if this process is root, it all belongs to the folder's owner. So the
// runner, the sampler and a later `ergon recover` agree without a word.
func inside(mode fs.FileMode, owner Owner, uid int) rights {
	r := rights{mode: mode.Perm()&0o666 | 0o600}
	r.exact = r.mode&0o077 != 0
	if uid == 0 && owner.UID > 0 {
		r.owner = &owner
	}
	return r
}

// folder returns the mode of a folder.
func (r rights) folder() fs.FileMode { return r.mode | (r.mode&0o444)>>2 }

// made is an open file or folder that this process has just made.
type made interface {
	Stat() (fs.FileInfo, error)
	Chmod(mode fs.FileMode) error
	Chown(uid, gid int) error
}

// apply gives a new file or folder what its creation could not. keep says that its group came from a folder with the setgid
// bit and stays. A file system that has no owners or modes of its own is no error: what its mount says counts there.
func (r rights) apply(f made, keep bool) error {
	if r.owner != nil {
		gid := r.owner.GID
		if keep {
			gid = -1
		}
		if err := f.Chown(r.owner.UID, gid); err != nil && !cannotHave(err) {
			return err
		}
	}
	if !r.exact {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	mode := r.mode
	if info.IsDir() {
		mode = r.folder()
	}
	if err := f.Chmod(mode | info.Mode()&fs.ModeSetgid); err != nil && !cannotHave(err) {
		return err
	}
	return nil
}

// cannotHave reports whether an owner or a mode was refused for good: by a file system without owners, to a root without the
// capability, or because the user does not exist in this user namespace.
func cannotHave(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL)
}
