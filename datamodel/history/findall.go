package history

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// Found is the runs that a name stands for.
type Found struct {
	// Dirs are the folders of the runs, each once.
	Dirs []string
	// Commit is the commit whose runs these are, "" if the name means something else. They may be of several commands.
	Commit string
	// Dirty counts the runs of the commit that are left out, since files differed from it.
	Dirty int
}

// FindAll returns the folders of all runs that a user means. name is, and the first that fits counts:
//
//   - several names between commas
//   - a glob for tags and ids: nightly-*
//   - one run, as for Find, except by its commit
//   - a git commit, or at least 4 digits that it begins with: all its runs
//   - another name of a commit: a branch, a tag of git, HEAD~1
//
// commitOf returns the hash of the commit that git means by a name, "" if there is none. Runs of a commit are left out if files
// differed from the commit, or if they have not ended.
func (h History) FindAll(name string, commitOf func(name string) (string, error)) (Found, error) {
	switch {
	case strings.Contains(name, ",") && !exists(name):
		return h.each(strings.Split(name, ","), commitOf)
	case strings.ContainsAny(name, "*?[") && !exists(name):
		dirs, err := h.glob(name)
		return Found{Dirs: dirs}, err
	}
	if _, _, ok := h.asLast(name); ok || name == "" || exists(name) && strings.ContainsRune(name, filepath.Separator) {
		dir, err := h.Find(name)
		return Found{Dirs: []string{dir}}, err
	}
	dirs, err := store.RunFolders(h.Results, h.Note)
	if err != nil {
		return Found{}, err
	}
	if dir, err := h.named(name, dirs); dir != "" || err != nil {
		return Found{Dirs: []string{dir}}, err
	}
	if of, err := h.ofCommit(name, dirs); len(of) > 0 || err != nil {
		return clean(name, of, err)
	}
	hash, err := commitOf(name)
	switch {
	case err != nil:
		return Found{}, err
	case hash != "":
		of, err := h.ofCommit(hash, dirs)
		return clean(name, of, err)
	}
	dir, err := h.Find(name)
	return Found{Dirs: []string{dir}}, err
}

// exists reports whether a name is the path of something.
func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// each joins what several names stand for.
func (h History) each(names []string, commitOf func(name string) (string, error)) (all Found, err error) {
	for i, name := range names {
		found, err := h.FindAll(name, commitOf)
		if err != nil {
			return all, err
		}
		all.Dirty += found.Dirty
		if i == 0 {
			all.Commit = found.Commit
		} else if all.Commit != found.Commit {
			all.Commit = ""
		}
		for _, dir := range found.Dirs {
			if !slices.Contains(all.Dirs, dir) {
				all.Dirs = append(all.Dirs, dir)
			}
		}
	}
	return all, nil
}

// glob finds the runs with a tag or an id that fits, the newest first.
func (h History) glob(glob string) (found []string, err error) {
	if err := CheckGlob(glob); err != nil {
		return nil, err
	}
	entries, err := h.List()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if slices.ContainsFunc(append([]string{e.Run.ID}, e.Tags...), func(name string) bool { ok, _ := path.Match(glob, name); return ok }) {
			found = append(found, e.Dir)
		}
	}
	if len(found) == 0 {
		return nil, notFound("run %q: no run in %s has a tag or an id like that", glob, h.Results)
	}
	return found, nil
}

// clean leaves out the runs that are not of their commit alone, and those that have not ended.
func clean(name string, of []Entry, err error) (Found, error) {
	if err != nil {
		return Found{}, err
	}
	var found Found
	for _, e := range of {
		switch g := e.Run.Host.Git; {
		case e.Run.Outcome == datamodel.Unfinished:
		case g.Dirty != nil && *g.Dirty:
			found.Dirty++
		default:
			found.Commit = g.Commit
			found.Dirs = append(found.Dirs, e.Dir)
		}
	}
	switch {
	case len(found.Dirs) == 0 && found.Dirty > 0:
		return Found{}, notFound("run %q: all runs of this commit had uncommitted changes (an id names such a run)", name)
	case len(found.Dirs) == 0:
		return Found{}, notFound("run %q: no run of this commit is kept", name)
	}
	return found, nil
}
