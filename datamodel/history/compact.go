package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// ErrCompacting means that another process works on the joined tables of a results folder.
var ErrCompacting = errors.New("another `ergon runs compact` works on it (try again when it has ended)")

// Compaction says which runs to join, and what is done with their folders.
type Compaction struct {
	// Before is how long ago a run must have started.
	Before time.Duration
	// Projects are globs of the projects; none is all.
	Projects []string
	// Delete removes the folders of the runs, after every value in them was found in the joined tables. Otherwise they are moved to
	// the archive. It removes runs in the archive, too.
	Delete bool
	// DryRun only finds out what would be done.
	DryRun bool
	// Step is called before each change of the results folder that others can see. It may be nil.
	Step func(what string)
}

// Compacted says what was done.
type Compacted struct {
	// Joined counts the runs whose rows were added to the joined tables, and Archived and Deleted those whose folders were moved
	// or removed. In a dry run they say what would be done.
	Joined, Archived, Deleted int
	// Kept counts the runs that were to be deleted and are in the archive: they have a tag, or their folders hold files that are
	// not ergon's.
	Kept int
	// Others counts the runs in folders of other users, which stay as they are.
	Others int
	// Left has the runs that stay as they are, and why.
	Left []Left
}

// Left is a run that is left alone.
type Left struct {
	Entry Entry
	Err   error
}

// Compact joins finished runs by project and month, and moves their folders to the archive or removes them. A process that is killed
// at any point loses nothing: each run is seen once by all methods of History, and the next Compact goes on.
//
// A batch of runs is written beside the joined tables, made durable, and moved there table by table; the table of the manifests
// comes last. Only then are the folders of the runs moved, one by one. If something fails for a run, the run is left alone. An
// error means that Compact has stopped; what was joined until then is joined.
func (h History) Compact(ctx context.Context, c Compaction, now time.Time) (Compacted, error) {
	all, err := h.List()
	if err != nil {
		return Compacted{}, err
	}
	w := compactor{h: h, c: c, ctx: ctx, ids: make(map[string]int, len(all))}
	if w.c.Step == nil {
		w.c.Step = func(string) {}
	}
	for _, e := range all {
		w.ids[store.IDOf(e.Dir)]++
	}
	chosen, _ := Filter{Projects: c.Projects}.Select(all)
	parts := w.choose(chosen, now)
	if len(parts) == 0 && c.DryRun {
		return w.done, nil
	}
	if err := w.open(len(parts) > 0); err != nil {
		return w.done, errors.Join(err, w.close())
	}
	for _, p := range slices.SortedFunc(maps.Keys(parts), func(a, b store.Part) int {
		return strings.Compare(a.Project+"/"+a.Month, b.Project+"/"+b.Month)
	}) {
		if err := w.part(p, parts[p]); err != nil {
			return w.done, errors.Join(err, w.close())
		}
	}
	return w.done, w.close()
}

// compactor carries out a Compaction.
type compactor struct {
	h       History
	c       Compaction
	ctx     context.Context //nolint:containedctx // it is one call
	ids     map[string]int  // of all runs, with the number of folders
	results *store.Folder
	joined  *store.Joined
	archive *store.Archive
	done    Compacted
}

// choose groups the runs by project and month, oldest first. It leaves alone those of which it is clear that they cannot be joined.
func (w *compactor) choose(entries []Entry, now time.Time) map[store.Part][]Entry {
	parts := map[store.Part][]Entry{}
	for _, e := range slices.Backward(entries) {
		p, ok := store.PartOf(e.Dir)
		switch {
		case w.c.Before > 0 && now.Sub(e.Run.Start) <= w.c.Before, store.InArchive(e.Dir) && !w.c.Delete:
		case errors.Is(e.Err, fs.ErrPermission):
			w.done.Others++
		case e.Err != nil:
			w.leave(e, errors.New(e.Problem()))
		case e.Run.Outcome == datamodel.Unfinished:
			w.leave(e, errors.New("it goes on or was not finished (`ergon recover` finishes it)"))
		case w.ids[store.IDOf(e.Dir)] > 1:
			w.leave(e, errors.New("another folder has the same id"))
		case e.Run.ID != store.IDOf(e.Dir): // a copy is not the run whose rows are joined
			w.leave(e, fmt.Errorf("its manifest is that of run %s", e.Run.ID))
		case !ok:
			w.leave(e, errors.New("its folder has no date"))
		default:
			parts[p] = append(parts[p], e)
		}
	}
	return parts
}

// leave notes that a run stays as it is, unless it is not there any more: it was removed, or another Compact has just moved it.
func (w *compactor) leave(e Entry, err error) {
	if errors.Is(err, fs.ErrNotExist) && !store.IsRun(e.Dir) {
		return
	}
	w.done.Left = append(w.done.Left, Left{e, err})
}

