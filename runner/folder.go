package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// folder is where a run is kept, and where its readings are meanwhile.
type folder struct {
	dir     string        // the run's; empty when nothing is kept
	spool   string        // for the readings; empty until it is made
	lock    *os.File      // held on the spool, so that nobody recovers a run that goes on
	cleared chan struct{} // closed when a spool that is not kept is removed; nil before that is begun
}

// make makes the folder of a run below results. If results is empty, it checks that temporary files can be written. It reserves
// the space that is needed at the end, before the command can fill the disk.
func (f *folder) make(results string, run *datamodel.Run) (err error) {
	if results == "" {
		return mayWrite(os.TempDir())
	}
	f.dir, err = store.NewRunDir(results, run.Project, run.Start, run.ID)
	if err != nil {
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

// noTemp says why the readings cannot be kept meanwhile.
func noTemp(err error) error {
	return fmt.Errorf("temporary folder for the readings: %w: set TMPDIR to one that can be written", err)
}

// needSpool makes a folder for the readings if there is none yet, as nothing is kept.
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

// clear starts to remove a spool that is not kept, in the background. Its readings have been read.
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

// close returns when what is not kept is removed.
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

// discard removes the folder of a run that never was.
func (f *folder) discard() {
	if f.dir != "" {
		_ = os.RemoveAll(f.dir)
		_ = os.Remove(filepath.Dir(f.dir)) // the date's, if it is empty
		_ = os.Remove(filepath.Dir(filepath.Dir(f.dir)))
	}
}
