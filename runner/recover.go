package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/cgroup"
)

// Sweep removes the empty cgroups that killed runs have left behind. It keeps cgroups younger than an hour: a new run may
// be about to use one.
func Sweep() { cgroup.Sweep(time.Hour) }

// ForeignError says that a run's folder belongs to another user. Whoever owns the folder chooses what is in it.
type ForeignError struct {
	// Dir is the folder.
	Dir string
	// Owner is its user id.
	Owner int
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s belongs to another user (uid %d)", e.Dir, e.Owner)
}

// Recover finishes a run whose ergon was killed: it makes the run's files from the spool. It returns an error if the run is
// finished, still running or, unless others is true, in a folder of another user (a *ForeignError). A spool that cannot be
// read to its end stays. Then the result is made from the rest, and the error says what is missing.
func Recover(dir string, others bool) (datamodel.Result, error) {
	f, err := store.OpenRun(dir)
	if err != nil {
		return datamodel.Result{}, err
	}
	defer func() { _ = f.Close() }() // what was written is synced
	if err := own(f, others); err != nil {
		return datamodel.Result{}, err
	}
	run, err := store.LoadManifest(f.Path())
	if err != nil {
		return datamodel.Result{}, err
	}
	made, err := finish(f, &run, others)
	if err != nil {
		err = fmt.Errorf("run %s: %w", run.ID, err)
	}
	return resultOf(run, made), err
}

// own returns a *ForeignError if a folder belongs to another user, unless others is true.
func own(f *store.Folder, others bool) error {
	if owner, own := f.Owner(); !own && !others {
		return &ForeignError{f.Path(), owner}
	}
	return nil
}

// finish makes the files of a run from its spool.
func finish(f *store.Folder, run *datamodel.Run, others bool) (made account.Result, err error) {
	spool, err := f.Open(store.SpoolFolder)
	switch {
	case errors.Is(err, fs.ErrNotExist) && run.Outcome == datamodel.Unfinished:
		return made, errors.New("nothing to recover: it is unfinished and has no readings")
	case errors.Is(err, fs.ErrNotExist):
		return made, fmt.Errorf("nothing to recover: it is finished (%s)", run.Outcome)
	case err != nil:
		return made, err
	}
	defer func() { _ = spool.Close() }() // nothing is written through it
	for _, folder := range []*store.Folder{f, spool} {
		if err := errors.Join(own(folder, others), folder.Lock()); err != nil {
			return made, err
		}
	}
	s, err := store.LoadState(spool)
	var ledger datamodel.Ledger
	switch {
	case err == nil && s.Run.ID == run.ID: // the command has ended, and only the files are missing
		s.Run.Outcome, s.Run.Reason, s.Run.Host = run.Outcome, run.Reason, run.Host
		*run, ledger = s.Run, s.Ledger
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return made, err
	case run.Outcome == datamodel.Unfinished:
		run.Start = begun(spool, run.Start)
	}
	if run.Outcome == datamodel.Unfinished {
		run.Outcome, run.Reason = datamodel.ProfilerFailed, "ergon did not finish this run"
	}
	if run.Outcome == datamodel.ProfilerFailed {
		run.Reason += "; recovered from the readings"
	}
	files := f.Files()
	defer files.Drop()
	made, unread, err := digest(run, ledger, taken{spool: spool}, files, nil)
	if err == nil {
		err = save(files, *run, made)
	}
	if err == nil {
		err = files.SaveManifest(*run)
	}
	if err == nil && unread != nil {
		return made, fmt.Errorf("the result is incomplete, so the readings stay in %s: %w (make them readable, then recover the run again)", spool.Path(), unread)
	}
	if err == nil {
		err = store.RemoveSpool(f)
	}
	return made, err
}

// begun estimates the start of an interrupted run: its first reading or, without one, the time when ergon was called.
func begun(spool *store.Folder, called time.Time) time.Time {
	list, err := store.FirstReadings(spool)
	if err != nil || len(list) == 0 || list[0].Anchor.IsZero() {
		return called
	}
	return list[0].Anchor
}
