package runner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// Tape says what a tape keeps of a run. Somebody else can make the same result from the tape.
type Tape struct {
	// File is the tape's file. If it is empty, no tape is written.
	File string
	// Arguments keeps the arguments of the command.
	Arguments bool
	// Names keeps the names of machine, user and folders. Without it, Hide replaces each string of the run and of its
	// sensors. Hide may be nil.
	Names bool
	Hide  func(string) string
}

// saveTape writes the tape, before the readings are processed.
func (o *round) saveTape(t *taken) error {
	if o.Tape.File == "" {
		return nil
	}
	if err := errors.Join(o.folder.needSpool(), t.save(o.folder.spool)); err != nil {
		return err
	}
	o.describe()
	tape := store.Tape{Run: o.run, Ledger: o.ledger, LeftOut: []string{"the environment"}}
	tape.Run.Host.Environment = nil
	hide := o.Tape.Hide
	if o.Tape.Names {
		hide = nil
	} else {
		tape.Run.Host.Name, tape.Run.Host.Git, tape.Run.Host.Cgroup = "machine", nil, ""
		tape.LeftOut = append(tape.LeftOut, "the git commit, and the names of machine, user and folders")
	}
	if !o.Tape.Arguments {
		tape.Run.SetCommand([]string{filepath.Base(o.run.Command[0])})
		tape.LeftOut = append(tape.LeftOut, "the command's arguments")
	}
	return store.SaveTape(o.Tape.File, tape, o.folder.spool, hide, o.Access)
}

// Replay makes the result of a tape, as if its readings had been taken now. It keeps the result below results, in the folder
// dir. If results is empty, it keeps nothing. The run's id is the tape's id followed by "-replay" and, if that id is taken, a
// number. Factors that the tape has, and given lacks, stay.
func Replay(file, results, version string, given datamodel.Factors, a store.Access) (result datamodel.Result, dir string, err error) {
	tape, err := store.OpenTape(file)
	if err != nil {
		return result, "", err
	}
	defer func() { _ = tape.Close() }() // it was only read
	run := tape.Run
	run.Factors = given.Over(run.Factors)
	run.Replayed = &datamodel.Replay{Tape: filepath.Base(file), LeftOut: tape.LeftOut, Version: version}
	if results == "" {
		spool, err := store.TempFolder()
		if err != nil {
			return result, "", noTemp(err)
		}
		made, err := replay(tape, &run, spool, nil)
		return resultOf(run, made), "", errors.Join(err, spool.Discard(), spool.Close())
	}
	folder, err := replayDir(results, &run, a)
	if err != nil {
		return result, "", fmt.Errorf("results folder: %w: choose another with -o DIR, or keep nothing with --no-save", err)
	}
	defer func() { _ = folder.Close() }() // what was written is synced
	made, err := replayInto(folder, tape, &run)
	if err != nil {
		err = errors.Join(err, folder.Discard()) // the tape is still there
	}
	return resultOf(run, made), folder.Path(), err
}

// replayInto makes the result of a tape and keeps it in a run's folder.
func replayInto(folder *store.Folder, tape *store.TapeFile, run *datamodel.Run) (made account.Result, err error) {
	spool, err := folder.Make(store.SpoolFolder)
	if err != nil {
		return made, err
	}
	defer func() { _ = spool.Close() }() // it is removed
	files := folder.Files()
	defer files.Drop()
	if made, err = replay(tape, run, spool, files); err != nil {
		return made, err
	}
	if err := errors.Join(save(files, *run, made), files.SaveManifest(*run)); err != nil {
		return made, err
	}
	return made, store.RemoveSpool(folder)
}

// replay makes the result of a tape, whose readings it unpacks into a spool folder.
func replay(tape *store.TapeFile, run *datamodel.Run, spool *store.Folder, files *store.Files) (made account.Result, err error) {
	if err := tape.Unpack(spool); err != nil {
		return made, err
	}
	made, _, err = digest(run, tape.Ledger, taken{spool: spool}, files, false, nil)
	return made, err
}

// replayDir makes the folder of a replayed run and gives the run the first free id.
func replayDir(results string, run *datamodel.Run, a store.Access) (dir *store.Folder, err error) {
	id := run.ID + "-replay"
	// As for every run, the date comes from the id. The command may start a day later, after its baseline.
	word, _, _ := strings.Cut(run.ID, "-")
	called, notOurs := time.Parse(store.IDTime, word)
	if notOurs != nil {
		called = run.Start
	}
	for n := 1; ; n++ {
		run.ID = id
		if n > 1 {
			run.ID += "-" + strconv.Itoa(n)
		}
		dir, err = store.NewRun(results, run.Project, called, run.ID, a)
		if !errors.Is(err, os.ErrExist) || n == 1000 {
			return dir, err
		}
	}
}

// TapeSensors returns the run on a tape, and the sources with the first reading of each sensor. A sensor without a reading
// has NaN.
func TapeSensors(file string) (readings []store.Readings, run datamodel.Run, err error) {
	tape, err := store.OpenTape(file)
	if err != nil {
		return nil, run, err
	}
	defer func() { _ = tape.Close() }() // it was only read
	spool, err := store.TempFolder()
	if err != nil {
		return nil, run, noTemp(err)
	}
	defer func() { err = errors.Join(err, spool.Discard(), spool.Close()) }()
	if err = tape.Unpack(spool); err != nil {
		return nil, run, err
	}
	readings, err = store.FirstReadings(spool)
	return readings, tape.Run, err
}
