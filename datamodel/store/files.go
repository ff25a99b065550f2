package store

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/ergon-energy/ergon/datamodel"
)

// Files writes the files of a run's folder together. Each file gets its content under a temporary name. SaveManifest syncs
// them all at once, since most of the time of a small file is its fsync, and then renames them. All methods but
// SaveManifest, Keep and Drop may be called concurrently. The zero value is ready to use.
type Files struct {
	mu    sync.Mutex
	files []*written
}

// written is a file that has its content but not its final name yet.
type written struct {
	file       *os.File
	buffer     *bufio.Writer
	temp, path string
	err        error
}

// create writes a file under a temporary name beside path. An error is a *fs.PathError with path.
func create(path string, mode fs.FileMode, fill func(w io.Writer) error) (*written, error) {
	out, err := begin(path, mode)
	if err != nil {
		return nil, err
	}
	if err = fill(out.buffer); err == nil {
		err = out.buffer.Flush()
	}
	if err != nil {
		return nil, out.fail(err)
	}
	return out, nil
}

// begin opens a file under a temporary name beside path. Its buffer is flushed by the caller. The error is a *fs.PathError
// with path.
func begin(path string, mode fs.FileMode) (*written, error) {
	dir, base := filepath.Split(path)
	// The process id separates an ergon that measures from one that recovers the same run. os.CreateTemp would leave the
	// mode 0600, so others could not read the results even if the umask allows it.
	temp := filepath.Join(dir, "."+base+"."+strconv.Itoa(os.Getpid())+".tmp")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return nil, &fs.PathError{Op: "write", Path: path, Err: causeAt(temp, err)}
	}
	return &written{file: f, buffer: bufio.NewWriterSize(f, 16<<10), temp: temp, path: path}, nil // large pages bypass it
}

// sync writes the content to the disk and closes the file.
func (w *written) sync() error {
	if err := w.file.Sync(); err != nil {
		return w.fail(err)
	}
	if err := w.file.Close(); err != nil {
		return w.fail(err)
	}
	return nil
}

// name renames the file to its final name.
func (w *written) name() error {
	if err := os.Rename(w.temp, w.path); err != nil {
		return w.fail(err)
	}
	return nil
}

// fail removes what was written and returns a *fs.PathError.
func (w *written) fail(err error) error {
	_ = w.file.Close() // closed already if Close or Rename failed
	_ = os.Remove(w.temp)
	return &fs.PathError{Op: "write", Path: w.path, Err: causeAt(w.temp, err)}
}

// put adds a file to the batch.
func (b *Files) put(path string, fill func(w io.Writer) error) error {
	w, err := create(path, 0o666, fill)
	if err != nil {
		return err
	}
	b.add(w)
	return nil
}

// add takes a file with its content into the batch.
func (b *Files) add(w *written) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files = append(b.files, w)
}

// Drop removes the files that have no final name yet.
func (b *Files) Drop() {
	for _, w := range b.files {
		_ = w.fail(nil)
	}
	b.files = nil
}

// SaveManifest writes manifest.json and finishes the batch. Every file is then on the disk under its final name, the
// manifest renamed last, and the names are durable. If another file cannot be written, there is no manifest, since it
// would be wrong.
func (b *Files) SaveManifest(dir string, run datamodel.Run) error {
	text, err := manifestText(dir, run)
	if err == nil {
		err = b.put(filepath.Join(dir, ManifestFile), func(w io.Writer) error {
			_, err := w.Write(text)
			return err
		})
	}
	if err != nil {
		return errors.Join(err, b.commit()) // the other files are useful by themselves
	}
	if err := b.commit(); err != nil {
		return err
	}
	return syncDir(dir)
}

// Keep finishes the batch without a manifest. Files that could be written get their final names.
func (b *Files) Keep() error { return b.commit() }

// commit syncs all files concurrently and renames those that are good. If one is not, it removes the manifest.
func (b *Files) commit() error {
	var all sync.WaitGroup
	for _, w := range b.files {
		all.Go(func() { w.err = w.sync() })
	}
	all.Wait()
	var errs []error
	for _, w := range b.files {
		switch {
		case w.err != nil:
			errs = append(errs, w.err)
		case filepath.Base(w.path) == ManifestFile && errors.Join(errs...) != nil:
			_ = w.fail(nil)
		default:
			errs = append(errs, w.name())
		}
	}
	b.files = nil
	return errors.Join(errs...)
}
