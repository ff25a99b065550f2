// Package history knows the many runs of a results folder: it lists and selects them, finds the one that a user means, keeps
// their tags, joins and removes them. It reads manifests only. It leaves the tables of a run to package store, and the text for
// people to the caller.
//
// Beside the folders of the projects, a results folder may hold
//
//	_tags/NAME   a tag: the id of its run, in one line
//	_index-UID   the index of a user: what the manifests say, in short (index.go)
//	_tables/     the joined tables of many runs (compact.go)
//	_archive/    the folders of these runs, below it as they were before
//
// Readers of Hive partitions skip names that begin with "_".
package history

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// History is the runs of one results folder.
type History struct {
	// Results is the folder. It may be missing; then there are no runs.
	Results string
	// Note is told what cannot be read besides the runs themselves, such as a folder of somebody else. It may be nil.
	Note func(error)
}

// Entry is a run as a list shows it.
type Entry struct {
	// Dir is the folder of the run.
	Dir string
	// Run has only some fields of the manifest: ID, Project, Command, CommandBytes, NoArguments, Outcome, Reason, ExitCode,
	// Signal, Folder, Start, WallTime, Summary, Bench, Version, Replayed.Tape, Host.Name, Host.Git and what datamodel.BasisOf needs of
	// Host. store.Load reads the rest. If Err is not nil, Run has what the path says: ID, Project, and Start from the id or the
	// day.
	Run datamodel.Run
	// Tags are the names of the run's tags, sorted.
	Tags []string
	// Err says why the manifest could not be read.
	Err error
}

// List lists all runs, the newest first. A run that cannot be read is listed with its error.
func (h History) List() ([]Entry, error) {
	dirs, err := store.RunFolders(h.Results, h.Note)
	if err != nil {
		return nil, err
	}
	return newestFirst(h.entries(dirs, true)), nil
}

// entries reads the runs in some folders, in the same order. all says that there are no others.
func (h History) entries(dirs []string, all bool) []Entry {
	entries := make([]Entry, len(dirs))
	x := h.openIndex(len(dirs))
	each(len(dirs), func(i int) { entries[i] = x.read(dirs[i]) })
	x.save(all)
	tags := h.tagsByRun()
	if len(tags) > 0 {
		for i := range entries {
			entries[i].Tags = tags[entries[i].Run.ID]
		}
	}
	return entries
}

// each calls do for each number below n, several at the same time.
func each(n int, do func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}

// read reads the manifest of one run.
func read(dir string) Entry {
	run, err := store.LoadManifest(dir)
	if err != nil {
		return unreadable(dir, err)
	}
	return Entry{Dir: dir, Run: brief(run)}
}

// Read reads the run in a folder.
func (h History) Read(dir string) Entry {
	e := read(dir)
	if tags := h.tagsByRun(); len(tags) > 0 {
		e.Tags = tags[e.Run.ID]
	}
	return e
}

// unreadable returns what is known of a run whose manifest cannot be read.
func unreadable(dir string, err error) Entry {
	run := store.AtPath(dir)
	if at, ok := called(run.ID); ok {
		run.Start = at
	}
	return Entry{Dir: dir, Run: run, Err: err}
}

// derived returns a summary with what follows from the factors that were given with the run. Without one it is the summary.
func derived(run datamodel.Run) map[string]datamodel.Figure {
	if run.Factors == (datamodel.Factors{}) || run.Summary == nil {
		return run.Summary
	}
	of := make(map[string]datamodel.Metric, len(run.Summary))
	for name, f := range run.Summary {
		of[name] = f.Metric(name)
	}
	out := maps.Clone(run.Summary)
	maps.Copy(out, datamodel.Figures(run.Factors.Derive(of)))
	return out
}

