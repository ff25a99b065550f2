package store

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/ergon-energy/ergon/datamodel"
)

// Files writes the files of a run's folder together. Each file gets its content under a temporary name. SaveManifest syncs
// them all at once, since most of the time of a small file is its fsync, and then renames them. All methods but
// SaveManifest, Keep and Drop may be called concurrently.
type Files struct {
	dir    *Folder
	packer func() (*zstd.Encoder, error) // made at its first use
	mu     sync.Mutex
	files  []*written
}

// Files begins to write files into the folder.
func (f *Folder) Files() *Files { return &Files{dir: f, packer: sync.OnceValues(newPacker)} }

// written is a file that has its content but not its final name yet.
type written struct {
	dir     *Folder
	file    *os.File
	content *tee // the file and its digest
	buffer  *bufio.Writer
	temp    string // its name in dir
	final   string // the name that it gets
	err     error
}

// write writes a file under a temporary name. An error is a *fs.PathError with the final name.
func (f *Folder) write(name string, fill func(w io.Writer) error) (*written, error) {
	out, err := f.begin(name)
	if err != nil {
		return nil, err
	}
	if err := out.fill(fill); err != nil {
		return nil, out.fail(err)
	}
	return out, nil
}

// fill writes the content.
func (w *written) fill(fill func(w io.Writer) error) error {
	if err := fill(w.buffer); err != nil {
		return err
	}
	return w.buffer.Flush()
}

// begin makes a file under a temporary name. Its buffer is flushed by the caller. The error is a *fs.PathError with the
// final name.
func (f *Folder) begin(name string) (*written, error) { return f.beginAs(name, f.rights()) }

func (f *Folder) beginAs(name string, r rights) (*written, error) {
	file, temp, err := f.createTemp(name, r)
	if err != nil {
		return nil, f.fault("write", name, err)
	}
	content := &tee{file: file, sum: sha256.New()}
	buffer := bufio.NewWriterSize(content, 16<<10) // large pages bypass it
	return &written{dir: f, file: file, content: content, buffer: buffer, temp: temp, final: name}, nil
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
	if err := w.dir.Rename(w.temp, w.final); err != nil {
		return w.fail(err)
	}
	return nil
}

// fail removes what was written and returns a *fs.PathError.
func (w *written) fail(err error) error {
	_ = w.file.Close() // closed already if Close or Rename failed
	_ = w.dir.Remove(w.temp)
	return w.dir.fault("write", w.final, err)
}

// put adds a file to the batch.
func (b *Files) put(name string, fill func(w io.Writer) error) error {
	w, err := b.dir.write(name, fill)
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
func (b *Files) SaveManifest(run datamodel.Run) error {
	run.Files = []datamodel.File{}
	for _, w := range b.files {
		run.Files = append(run.Files, w.content.entry(w.final))
	}
	return b.saveManifest(run)
}

// saveManifest is SaveManifest with the list of files as it is in run.
func (b *Files) saveManifest(run datamodel.Run) error {
	slices.SortFunc(run.Files, func(a, b datamodel.File) int { return strings.Compare(a.Name, b.Name) })
	text, err := manifestText(b.dir, run)
	if err == nil {
		err = b.put(ManifestFile, func(w io.Writer) error {
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
	return b.dir.Sync()
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
		case w.final == ManifestFile && errors.Join(errs...) != nil:
			_ = w.fail(nil)
		default:
			errs = append(errs, w.name())
		}
	}
	b.files = nil
	return errors.Join(errs...)
}
