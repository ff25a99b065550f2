// Package store keeps a run on disk: the spool that the sampler writes while the target runs, the Parquet files and
// the manifest made of it afterwards, and the folders these live in.
//
//	RESULTS/project=P/date=YYYY-MM-DD/run=ID/
//	  manifest.json     the run: datamodel.Run
//	  nodes.parquet     the tree, one row a node
//	  metrics.parquet   one row a node and metric
//	  samples.parquet   host, sensor, time, elapsed, value
//	  processes.parquet the target's processes, one row each
//	  spool/*.arrows    one Arrow IPC stream a source, while the run is not yet processed
//	  spool/processes.* what is known of the target's processes, meanwhile
//	  spool/run.json    what the runner knew when the target had ended: State
//
// The folders are Hive partitions (https://duckdb.org/docs/data/partitioning/hive_partitioning), so one line reads
// one run or all of them. It is the only package that imports Arrow, and of Parquet only parquet/file: parquet/pqarrow
// links gRPC. Whatever is in a file, a function here returns an error and does not panic.
package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// The names in a run's folder.
const (
	ManifestFile = "manifest.json"
	NodesFile    = "nodes.parquet"
	MetricsFile  = "metrics.parquet"
	SamplesFile  = "samples.parquet"
	// ProcessesFile is there where the target's processes were looked at.
	ProcessesFile = "processes.parquet"
	SpoolFolder   = "spool"
)

// ErrForeign is wrapped where a file is none of ergon's or of a version this ergon does not know.
var ErrForeign = errors.New("not a file of this version of ergon")

// replaceFile lets fill write a file under a temporary name beside path and gives it the name path once its content
// is on the disk. Where anything fails, neither name is left behind, and the error is a *fs.PathError with path. The caller syncs the folder when it is done with
// all its files, since a rename is only durable with the folder.
func replaceFile(path string, fill func(w io.Writer) error) error { return replace(path, 0o666, fill) }

// replace is replaceFile with the mode of the file, before the umask.
func replace(path string, mode fs.FileMode, fill func(w io.Writer) error) (err error) {
	dir, base := filepath.Split(path)
	// The process id keeps apart an ergon that measures and one that recovers the same run. Not os.CreateTemp, whose
	// mode 0600 would stay and keep results from being read by others where the umask allows that.
	temp := filepath.Join(dir, "."+base+"."+strconv.Itoa(os.Getpid())+".tmp")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: causeAt(temp, err)}
	}
	defer func() {
		if err != nil {
			_ = f.Close() // closed already where it was Close or Rename that failed
			_ = os.Remove(temp)
			err = &fs.PathError{Op: "write", Path: path, Err: causeAt(temp, err)}
		}
	}()
	w := bufio.NewWriterSize(f, 16<<10) // pages go past it
	if err = fill(w); err != nil {
		return err
	}
	if err = w.Flush(); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// causeAt is what went wrong with the file of that name, which is not worth saying; any other error stays as it is.
func causeAt(name string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok && e.Path == name {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok && e.Old == name {
		return e.Err
	}
	return err
}

// WriteFile lets fill write a file that a user has named: whole and synced, or whatever was there before is there still, with
// its mode. What is no regular file, such as a pipe or a terminal, is written to as it is, and so are descriptors like
// /dev/stdout, behind which somebody else may go on writing.
func WriteFile(path string, fill func(w io.Writer) error) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return replaceFile(path, fill)
	case err != nil:
		return fmt.Errorf("write: %w", err)
	}
	flags := os.O_WRONLY
	asItIs := !info.Mode().IsRegular() || strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/")
	if asItIs {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0) // also where it is replaced: a rename does not ask whether it may be written to
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
	if err := replace(path, info.Mode().Perm(), fill); err != nil {
		return err
	}
	return os.Chmod(path, info.Mode().Perm()) // what the umask took away
}

// writeTo lets fill write to an open file and closes it.
func writeTo(f *os.File, fill func(w io.Writer) error) error {
	err := fill(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be opened for writing there, and NTFS journals its names
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	// Some network and FUSE file systems know no fsync of a folder; the files are there all the same.
	if err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) && !unsupportedSync(err) {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

// guard turns a panic of a library that met bytes it cannot handle into an error. Run-time errors that mean a broken
// program and not a broken file, such as a failed write to a map, are not panics a deferred function ever sees.
func guard(what string, err *error) {
	if r := recover(); r != nil {
		cause, ok := r.(error)
		if !ok {
			cause = fmt.Errorf("%v", r)
		}
		*err = fmt.Errorf("%s: damaged: %w", what, cause)
	}
}
