package runner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// folder has the folder of a run, and the spool folder with the readings while the run lasts.
type folder struct {
	dir     string        // the run's folder; empty if nothing is kept
	spool   string        // the folder for the readings; empty until it is made
	lock    *os.File      // locks the spool: a run that still goes on cannot be recovered
	cleared chan struct{} // closed when a temporary spool is removed; nil before its removal begins
}

// make makes the folder of a run below results. It reserves the space that is needed at the end, because the command may
// fill the disk. If results is empty, make only checks that a temporary folder can be made. newDir explains fresh.
func (f *folder) make(results string, run *datamodel.Run, fresh func() string) (err error) {
	if results == "" {
		return mayWrite(os.TempDir())
	}
	f.dir, err = newDir(results, run, fresh)
	if errors.Is(err, os.ErrExist) {
		return err
	} else if err != nil {
		return fmt.Errorf("results folder: %w: choose another with -o DIR, or keep nothing with --no-save", err)
	}
	f.spool = filepath.Join(f.dir, store.SpoolFolder)
	if err := os.Mkdir(f.spool, 0o777); err != nil {
		return fmt.Errorf("results folder: %w", err)
	}
	if err := store.ReserveState(f.spool, 2*len(strings.Join(run.Command, ""))); err != nil {
		return fmt.Errorf("results folder: %w", err)
	}
	f.lock, err = lockFolder(f.spool)
	return err
}

// noTemp wraps the error of a temporary folder that cannot be made, and says how to choose another.
func noTemp(err error) error {
	return fmt.Errorf("temporary folder for the readings: %w: set TMPDIR to one that can be written", err)
}

// needSpool makes a temporary folder for the readings if there is no spool yet.
func (f *folder) needSpool() (err error) {
	if f.spool != "" {
		return nil
	}
	if f.spool, err = os.MkdirTemp("", "ergon-"); err != nil {
		f.spool = ""
		return noTemp(err)
	}
	return nil
}

// clear starts to remove a temporary spool, in parallel. close waits for it.
func (f *folder) clear() {
	if f.dir != "" || f.spool == "" {
		return
	}
	f.cleared = make(chan struct{})
	go func() {
		defer close(f.cleared)
		_ = os.RemoveAll(f.spool)
	}()
}

// close removes a temporary spool, and releases the lock.
func (f *folder) close() {
	if f.cleared != nil {
		<-f.cleared
	} else if f.dir == "" && f.spool != "" {
		_ = os.RemoveAll(f.spool)
	}
	if f.lock != nil {
		_ = f.lock.Close()
	}
}

// discard removes the folder of a run that was not started.
func (f *folder) discard() {
	if f.dir != "" {
		_ = os.RemoveAll(f.dir)
		_ = os.Remove(filepath.Dir(f.dir)) // the folder of the date, if it is empty, and the folder of the project
		_ = os.Remove(filepath.Dir(filepath.Dir(f.dir)))
	}
}
