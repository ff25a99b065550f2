// Package store keeps a run on disk: the spool that the sampler writes while the target runs, the Parquet files and the
// manifest that are made of it afterwards, and the folders that hold them.
//
//	RESULTS/project=P/date=YYYY-MM-DD/run=ID/
//	  manifest.json     the run: datamodel.Run
//	  summary.parquet   one row a round, each metric of the summary is a column
//	  nodes.parquet     the tree, one row a node
//	  metrics.parquet   one row a node and metric, each figure once
//	  samples.parquet   the raw readings
//	  series.parquet    the courses that charts show, one row a part
//	  processes.parquet the target's processes, one row each
//	  spool/*.arrows    one Arrow IPC stream a source, while the run is not yet processed
//	  spool/processes.* what is known of the target's processes, meanwhile
//	  spool/run.json    what the runner knew when the target had ended: State
//
// The folders are Hive partitions (https://duckdb.org/docs/data/partitioning/hive_partitioning), so one line of pandas,
// Polars or DuckDB reads one run or all of them. No other package imports Arrow. Of Parquet this one imports only
// parquet/file, because parquet/pqarrow links gRPC. A file with any content leads to an error, never to a panic.
package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The names in a run's folder.
const (
	ManifestFile = "manifest.json"
	NodesFile    = "nodes.parquet"
	MetricsFile  = "metrics.parquet"
	SummaryFile  = "summary.parquet"
	SamplesFile  = "samples.parquet"
	// SeriesFile exists if the run was long enough for a chart.
	SeriesFile = "series.parquet"
	// ProcessesFile exists if the target's processes were recorded.
	ProcessesFile = "processes.parquet"
	// EventsFile exists if there were events.
	EventsFile = "events.parquet"
	// RegionsFile exists if the target told of regions.
	RegionsFile = "regions.parquet"
	SpoolFolder = "spool"
)

// ErrForeign means that a file is not one of ergon's, or has a version that this ergon does not know.
var ErrForeign = errors.New("not a file of this version of ergon")

// ErrNewer means that a later version of ergon wrote a file. It is an ErrForeign too.
var ErrNewer error = newerError{}

type newerError struct{}

func (newerError) Error() string { return "a newer ergon wrote it (update ergon to read it)" }

func (newerError) Is(target error) bool { return target == ErrForeign }

// replace lets fill write a file under a temporary name beside path. Once the content is on the disk it gives the file its
// name, and makes the name durable. If anything fails, it removes the temporary file and returns a *fs.PathError with path.
// The file gets the rights.
func replace(path string, r rights, fill func(w io.Writer) error) error {
	name := filepath.Base(path)
	dir, err := OpenFolder(filepath.Dir(path))
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: causeAt(filepath.Dir(path), err)}
	}
	defer func() { _ = dir.Close() }() // what was written is synced
	if owner, ok := dir.ownerOf(name); ok && os.Geteuid() == 0 {
		r.owner = &owner // root leaves a user's file to the user
	}
	w, err := dir.beginAs(name, r)
	if err != nil {
		return err
	}
	if err := w.fill(fill); err != nil {
		return w.fail(err)
	}
	if err := w.sync(); err != nil {
		return err
	}
	if err := w.name(); err != nil {
		return err
	}
	return dir.Sync()
}

// causeAt strips the name of a file from an error, for a caller that names the file itself. It returns an error about
// another file as it is.
func causeAt(name string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok && e.Path == name {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok && e.Old == name {
		return e.Err
	}
	return err
}

// WriteFile lets fill write a file that a user has named. A new file belongs to owner, or to the user of this process if that
// is nil; an older one keeps its owner. Either the file is whole and synced, or what was there before
// remains; the mode stays. It writes straight to anything that is not a regular file, such as a pipe or a terminal, and
// to descriptors like /dev/stdout, since another process may go on writing there.
func WriteFile(path string, owner *Owner, fill func(w io.Writer) error) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return replace(path, byUmask(owner), fill)
	case err != nil:
		return fmt.Errorf("write: %w", err)
	}
	flags := os.O_WRONLY
	asItIs := !info.Mode().IsRegular() || strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/")
	if asItIs {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0) // also if it is replaced: a rename needs no permission to write the old file
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if asItIs {
		return writeTo(f, fill)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil { // a link stays one
		return fmt.Errorf("write: %w", err)
	}
	return replace(path, rights{mode: info.Mode().Perm(), exact: true}, fill)
}

// writeTo lets fill write to an open file and closes it.
func writeTo(f *os.File, fill func(w io.Writer) error) error {
	err := fill(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// guard turns a panic into an error, for libraries that panic on damaged bytes. Failures that mean a broken program,
// such as concurrent writes to a map, are not panics, so guard cannot hide them.
func guard(what string, err *error) {
	if r := recover(); r != nil {
		cause, ok := r.(error)
		if !ok {
			cause = fmt.Errorf("%v", r)
		}
		*err = fmt.Errorf("%s: damaged: %w", what, cause)
	}
}