// open opens the folders. some says that there are runs to work on.
func (w *compactor) open(some bool) (err error) {
	if w.results, err = store.OpenFolder(w.h.Results); err != nil {
		if errors.Is(err, fs.ErrNotExist) && !some {
			return nil // there are no runs
		}
		return err
	}
	if w.c.DryRun {
		w.joined, err = store.ReadJoined(w.results)
		return err
	}
	if !some { // there may be something to clear all the same
		if tables, err := w.results.Open(store.TablesFolder); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		} else if err := tables.Close(); err != nil {
			return err
		}
	}
	if w.joined, err = store.OpenJoined(w.results); errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("%s: %w", w.h.Results, ErrCompacting)
	} else if err != nil {
		return err
	}
	if err := w.joined.Sweep(func(id string) bool { return w.ids[id] > 0 }); err != nil {
		return err
	}
	if w.archive, err = store.OpenArchive(w.results); err != nil {
		return err
	}
	return w.archive.Sweep()
}

func (w *compactor) close() error {
	var err error
	if w.archive != nil {
		err = w.archive.Close()
	}
	if w.joined != nil {
		err = errors.Join(err, w.joined.Close())
	}
	if w.results != nil {
		err = errors.Join(err, w.results.Close())
	}
	return err
}

// batch is a batch of runs whose tables the same users may read.
type batch struct {
	mode fs.FileMode
	runs []Entry
}

// part joins the runs of a project and a month.
func (w *compactor) part(p store.Part, entries []Entry) error {
	before, err := w.joined.Runs(p)
	if err != nil {
		return err
	}
	joined := maps.Clone(before)
	if joined == nil {
		joined = map[string]store.JoinedRun{}
	}
	var batches []*batch
	var ready []Entry // whose rows are joined
	for _, e := range entries {
		if _, ok := joined[e.Run.ID]; ok {
			ready = append(ready, e)
			continue
		}
		mode, err := w.mode(e)
		if err != nil {
			continue
		}
		at := slices.IndexFunc(batches, func(b *batch) bool { return b.mode == mode })
		if at < 0 {
			at, batches = len(batches), append(batches, &batch{mode: mode})
		}
		batches[at].runs = append(batches[at].runs, e)
	}
	for _, b := range batches {
		added, err := w.join(p, b.mode, b.runs, joined)
		if err != nil {
			return err
		}
		w.done.Joined += len(added)
		ready = append(ready, added...)
	}
	return w.settle(p, ready, joined)
}

// mode returns who may read the run. If it is another user's, or cannot be opened, it is left alone and mode returns an error.
func (w *compactor) mode(e Entry) (fs.FileMode, error) {
	f, err := store.OpenRun(e.Dir)
	if err != nil {
		w.leave(e, err)
		return 0, err
	}
	defer func() { _ = f.Close() }() // it was only opened
	if uid, own := f.Owner(); !own {
		w.done.Others++
		return 0, &OwnerError{Dir: e.Dir, Owner: uid}
	}
	mode, err := f.Readable()
	if err != nil {
		w.leave(e, err)
	}
	return mode, err
}

// whole opens a run that has ended, with its files.
func (w *compactor) whole(dir string) (*store.Whole, error) {
	f, err := store.OpenRun(dir)
	if err != nil {
		return nil, &store.LeftError{Err: err}
	}
	if err := free(f); err != nil {
		_ = f.Close() // nothing was read
		return nil, &store.LeftError{Err: err}
	}
	return w.joined.OpenWhole(f)
}

// opened is a run that was opened, or why it was not.
type opened struct {
	run *store.Whole
	err error
}

// wholes opens runs and yields them in order. While one of them is worked on, others are opened. The caller closes what it gets.
func (w *compactor) wholes(runs []Entry) iter.Seq2[int, opened] {
	return func(yield func(int, opened) bool) {
		var ahead []chan opened
		begun := 0
		more := func() {
			if begun == len(runs) {
				return
			}
			dir, c := runs[begun].Dir, make(chan opened, 1)
			begun++
			ahead = append(ahead, c)
			go func() {
				run, err := w.whole(dir)
				c <- opened{run, err}
			}()
		}
		for range runtime.GOMAXPROCS(0) {
			more()
		}
		for i := 0; len(ahead) > 0; i++ {
			o := <-ahead[0]
			ahead = ahead[1:]
			more()
			if !yield(i, o) {
				break
			}
		}
		for _, c := range ahead {
			if o := <-c; o.run != nil {
				o.run.Close()
			}
		}
	}
}

// join adds a batch of runs to the joined tables and returns those that are in them then.
func (w *compactor) join(p store.Part, mode fs.FileMode, runs []Entry, joined map[string]store.JoinedRun) ([]Entry, error) {
	for {
		added, rest, err := w.try(p, mode, runs, joined)
		if rest == nil || err != nil {
			return added, err
		}
		runs = rest
	}
}