// brief returns the fields that Entry.Run has.
func brief(run datamodel.Run) datamodel.Run {
	out := datamodel.Run{
		ID: run.ID, Project: run.Project, Command: run.Command, CommandBytes: run.CommandBytes, NoArguments: run.NoArguments,
		Outcome: run.Outcome, Reason: run.Reason, ExitCode: run.ExitCode, Signal: run.Signal, Start: run.Start, WallTime: run.WallTime,
		Folder: run.Folder, Summary: derived(run), Version: run.Version,
	}
	if b := run.Bench; b != nil {
		out.Bench = &datamodel.Bench{Results: b.Results, Ended: b.Ended}
		for _, c := range b.Commands {
			out.Bench.Commands = append(out.Bench.Commands, datamodel.BenchCommand{Name: c.Name, Command: c.Command})
		}
	}
	if run.Replayed != nil {
		out.Replayed = &datamodel.Replay{Tape: run.Replayed.Tape}
	}
	out.Host.Name, out.Host.Git = run.Host.Name, run.Host.Git
	out.Host.CPU, out.Host.CPUs, out.Host.Kernel, out.Host.Scaling.Governor = run.Host.CPU, run.Host.CPUs, run.Host.Kernel, run.Host.Scaling.Governor
	return out
}

// called returns the time in an id, which is to the second. An id that somebody chose has none.
func called(id string) (at time.Time, ok bool) {
	word, _, _ := strings.Cut(id, "-")
	at, err := time.Parse(store.IDTime, word)
	return at, err == nil
}

// when orders runs. It needs only the names of the folders, unless two runs are of the same second or an id has no time.
type when struct {
	// second is that in which ergon was called, as by the id; without a time in the id it is the start of the command.
	second int64
	start  time.Time
	id     string
	at     int // in the list to sort
}

// second returns the second of a run, as in when.
func second(run *datamodel.Run) int64 {
	if at, ok := called(run.ID); ok {
		return at.Unix()
	}
	return run.Start.Unix()
}

// newestFirst returns the runs in order.
func newestFirst(entries []Entry) []Entry {
	order := make([]when, len(entries))
	for i := range entries {
		run := &entries[i].Run
		order[i] = when{second(run), run.Start, run.ID, i}
	}
	slices.SortFunc(order, func(a, b when) int {
		if a.second != b.second {
			return cmp.Compare(b.second, a.second)
		}
		return cmp.Or(b.start.Compare(a.start), strings.Compare(b.id, a.id), cmp.Compare(a.at, b.at))
	})
	sorted := make([]Entry, len(entries))
	for i, w := range order {
		sorted[i] = entries[w.at]
	}
	return sorted
}

// Projects lists the names of the projects, sorted.
func Projects(entries []Entry) []string {
	names := map[string]bool{}
	for _, e := range entries {
		names[e.Run.Project] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Commit returns the commit of the repository in which the command ran; empty if it is unknown.
func (e Entry) Commit() string {
	if g := e.Run.Host.Git; g != nil {
		return g.Commit
	}
	return ""
}

// Problem says in one line why the run cannot be read, and what helps; it is empty if the run can be read.
func (e Entry) Problem() string {
	switch {
	case e.Err == nil:
		return ""
	case errors.Is(e.Err, fs.ErrNotExist):
		return "it has no " + store.ManifestFile + ": its ergon was killed early, or files were removed (`ergon recover` clears it)"
	case errors.Is(e.Err, fs.ErrPermission):
		return "you may not read it (who measures with --share lets others read)"
	case errors.Is(e.Err, store.ErrNewer):
		return "a newer ergon made it (this one is too old to read it)"
	case errors.Is(e.Err, store.ErrForeign):
		return store.ManifestFile + " is not a manifest of ergon"
	case errors.Is(e.Err, store.ErrDamaged):
		return store.ManifestFile + " is damaged or cut off (a copy of the run may help)"
	}
	return strings.ReplaceAll(e.Err.Error(), "\n", " ")
}

// inside returns the path of a run's folder below the results folder.
func (h History) inside(dir string) string {
	rel, err := filepath.Rel(h.Results, dir)
	if err != nil {
		return dir
	}
	return filepath.ToSlash(store.Unarchived(rel)) // a run that is moved to the archive keeps its entry
}
