package history

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel/store"
)

// Last is the reference of the latest run.
const Last = store.Last

const (
	// shownCandidates bounds how many runs an error about an ambiguous name lists.
	shownCandidates = 5
	// shortestCommit is the fewest digits that name a git commit, as for git.
	shortestCommit = 4
)

// NotFoundError says that no run is what a name means. It is none of the other reasons for which a run is not found: a name
// that fits several runs, or a run that cannot be read.
type NotFoundError struct{ text string }

func (e *NotFoundError) Error() string { return e.text }

func notFound(format string, args ...any) error { return &NotFoundError{fmt.Sprintf(format, args...)} }

// Find returns the folder of the run that a user means. name is, and the first that fits counts:
//
//   - last, the latest run that can be read; last~2, the second before it; last:PROJECT, last:PROJECT~2, of one project
//   - a run's id
//   - a tag
//   - an unambiguous beginning or end of an id
//   - a git commit, or at least 4 digits that it begins with: its latest run
//   - the path of a run's folder; a name with a separator is always a path
func (h History) Find(name string) (string, error) {
	if name == "" {
		return "", errors.New("run: no name given (`ergon ls` lists the runs)")
	}
	if project, n, ok := h.asLast(name); ok {
		return h.last(name, project, n)
	}
	if strings.ContainsRune(name, '/') || strings.ContainsRune(name, filepath.Separator) {
		return h.path(name)
	}
	dirs, err := store.RunFolders(h.Results, h.Note)
	if err != nil {
		return "", err
	}
	if dir, err := h.named(name, dirs); dir != "" || err != nil {
		return dir, err
	}
	if dir, err := h.committed(name, dirs); dir != "" || err != nil {
		return dir, err
	}
	if _, err := os.Stat(name); err == nil {
		return h.path(name)
	}
	if len(dirs) == 0 {
		return "", notFound("run %q: no runs in %s (-o DIR names another results folder)", name, h.Results)
	}
	return "", notFound("run %q: no run in %s has an id, a tag or a commit like that, and no folder has this name (`ergon ls` lists the runs)", name, h.Results)
}

// named finds a run by its id, its tag, or a part of its id. dir is empty if none fits.
func (h History) named(name string, dirs []string) (dir string, err error) {
	var begins, ends []string
	for _, dir := range dirs {
		switch id := store.IDOf(dir); {
		case id == name:
			return dir, nil
		case strings.HasPrefix(id, name):
			begins = append(begins, dir)
		case strings.HasSuffix(id, name):
			ends = append(ends, dir)
		}
	}
	if dir, err := h.tagged(name, dirs); dir != "" || err != nil {
		return dir, err
	}
	for _, found := range []struct {
		how  string
		dirs []string
	}{{"begin", begins}, {"end", ends}} {
		if len(found.dirs) == 1 {
			return found.dirs[0], nil
		}
		if len(found.dirs) > 1 {
			ids := make([]string, len(found.dirs))
			for i, dir := range found.dirs {
				ids[i] = store.IDOf(dir)
			}
			return "", ambiguous(name, "runs "+found.how+" with it", ids)
		}
	}
	return "", nil
}

// tagged finds the run that has a tag. dir is empty if there is no such tag.
func (h History) tagged(name string, dirs []string) (dir string, err error) {
	id, err := h.tag(name)
	if id == "" || err != nil {
		return "", err
	}
	for _, dir := range dirs {
		if store.IDOf(dir) == id {
			return dir, nil
		}
	}
	return "", notFound("run %q: the tag is of run %s, which is not in %s any more (`ergon runs tag rm %[1]s` removes the tag)", name, id, h.Results)
}

// committed finds the latest run of a commit. dir is empty if there is none.
func (h History) committed(name string, dirs []string) (dir string, err error) {
	of, err := h.ofCommit(name, dirs)
	if len(of) == 0 || err != nil {
		return "", err
	}
	return of[0].Dir, nil
}

// ofCommit lists the runs of a commit, the newest first.
func (h History) ofCommit(name string, dirs []string) (of []Entry, err error) {
	if len(name) < shortestCommit || strings.Trim(name, "0123456789abcdef") != "" {
		return nil, nil
	}
	var commits []string
	for _, e := range newestFirst(h.entries(dirs, true)) {
		commit := e.Commit()
		if !strings.HasPrefix(commit, name) {
			continue
		}
		of = append(of, e)
		if !slices.Contains(commits, commit) {
			commits = append(commits, commit)
		}
	}
	if len(commits) > 1 {
		return nil, ambiguous(name, "commits of runs begin with it", commits)
	}
	return of, nil
}

