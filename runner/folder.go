package runner

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// folder has the folder of a run, and the spool folder with the readings while the run lasts.
type folder struct {
	run     *store.Folder // the run's folder, locked: a run that still goes on cannot be recovered; nil if nothing is kept
	spool   *store.Folder // the folder for the readings; nil until it is made
	room    *store.Room   // the space for what only the runner knows; nil without a run's folder
	more    int           // bytes beyond the usual that the room needs
	cleared chan struct{} // closed when a temporary spool is removed; nil before its removal begins
}

// make makes the folder of a run below results. It reserves the space that is needed at the end, because the command may
// fill the disk. If results is empty, make only checks that a temporary folder can be made. newDir explains fresh, and
// a says whom the run belongs to and who may read it.
func (f *folder) make(results string, run *datamodel.Run, fresh func() string, a store.Access) (err error) {
	if results == "" {
		return mayWrite(os.TempDir())
	}
	f.run, err = newDir(results, run, fresh, a)
	if errors.Is(err, os.ErrExist) {
		return err
	}
	if err == nil {
		err = f.makeSpool(run)
	}
	if err != nil {
		return fmt.Errorf("results folder: %w: choose another with -o DIR, or keep nothing with --no-save", err)
	}
	return nil
}

// makeSpool makes the folder for the readings in the run's folder, locks it, and reserves the space for the end.
func (f *folder) makeSpool(run *datamodel.Run) (err error) {
	if f.spool, err = f.run.Make(store.SpoolFolder); err != nil {
		return err
	}
	if err := f.spool.Lock(); err != nil {
		return err
	}
	f.room, err = store.ReserveState(f.spool, f.more+4*len(strings.Join(run.Command, "")))
	return err
}

// dir returns the path of the run's folder, or "" if nothing is kept.
func (f *folder) dir() string {
	if f.run == nil {
		return ""
	}
	return f.run.Path()
}

// noTemp wraps the error of a temporary folder that cannot be made, and says how to choose another.
func noTemp(err error) error {
	return fmt.Errorf("temporary folder for the readings: %w: set TMPDIR to one that can be written", err)
}

// needSpool makes a temporary folder for the readings if there is no spool yet.
func (f *folder) needSpool() (err error) {
	if f.spool != nil {
		return nil
	}
	if f.spool, err = store.TempFolder(); err != nil {
		f.spool = nil
		return noTemp(err)
	}
	return nil
}

// clear starts to remove a temporary spool, in parallel. close waits for it.
func (f *folder) clear() {
	if f.run != nil || f.spool == nil {
		return
	}
	f.cleared = make(chan struct{})
	go func() {
		defer close(f.cleared)
		_ = f.spool.Discard()
	}()
}

// close removes a temporary spool, and releases the lock.
func (f *folder) close() {
	if f.cleared == nil {
		f.clear()
	}
	if f.cleared != nil {
		<-f.cleared
	}
	if f.room != nil {
		_ = f.room.Close() // it has told its errors
	}
	for _, held := range []*store.Folder{f.spool, f.run} {
		if held != nil {
			_ = held.Close() // nothing was written through it
		}
	}
}

// discard removes the folder of a run that was not started.
func (f *folder) discard() {
	if f.run != nil {
		_ = f.run.Discard()
	}
}
