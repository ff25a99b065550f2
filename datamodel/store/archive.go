package store

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
)

// ArchiveFolder is the folder in a results folder with the runs whose rows are in the joined tables. A run has the same path in it
// as it had in the results folder.
const ArchiveFolder = "_archive"

// archived returns the path in the archive of a folder so many levels below the results folder. It returns the path itself if it
// leads into an archive.
func archived(dir string, levels int) string {
	results, below := dir, ""
	for range levels {
		below = filepath.Join(filepath.Base(results), below)
		results = filepath.Dir(results)
	}
	if filepath.Base(results) == ArchiveFolder {
		return dir
	}
	return filepath.Join(results, ArchiveFolder, below)
}

// The levels of folders in a results folder: project=P/date=D/run=ID.
const (
	dayLevels = 2
	runLevels = 3
)

// Moved returns the folder of a run in the archive, if the run was moved there from dir. It is empty otherwise.
func Moved(dir string) string {
	if !InResults(dir) || IsRun(dir) {
		return ""
	}
	if at := archived(dir, runLevels); at != dir && IsRun(at) {
		return at
	}
	return ""
}

// unmoved reads something of a run. If that fails because the run was moved to the archive meanwhile, it reads it there.
func unmoved[T any](dir string, read func(dir string) (T, error)) (T, error) {
	v, err := read(dir)
	if err == nil {
		return v, nil
	}
	if at := Moved(dir); at != "" {
		return read(at)
	}
	return v, err
}

// Unarchived returns a path below a results folder without the part that leads into the archive. The run had this path before.
func Unarchived(path string) string {
	return strings.TrimPrefix(path, ArchiveFolder+string(filepath.Separator))
}

// runsOf lists the folders of the runs of a day, first those in its folder, then those in the archive. A run that is moved
// meanwhile can be seen in both; then the one in the archive counts. So no run is missed, and none is listed twice.
func runsOf(day string, note func(error)) []string {
	kept, keptErr := named(day, runPrefix)
	at := archived(day, dayLevels)
	if at == day {
		noteList(note, keptErr)
		return kept
	}
	moved, movedErr := named(at, runPrefix)
	if !errors.Is(movedErr, fs.ErrNotExist) { // most days are not in the archive
		noteList(note, movedErr)
	}
	if !errors.Is(keptErr, fs.ErrNotExist) || movedErr != nil { // all of a day may be in the archive
		noteList(note, keptErr)
	}
	if len(moved) == 0 {
		return kept
	}
	in := make(map[string]bool, len(moved))
	for _, dir := range moved {
		in[filepath.Base(dir)] = true
	}
	for _, dir := range kept {
		if !in[filepath.Base(dir)] {
			moved = append(moved, dir)
		}
	}
	return moved
}

// Archive is the archive of a results folder while runs are moved into it.
type Archive struct {
	results, dir *Folder
	// day is the folder of the runs that are moved now.
	day         *Folder
	project, at string // their names
}

const removedPrefix = ".removed-"

// OpenArchive opens the archive of a results folder and makes it if it is missing. It may not be a link. The results folder stays
// the caller's.
func OpenArchive(results *Folder) (*Archive, error) {
	dir, err := results.openOrMake(ArchiveFolder)
	if err != nil {
		return nil, err
	}
	return &Archive{results: results, dir: dir}, nil
}

// openOrMake opens a folder in this one and makes it if it is missing.
func (f *Folder) openOrMake(name string) (*Folder, error) {
	sub, err := f.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		if sub, err = f.Make(name); err == nil {
			err = f.Sync()
		} else if errors.Is(err, fs.ErrExist) {
			sub, err = f.Open(name)
		}
	}
	return sub, err
}

// Sweep removes what a killed process has not removed to the end. These runs are in no list any more.
func (a *Archive) Sweep() error {
	names, err := entries(a.dir, removedPrefix)
	for _, name := range names {
		err = errors.Join(err, a.dir.RemoveTree(name))
	}
	return err
}

// Take moves a run, which OpenRun has opened, from the results folder into the archive. The names are durable after Close, or when
// a run of another day is taken.
func (a *Archive) Take(run *Folder) error {
	if err := a.enter(run); err != nil {
		return err
	}
	name := filepath.Base(run.path)
	there, err := a.day.Open(name)
	if err == nil {
		_ = there.Close() // it was only opened
		return a.day.fault("move", name, fs.ErrExist)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !run.up.holds(name, run.handle) {
		return run.up.fault("move", name, errReplaced)
	}
	return run.up.MoveTo(name, a.day, name)
}

// enter opens the day of a run in the archive.
func (a *Archive) enter(run *Folder) error {
	day := filepath.Dir(run.path)
	project, at := filepath.Base(filepath.Dir(day)), filepath.Base(day)
	if a.day != nil && a.project == project && a.at == at {
		return nil
	}
	if err := a.leave(); err != nil {
		return err
	}
	above, err := a.dir.openOrMake(project)
	if err != nil {
		return err
	}
	defer func() { _ = above.Close() }() // it is synced
	if a.day, err = above.openOrMake(at); err != nil {
		return err
	}
	a.project, a.at = project, at
	return nil
}

// leave makes the names of a day durable, and removes the folders that have become empty.
func (a *Archive) leave() error {
	if a.day == nil {
		return nil
	}
	err := errors.Join(a.day.Sync(), a.day.Close())
	a.day = nil
	project, openErr := a.results.Open(a.project)
	if openErr != nil {
		return err
	}
	if day, openErr := project.Open(a.at); openErr == nil {
		err = errors.Join(err, day.Sync(), day.Close())
	}
	emptied := project.Remove(a.at) == nil // it fails if there are other runs
	_ = project.Close()                    // nothing else was written
	if emptied {
		_ = a.results.Remove(a.project) // likewise
	}
	return err
}

// Discard removes a run, which OpenRun has opened, with all its files. It vanishes from all lists at once.
func (a *Archive) Discard(run *Folder) error {
	name, gone := filepath.Base(run.path), removedPrefix+randomName()
	if !run.up.holds(name, run.handle) {
		return run.up.fault("remove", name, errReplaced)
	}
	if err := run.up.MoveTo(name, a.dir, gone); err != nil {
		return err
	}
	err := a.dir.RemoveTree(gone)
	for above := run.up; above.up != nil && above.up.Remove(filepath.Base(above.path)) == nil; above = above.up {
		continue // it was empty
	}
	return err
}

// Close ends the move of runs. An empty archive is removed.
func (a *Archive) Close() error {
	err := errors.Join(a.leave(), a.dir.Close())
	_ = a.results.Remove(ArchiveFolder) // it fails if there are runs
	return err
}

// ResultsOf returns the results folder that holds the folder of a run.
func ResultsOf(dir string) string {
	results := filepath.Dir(filepath.Dir(filepath.Dir(dir)))
	if filepath.Base(results) == ArchiveFolder {
		results = filepath.Dir(results)
	}
	return results
}

// InArchive reports whether the folder of a run is in an archive.
func InArchive(dir string) bool {
	return filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(dir)))) == ArchiveFolder
}
