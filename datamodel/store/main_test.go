package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// The test binary is its own helper process: these variables say what it is to be.
const (
	childVariable = "ERGON_STORE_TEST_CHILD"
	dirVariable   = "ERGON_STORE_TEST_DIR"
	childConvert  = "convert"
	childSpool    = "spool"
	childFull     = "full"
	childFullRun  = "full run"
	childTape     = "tape"
)

// folderAt opens a folder, and makes it if it is missing.
func folderAt(dir string) *store.Folder {
	err := os.MkdirAll(dir, 0o777)
	var f *store.Folder
	if err == nil {
		f, err = store.OpenFolder(dir)
	}
	if err != nil {
		panic(err)
	}
	return f
}

// newRun makes the folder of a run and returns its path. The run does not go on.
func newRun(results, project string, called time.Time, id string) (string, error) {
	f, err := store.NewRun(results, project, called, id, store.Access{})
	if err != nil {
		return "", err
	}
	return f.Path(), f.Close()
}

// convert converts the spools of a folder. If samples is not empty, it writes samples.parquet beside it.
func convert(spool, samples string, observe store.Observer) (store.Converted, error) {
	var files *store.Files
	if samples != "" {
		files = folderAt(filepath.Dir(samples)).Files()
	}
	folder, err := store.OpenFolder(spool)
	if err != nil {
		return store.Converted{}, err
	}
	defer folder.Close()
	c, err := files.Convert(folder, observe)
	if err != nil {
		return store.Converted{}, err
	}
	done, err := c.Close()
	if files != nil {
		err = errors.Join(err, files.Keep())
	}
	return done, err
}

// saveTree writes the tree of a run.
func saveTree(dir string, run datamodel.Run, tree *datamodel.Node) error {
	files := folderAt(dir).Files()
	defer files.Drop()
	if err := files.SaveTree(run, tree); err != nil {
		return err
	}
	return files.Keep()
}

// saveProcesses writes the table of processes.
func saveProcesses(dir string, run datamodel.Run, rows []datamodel.Process, columns []datamodel.ProcessColumn) error {
	files := folderAt(dir).Files()
	return errors.Join(files.SaveProcesses(run, rows, columns), files.Keep())
}

// saveManifest writes the manifest with the digests of the files that are there.
func saveManifest(dir string, run datamodel.Run) error { return store.SaveManifest(folderAt(dir), run) }

func TestMain(m *testing.M) {
	dir := os.Getenv(dirVariable)
	var err error
	switch os.Getenv(childVariable) {
	case "":
		os.Exit(m.Run())
	case childConvert:
		err = convertChild(dir)
	case childSpool:
		err = spoolChild(dir)
	case childFull:
		err = fullChild(dir)
	case childFullRun:
		err = fullRunChild(dir)
	case childBomb:
		err = bombChild(dir)
	case childTape:
		err = tapeChild(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// spoolChild writes readings to a spool, telling on stdout what is flushed, until it is killed.
func spoolChild(dir string) error {
	s, err := store.CreateSpool(folderAt(dir), header("cpu", 3))
	if err != nil {
		return err
	}
	values := make([]float64, 3)
	for tick := 0; ; tick++ {
		for i := range values {
			values[i] = reading(tick, i)
		}
		if !s.Append(tickTime(tick), values) {
			return fmt.Errorf("tick %d refused", tick)
		}
		if tick%10 == 9 {
			if err := s.Flush(); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(os.Stdout, tick+1); err != nil {
				return err
			}
		}
		time.Sleep(time.Microsecond) // a beat
	}
}