// try is join. If some rows of a run were added before it turned out that the rest cannot be read, nothing is joined, and rest has
// the other runs.
func (w *compactor) try(p store.Part, mode fs.FileMode, runs []Entry, joined map[string]store.JoinedRun) (added, rest []Entry, err error) {
	var out *store.Joining
	if !w.c.DryRun {
		if out, err = w.joined.Begin(p, mode, w.c.Step); err != nil {
			return nil, nil, err
		}
		defer out.Drop()
	}
	is := make(map[string]store.JoinedRun, len(runs))
	for i, o := range w.wholes(runs) {
		e := runs[i]
		sum, partly, err := w.add(out, o)
		_, left := errors.AsType[*store.LeftError](err)
		switch {
		case left:
			if w.leave(e, err); partly {
				return nil, slices.Concat(added, runs[i+1:]), nil
			}
		case err != nil:
			return nil, nil, err
		default:
			added = append(added, e)
			is[e.Run.ID] = store.JoinedRun{SHA256: sum}
		}
	}
	if out != nil && len(added) > 0 {
		if err := out.Publish(); err != nil {
			return nil, nil, err
		}
	}
	for id, run := range is {
		if out != nil {
			run.Batch = out.Name()
		}
		joined[id] = run
	}
	return added, nil, nil
}

// add adds a run to a batch, unless that is nil, and returns the digest of its manifest. partly says that some of its rows may have
// been added in spite of the error.
func (w *compactor) add(out *store.Joining, o opened) (sum string, partly bool, err error) {
	if o.run != nil {
		defer o.run.Close()
	}
	if err := errors.Join(w.ctx.Err(), o.err); err != nil {
		return "", false, err
	}
	if out != nil {
		err = out.Add(o.run)
	}
	return o.run.SHA256, true, err
}

// settle moves or removes the folders of runs whose rows are joined.
func (w *compactor) settle(p store.Part, ready []Entry, joined map[string]store.JoinedRun) error {
	remove := map[string]bool{}
	if w.c.Delete {
		var err error
		if remove, err = w.verified(p, ready, joined); err != nil {
			return err
		}
	}
	for _, e := range ready {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		err := w.move(e, joined[e.Run.ID].SHA256, remove[e.Run.ID])
		if _, left := errors.AsType[*store.LeftError](err); left {
			w.leave(e, err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// verified returns the runs whose folders may be removed: all that is in them is in the joined tables.
func (w *compactor) verified(p store.Part, ready []Entry, joined map[string]store.JoinedRun) (map[string]bool, error) {
	tags, err := w.tagged()
	if err != nil {
		return nil, err
	}
	var batches []string
	dirs := map[string]string{}
	for _, e := range ready {
		if tags[e.Run.ID] {
			w.done.Kept++
			continue
		}
		dirs[e.Run.ID] = e.Dir
		batches = append(batches, joined[e.Run.ID].Batch)
	}
	slices.Sort(batches)
	good := map[string]bool{}
	if w.c.DryRun {
		for id := range dirs {
			good[id] = true
		}
		return good, nil
	}
	for _, batch := range slices.Compact(batches) {
		w.c.Step("verify " + batch)
		err := w.joined.Verify(p, batch, func(id string) (*store.Whole, error) {
			dir, ok := dirs[id]
			if err := w.ctx.Err(); !ok || err != nil {
				return nil, err
			}
			run, err := w.whole(dir)
			if _, left := errors.AsType[*store.LeftError](err); left {
				return nil, nil //nolint:nilnil // it needs no check; moving it will tell
			}
			switch {
			case err != nil:
				return nil, err
			case len(run.Others) > 0:
				w.done.Kept++
			case run.SHA256 == joined[id].SHA256:
				good[id] = true
				return run, nil
			}
			run.Close()
			return nil, nil //nolint:nilnil // it needs no check: it is not removed
		})
		if err != nil {
			return nil, fmt.Errorf("no run of this batch is removed: %w", err)
		}
	}
	return good, nil
}

// tagged returns the runs that have a tag. If a tag cannot be read, it could be of any run.
func (w *compactor) tagged() (map[string]bool, error) {
	h, of := w.h, map[string]bool{}
	var unread error
	h.Note = func(err error) { unread = errors.Join(unread, err) }
	tags, err := h.Tags()
	for _, t := range tags {
		of[t.ID] = true
	}
	if err = errors.Join(err, unread); err != nil {
		return nil, fmt.Errorf("a run may have a tag: %w", err)
	}
	return of, nil
}

// move moves the folder of a run to the archive, or removes it. sum is the digest of the manifest that was joined.
func (w *compactor) move(e Entry, sum string, remove bool) error {
	f, err := store.OpenRun(e.Dir)
	if err != nil {
		return &store.LeftError{Err: err}
	}
	defer func() { _ = f.Close() }() // it was moved or removed
	if err := free(f); err != nil {
		return &store.LeftError{Err: err}
	}
	has, err := f.ManifestDigest()
	if err == nil && has != sum {
		err = store.ErrJoinedElsewhere
	}
	if err != nil {
		return &store.LeftError{Err: err}
	}
	did := &w.done.Archived
	switch {
	case remove:
		did = &w.done.Deleted
		if !w.c.DryRun {
			w.c.Step("remove " + e.Run.ID)
			err = w.archive.Discard(f)
		}
	case store.InArchive(e.Dir):
		return nil
	case !w.c.DryRun:
		w.c.Step("move " + e.Run.ID)
		err = w.archive.Take(f)
	}
	if err == nil {
		*did++
	}
	return err
}
