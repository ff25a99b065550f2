package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/cgroup"
)

// Sweep removes the empty cgroups that killed runs have left behind.
func Sweep() { cgroup.Sweep() }

// SweepTemp removes the temporary folders that killed runs have left behind.
func SweepTemp() { store.SweepTemp() }

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
	if err := errors.Join(own(f, others), f.Lock()); err != nil {
		return datamodel.Result{}, err
	}
	run, err := f.Manifest()
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
	if err := errors.Join(own(spool, others), awaitLock(spool)); err != nil {
		return made, err
	}
	if run.Bench != nil {
		unread := recoverBench(spool, run)
		files := f.Files()
		defer files.Drop()
		if err = files.SaveBench(*run); err == nil {
			err = files.SaveManifest(*run)
		}
		return made, finished(f, spool, unread, err)
	}
	s, noState := store.LoadState(spool)
	if errors.Is(noState, fs.ErrNotExist) {
		noState = nil // ergon was killed before the command had ended
	}
	var ledger datamodel.Ledger
	switch {
	case s.Run.ID != "" && noState == nil && s.Run.ID == run.ID: // the command has ended, and only the files are missing
		s.Run.Outcome, s.Run.Reason, s.Run.Recovered, s.Run.Host = run.Outcome, run.Reason, run.Recovered, run.Host
		*run, ledger = s.Run, s.Ledger
	case run.Outcome == datamodel.Unfinished:
		run.Start = begun(spool, run.Start)
		ledger.LeastWallTime = seconds(0) // the readings tell it
	}
	if run.Outcome == datamodel.Unfinished {
		run.Outcome, run.Reason = datamodel.ProfilerFailed, "ergon did not finish this run"
	}
	if run.Outcome == datamodel.ProfilerFailed && !run.Recovered { // a damaged run may be recovered twice
		run.Reason += "; recovered from the readings"
	}
	run.Recovered = true
	files := f.Files()
	defer files.Drop()
	made, unread, err := digest(run, ledger, taken{spool: spool}, files, false, nil)
	unread = errors.Join(unread, noState)
	if err == nil {
		err = save(files, *run, made)
	}
	if err == nil {
		err = files.SaveManifest(*run)
	}
	return made, finished(f, spool, unread, err)
}

// finished removes the spool of a run whose files were made, unless not all of it could be read. err is why they could not be
// made.
func finished(f, spool *store.Folder, unread, err error) error {
	if err != nil {
		return err
	}
	if unread != nil {
		way := "make them readable, then recover the run again"
		if errors.Is(unread, store.ErrDamaged) {
			way = "what could be read is in the result; replace the damaged file by a copy if there is one, then recover the run again"
		}
		return fmt.Errorf("the result is incomplete, so the readings stay in %s: %w (%s)", spool.Path(), unread, way)
	}
	return errors.Join(store.RemoveSpool(f), f.RemoveTemps())
}

// awaitLock locks the spool of a run whose runner has ended. Its sampler holds the lock until it has noticed that and closed
// its files.
func awaitLock(spool *store.Folder) error {
	for deadline := time.Now().Add(samplerEnds); ; time.Sleep(10 * time.Millisecond) {
		if err := spool.Lock(); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// samplerEnds is how long a sampler may take to end after its runner. A source that hangs takes the longest.
const samplerEnds = 4 * time.Second

// Unused removes the folder of a run that was killed while it started: one without a manifest and without readings. It
// reports whether it did. It leaves a folder that is in use or, unless others is true, another user's.
func Unused(dir string, others bool) bool {
	f, err := store.OpenRun(dir)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it is removed, or was only read
	return own(f, others) == nil && f.Dead() && f.Unused() && f.Discard() == nil
}

// Leftovers reports whether the folder of a finished run has a spool, because the run was killed just before its end or
// because not all of the spool could be read.
func Leftovers(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, store.SpoolFolder))
	return err == nil
}

// begun estimates the start of an interrupted run: its first reading or, without one, the time when ergon was called.
func begun(spool *store.Folder, called time.Time) time.Time {
	list, err := store.FirstReadings(spool)
	if err != nil || len(list) == 0 || list[0].Anchor.IsZero() {
		return called
	}
	return list[0].Anchor
}
