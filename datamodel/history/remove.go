package history

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// ErrAlive means that a run goes on, or that nothing proves that it has ended.
var ErrAlive = errors.New("the run has not ended yet")

// Remove removes a run: everything in its folder, the folders of its day and its project if they are empty then, and its tags. It
// follows no link below the results folder. It returns an error if the folder holds no run, and ErrAlive if the run goes on.
func (h History) Remove(dir string) error {
	f, err := openToRemove(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it is removed, or nothing was done
	return h.remove(f)
}

func (h History) remove(f *store.Folder) error {
	id := store.IDOf(f.Path())
	err := f.Discard()
	if owner, own := f.Owner(); errors.Is(err, fs.ErrPermission) && !own {
		return fmt.Errorf("remove run %s: %w: %w", id, fs.ErrPermission, &OwnerError{Dir: f.Path(), Owner: owner})
	}
	if err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	tags, err := h.Tags()
	for _, t := range tags {
		if t.ID == id {
			err = errors.Join(err, h.RemoveTag(t.Name, id))
		}
	}
	return err
}

// openToRemove opens and locks the folder of a run that has ended.
func openToRemove(dir string) (*store.Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if !store.InResults(dir) {
		return nil, fmt.Errorf("remove %s: it is not in a results folder (rm -r removes a copy of a run)", dir)
	}
	f, err := store.OpenRun(dir)
	if err != nil {
		return nil, fmt.Errorf("remove: %w", err)
	}
	if err := ended(f); err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("remove %s: %w", dir, err)
	}
	return f, nil
}

// ended locks the folder of a run and returns an error unless the run has ended. A run without an end in its manifest has ended
// only if the lock proves it: some network file systems have no locks.
func ended(f *store.Folder) error {
	names, err := f.List()
	if err != nil {
		return err
	}
	if !slices.Contains(names, store.ManifestFile) && !slices.Contains(names, store.SpoolFolder) {
		return fmt.Errorf("it holds no run: neither %s nor %s", store.ManifestFile, store.SpoolFolder)
	}
	if err := free(f); err != nil {
		return err
	}
	if slices.Contains(names, store.SpoolFolder) {
		spool, err := f.Open(store.SpoolFolder)
		if err == nil {
			err = spool.Lock() // the sampler may still write
			_ = spool.Close()  // nothing was written
		}
		if errors.Is(err, store.ErrLocked) {
			return ErrAlive
		}
	}
	if run, err := f.Manifest(); err == nil && run.Outcome != datamodel.Unfinished {
		return nil
	}
	if !f.Dead() {
		return fmt.Errorf("%w, as far as this file system tells (`ergon recover` finishes it)", ErrAlive)
	}
	return nil
}

// free locks the folder of a run. It returns ErrAlive if another process has the lock.
func free(f *store.Folder) error {
	err := f.Lock()
	if errors.Is(err, store.ErrLocked) {
		return ErrAlive
	}
	return err
}

// Rules say which runs Prune keeps. A run is kept if one of them says so.
type Rules struct {
	// Age is how old a run may be, counted from its start; 0 keeps none by age.
	Age time.Duration
	// Last is how many of the latest runs of each project stay.
	Last int
	// Others also removes runs in folders of other users.
	Others bool
}

// Plan is what Prune would do.
type Plan struct {
	// Remove lists the runs to remove, the newest first.
	Remove []Entry
	// Tagged, Unfinished, Unreadable and Foreign count the runs that stay although no rule keeps them: they have a tag, were not
	// finished, cannot be read, or have other files in their folder.
	Tagged, Unfinished, Unreadable, Foreign int
}

// Plan decides which of some runs to remove. The runs are ordered as List does it. now is the present time.
func (r Rules) Plan(entries []Entry, now time.Time) Plan {
	var p Plan
	seen := map[string]int{}
	for _, e := range entries {
		if e.Err != nil {
			if r.Age == 0 || now.Sub(e.Run.Start) > r.Age {
				p.Unreadable++
			}
			continue
		}
		unfinished := e.Run.Outcome == datamodel.Unfinished
		if !unfinished {
			seen[e.Run.Project]++
		}
		switch {
		case r.Age > 0 && now.Sub(e.Run.Start) <= r.Age, !unfinished && seen[e.Run.Project] <= r.Last:
		case len(e.Tags) > 0:
			p.Tagged++
		case unfinished:
			p.Unfinished++
		case len(Strange(e.Dir)) > 0:
			p.Foreign++
		default:
			p.Remove = append(p.Remove, e)
		}
	}
	return p
}

// Strange lists what is in the folder of a run and not ergon's.
func Strange(dir string) []string {
	f, err := store.OpenRun(dir)
	if err != nil {
		return nil // Prune will tell
	}
	defer func() { _ = f.Close() }() // it was only read
	names, _ := f.Strange()          // Prune will tell
	return names
}

// Prune removes a run that Plan has chosen. It opens the folder anew and looks again: somebody may have put another run in its
// place, given it a tag, or put a file of their own into it.
func (h History) Prune(e Entry, r Rules) error {
	f, err := openToRemove(e.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it is removed, or nothing was done
	run, err := f.Manifest()
	if err != nil {
		return err
	}
	if owner, own := f.Owner(); !own && !r.Others {
		return &OwnerError{Dir: e.Dir, Owner: owner}
	}
	others, err := f.Strange()
	tagged, unread := h.hasTag(run.ID)
	switch {
	case err != nil:
		return err
	case run.ID != e.Run.ID || !run.Start.Equal(e.Run.Start) || run.Outcome == datamodel.Unfinished:
		return fmt.Errorf("%s: another run is in its place now", e.Dir)
	case len(others) > 0:
		return fmt.Errorf("%s: it holds %s, which is not ergon's", e.Dir, strings.Join(others, ", "))
	case unread != nil:
		return fmt.Errorf("%s: it may have a tag: %w", e.Dir, unread)
	case tagged:
		return fmt.Errorf("%s: it has a tag now", e.Dir)
	}
	return h.remove(f)
}

// OwnerError says that the folder of a run belongs to another user.
type OwnerError struct {
	// Dir is the folder, and Owner the user id.
	Dir   string
	Owner int
}

func (e *OwnerError) Error() string {
	return fmt.Sprintf("%s belongs to another user (uid %d)", e.Dir, e.Owner)
}

// Size returns how many bytes the files of a run have, and how many files there are.
func Size(dir string) (n int64, files int) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // what cannot be read is not counted
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // see above
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
			files++
		}
		return nil
	})
	return n, files
}