// ambiguous names the candidates.
func ambiguous(name, what string, candidates []string) error {
	found := slices.Clone(candidates[:min(shownCandidates, len(candidates))])
	if more := len(candidates) - shownCandidates; more > 0 {
		found = append(found, fmt.Sprintf("%d more", more))
	}
	return fmt.Errorf("run %q: %d %s: %s (give more of it)", name, len(candidates), what, strings.Join(found, ", "))
}

// path checks that a folder holds a run.
func (h History) path(name string) (string, error) {
	if at := store.Moved(filepath.Clean(name)); at != "" {
		name = at
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "", notFound("run %q: no such folder (`ergon ls` lists the runs of %s)", name, h.Results)
	case !info.IsDir():
		return "", fmt.Errorf("run %q: not a folder", name)
	case !store.IsRun(name):
		return "", fmt.Errorf("run %q: the folder holds neither %s nor %s", name, store.ManifestFile, store.SpoolFolder)
	}
	return filepath.Clean(name), nil
}

// asLast reads last, last~N, last:PROJECT and last:PROJECT~N. A project whose name ends with ~N comes first.
func (h History) asLast(name string) (project string, n int, ok bool) {
	word, project, ofProject := strings.Cut(name, ":")
	back := &word
	if ofProject {
		if back = &project; project == "" {
			return "", 0, false
		}
		if days, err := store.DayFolders(h.Results, project, nil); err == nil && len(days) > 0 {
			return project, 0, word == Last
		}
	}
	if i := strings.LastIndexByte(*back, '~'); i >= 0 {
		count, err := strconv.ParseUint((*back)[i+1:], 10, 31)
		if err != nil && (*back)[i+1:] != "" {
			return "", 0, false
		}
		if n = int(count); (*back)[i+1:] == "" { // as for git
			n = 1
		}
		*back = (*back)[:i]
	}
	return project, n, word == Last && (project != "" || !ofProject)
}

// last finds the run that n readable runs are newer than, of one project or of all. The folders of days and the ids begin with
// the time, so few manifests are read.
func (h History) last(name, project string, n int) (string, error) {
	days, err := store.DayFolders(h.Results, project, h.Note)
	if err != nil {
		return "", err
	}
	slices.SortStableFunc(days, func(a, b string) int { return strings.Compare(filepath.Base(b), filepath.Base(a)) })
	where := h.Results
	if project != "" {
		where = fmt.Sprintf("project %q of %s", project, h.Results)
	}
	passed, seen := 0, 0
	var why error
	for len(days) > 0 {
		same := 1
		for same < len(days) && (n > fewRuns || filepath.Base(days[same]) == filepath.Base(days[0])) {
			same++
		}
		newest := h.newest
		if n > fewRuns { // the index has them
			newest = h.all
		}
		for e := range newest(store.RunsBelow(days[:same], h.Note)) {
			switch seen++; {
			case e.Err != nil && why == nil:
				why = e.Err
			case e.Err != nil:
			case passed == n:
				return e.Dir, nil
			default:
				passed++
			}
		}
		days = days[same:]
	}
	switch {
	case seen == 0:
		return "", notFound("run %q: no runs in %s", name, where)
	case passed == 0:
		return "", fmt.Errorf("run %q: none in %s can be read: %w", name, where, why)
	}
	return "", notFound("run %q: only %d runs in %s can be read (%s~%d is the oldest)", name, passed, where, strings.TrimRight(strings.TrimSuffix(name, strconv.Itoa(n)), "~"), passed-1)
}

// all yields runs, the newest first.
func (h History) all(dirs []string) iter.Seq[Entry] {
	return slices.Values(newestFirst(h.entries(dirs, false)))
}

// newest yields the runs of one day, the newest first. It reads the manifests of one second after the other, but first those
// of runs whose id has no time.
func (h History) newest(dirs []string) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		var entries []Entry
		for _, dir := range dirs {
			if at, ok := called(store.IDOf(dir)); ok {
				e := Entry{Dir: dir, Run: store.AtPath(dir)}
				e.Run.Start = at
				entries = append(entries, e)
			}
		}
		if len(entries) < len(dirs) {
			chosen := slices.DeleteFunc(slices.Clone(dirs), func(dir string) bool { _, ok := called(store.IDOf(dir)); return ok })
			entries = append(entries, h.entries(chosen, false)...)
		}
		entries = newestFirst(entries)
		for len(entries) > 0 {
			same := 1
			for same < len(entries) && second(&entries[same].Run) == second(&entries[0].Run) {
				same++
			}
			now := entries[:same]
			for i := range now {
				now[i] = read(now[i].Dir)
			}
			for _, e := range newestFirst(now) {
				if !yield(e) {
					return
				}
			}
			entries = entries[same:]
		}
	}
}
