package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"github.com/ergon-energy/ergon/datamodel"
)

// Whole is a run all of whose files hold what the manifest says.
type Whole struct {
	// Run is its manifest, and SHA256 the digest of manifest.json.
	Run    datamodel.Run
	SHA256 string
	// Others are the names in its folder that the manifest does not list.
	Others []string

	dir      *Folder
	id       string
	day      int64
	manifest []byte
	metadata string
	tables   []wholeTable
}

type wholeTable struct {
	about tableAbout
	file  *parquetFile
}

// OpenWhole opens the files of a run and checks them: their digests, their versions, and that each column is one of those that this
// ergon knows. It follows no link. The run takes over the folder, which is
// closed with it. The error is a *LeftError.
func (j *Joined) OpenWhole(dir *Folder) (*Whole, error) {
	w, err := j.openWhole(dir)
	if err != nil {
		_ = dir.Close() // it was only read
	}
	return w, leave(err)
}

func (j *Joined) openWhole(dir *Folder) (_ *Whole, err error) {
	defer guard("read "+dir.path, &err)
	text, err := dir.readLimited(ManifestFile, manifestLimit)
	if err != nil {
		return nil, err
	}
	w := &Whole{dir: dir, id: IDOf(dir.path), day: dayOf(dir.path), manifest: text}
	if w.Run, err = manifest(filepath.Join(dir.path, ManifestFile), text); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	w.SHA256 = hex.EncodeToString(sum[:])
	switch {
	case w.Run.Outcome == datamodel.Unfinished:
		return nil, fmt.Errorf("it was not finished (`ergon recover` finishes it)")
	case w.Run.Files == nil, w.Run.Schema != datamodel.ManifestSchema:
		return nil, fmt.Errorf("an older ergon made it: %w", errOldTables)
	case w.Run.ID != w.id:
		return nil, fmt.Errorf("its manifest is that of run %s", w.Run.ID)
	case !utf8.Valid(text) || !utf8.ValidString(w.id):
		return nil, errors.New("its manifest or its id is not UTF-8")
	}
	if err := w.open(j.unpack); err != nil {
		w.closeTables()
		return nil, err
	}
	return w, nil
}

// LeftError says why a run cannot be joined.
type LeftError struct{ Err error }

func (e *LeftError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *LeftError) Unwrap() error { return e.Err }

// leave makes a *LeftError of an error.
func leave(err error) error {
	if err == nil {
		return nil
	}
	return &LeftError{err}
}

// errOldTables means that a run has tables of version 1.
var errOldTables = errors.New("tables of version 1 are not joined (all readers read them where they are)")

// open opens the tables.
func (w *Whole) open(unpack *zstd.Decoder) error {
	names, err := w.dir.List()
	if err != nil {
		return err
	}
	listed := map[string]bool{ManifestFile: true}
	for _, f := range w.Run.Files {
		listed[f.Name] = true
	}
	for _, name := range names {
		switch {
		case name == SpoolFolder:
			return errors.New("it still has its spool (`ergon recover` finishes it)")
		case !listed[name]:
			w.Others = append(w.Others, name)
		}
	}
	slices.Sort(w.Others)
	metadata := map[string]map[string]string{}
	in := folderFiles{dir: w.dir.path, files: w.Run.Files, folder: w.dir, unpack: unpack}
	for _, t := range tables() {
		if !listed[t.file] {
			continue
		}
		delete(listed, t.file)
		f, err := openParquet(in, t.file, t.version)
		if err != nil {
			return err
		}
		w.tables = append(w.tables, wholeTable{t, f})
		if err := knownColumns(f, t); err != nil {
			return err
		}
		pairs := pairsOf(f.r)
		if delete(pairs, schemaKey); len(pairs) > 0 {
			metadata[t.file] = pairs
		}
	}
	if delete(listed, ManifestFile); len(listed) > 0 {
		for name := range listed {
			return fmt.Errorf("%s: this ergon does not know what it is: %w", filepath.Join(w.dir.path, name), ErrForeign)
		}
	}
	text, err := json.Marshal(metadata)
	w.metadata = string(text)
	return err
}

// knownColumns checks that this ergon knows every column of a file, so that none is lost.
func knownColumns(f *parquetFile, t tableAbout) error {
	for name := range f.cols {
		if !slices.ContainsFunc(t.columns, func(c columnAbout) bool { return c.name == name }) {
			return fmt.Errorf("read %s: column %s: %w", f.path, name, ErrNewer)
		}
	}
	_, err := sourcesOf(f, t.columns)
	return err
}

// Readable returns the mode of a file that may be read by whoever may read what is in a folder.
func (f *Folder) Readable() (fs.FileMode, error) {
	mode, _, err := f.mode()
	if err != nil {
		return 0, f.fault("read", ".", err)
	}
	return mode.Perm()&0o044 | 0o600, nil
}

// ManifestDigest returns the digest of the manifest in the folder of a run.
func (f *Folder) ManifestDigest() (string, error) {
	text, err := f.readLimited(ManifestFile, manifestLimit)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// Close closes the files and the folder of the run, and releases its lock.
func (w *Whole) Close() {
	w.closeTables()
	_ = w.dir.Close() // it was only read
}

func (w *Whole) closeTables() {
	for _, t := range w.tables {
		t.file.close()
	}
	w.tables = nil
}

// table returns the table of a run's file; nil if the run has none.
func (w *Whole) table(name string) *parquetFile {
	for _, t := range w.tables {
		if t.about.file == name {
			return t.file
		}
	}
	return nil
}
