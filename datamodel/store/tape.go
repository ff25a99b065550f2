package store

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
)

const (
	tapeKind = "ergon.tape/"
	// tapeSchema is the version of the tapes. It rises with that of the spools on them.
	tapeSchema = tapeKind + "2"
	// tapeManifest is the entry with the Tape, tapeSpool what the names of the spools begin with.
	tapeManifest = "tape.json"
	tapeSpool    = SpoolFolder + "/"

	// A tape comes from a stranger, so what it may grow to is bounded: it has so many entries at most, its manifest so many
	// bytes, and all of it no more than tapeFree and so many times the bytes of the file. Deflate can do 1032 times; a run
	// comes to 4, thirty counters that stand at 0 for hours to 55.
	tapeEntries       = 256
	tapeManifestLimit = 4 << 20
	tapeFree          = 1 << 30
	tapeRatio         = 100
)

// Tape is what is needed to process the readings of a run, except for the readings themselves.
type Tape struct {
	// Run is the manifest after the last reading, before the readings were processed.
	Run datamodel.Run `json:"run"`
	// Ledger is what the runner knew by itself.
	Ledger datamodel.Ledger `json:"ledger"`
	// LeftOut says what was left out or changed, for people: "command arguments".
	LeftOut []string `json:"left_out"`
}

// tapeMeta is a Tape as it is stored.
type tapeMeta struct {
	Schema  string `json:"schema"`
	Version string `json:"version"`
	// Spools lists the files of the spool folder that are on the tape. An older ergon wrote no list.
	Spools []string `json:"spools,omitempty"`
	Tape
}

// SaveTape writes a tape: a zip archive of tape.json and of the files in a spool folder as they are. Every string in t, in the
// headers of the spools and in the marks goes through hide, unless hide is nil. The host in the headers becomes the host of t. If
// file exists already, SaveTape returns an error. a says whom the tape belongs to and who may read it. If anything fails,
// SaveTape leaves no file.
func SaveTape(file string, t Tape, spool *Folder, hide func(string) string, a Access) error {
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("write %s: %w", file, os.ErrExist)
	}
	if hide == nil {
		hide = func(s string) string { return s }
	}
	meta, err := rewritten(tapeMeta{Schema: tapeSchema, Version: t.Run.Version, Tape: t}, hide)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	command := make([]string, len(t.Run.Command)) // the bytes that JSON has lost
	for i, a := range t.Run.Command {
		command[i] = hide(a)
	}
	meta.Run.SetCommand(command)
	names, err := spool.List()
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	slices.Sort(names)
	return replace(file, a.run(), func(w io.Writer) error {
		archive := zip.NewWriter(w)
		for _, name := range names {
			if name == stateFile { // the tape has what is on it in its manifest
				continue
			}
			added, err := addSpool(archive, spool, name, meta.Run.Host.Name, hide)
			if err != nil {
				return err
			}
			if added {
				meta.Spools = append(meta.Spools, name)
			}
		}
		text, err := json.MarshalIndent(meta, "", "  ")
		if err != nil {
			return err
		}
		out, err := archive.Create(tapeManifest)
		if err != nil {
			return err
		}
		if _, err := out.Write(append(text, '\n')); err != nil {
			return err
		}
		return archive.Close()
	})
}

// addSpool copies a spool byte for byte, except for its header and the strings in marks. It leaves out a spool whose header cannot be read, since its
// readings cannot be read either, and then returns false.
func addSpool(archive *zip.Writer, spool *Folder, name, host string, hide func(string) string) (added bool, err error) {
	in, err := spool.Read(name)
	if errors.Is(err, errLink) {
		return false, nil // no file of ergon's
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = in.Close() }() // it was only read
	if isMarksFile(name) {
		return addMarks(archive, in, name, hide)
	}
	var header []byte
	if strings.HasSuffix(name, spoolExt) {
		r, err := openSpool(spool, name)
		if err != nil {
			return false, nil // there is no reading in it
		}
		defer func() { _ = r.Close() }()
		h, err := rewritten(r.Header(), hide)
		if err != nil {
			return false, err
		}
		h.Host = host
		s, err := newSpool(h)
		if err != nil {
			return false, err
		}
		if header, err = s.schemaMessage(); err != nil {
			return false, err
		}
		if _, err := in.Seek(r.size-r.left, io.SeekStart); err != nil {
			return false, err
		}
	}
	out, err := archive.Create(tapeSpool + name)
	if err != nil {
		return false, err
	}
	_, err = io.Copy(out, io.MultiReader(bytes.NewReader(header), in))
	return err == nil, err
}

// addMarks copies a file of marks. The strings in it go through hide. It leaves out lines that cannot be read.
func addMarks(archive *zip.Writer, in io.Reader, name string, hide func(string) string) (added bool, err error) {
	marks, err := decodeMarks(in)
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	out, err := archive.Create(tapeSpool + name)
	if err != nil {
		return false, err
	}
	lines := json.NewEncoder(out)
	for _, m := range marks {
		m.Name, m.ID = hide(m.Name), hide(m.ID)
		if err := lines.Encode(m); err != nil {
			return false, err
		}
	}
	return true, nil
}

// rewritten returns v with every string in it replaced by edit.
func rewritten[T any](v T, edit func(string) string) (out T, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return out, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return out, err
	}
	var walk func(any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case string:
			return edit(v)
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
		}
		return v
	}
	if text, err = json.Marshal(walk(tree)); err != nil {
		return out, err
	}
	return out, json.Unmarshal(text, &out)
}

// TapeFile is a tape that is open.
type TapeFile struct {
	Tape
	path   string
	file   *os.File
	spools []*zip.File
}

// OpenTape opens a tape and reads everything but the readings. The error wraps ErrForeign if the file is not a tape, or has
// a version that this ergon does not know.
func OpenTape(path string) (*TapeFile, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, fmt.Errorf("tape: %w", err)
	}
	t := &TapeFile{path: path, file: f}
	if err := t.open(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("tape %s: %w", path, err)
	}
	return t, nil
}

func (t *TapeFile) open() error {
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	allowed := uint64(tapeFree + tapeRatio*info.Size())
	directory := &sparing{t.file, directoryLimit}
	archive, err := zip.NewReader(directory, info.Size())
	directory.left = math.MaxInt64 // for the entries, whose sizes are checked below
	if err != nil {
		return fmt.Errorf("cut off, damaged, or no tape at all: %w: %w", err, ErrForeign)
	}
	if len(archive.File) > tapeEntries {
		return fmt.Errorf("%d entries, more than %d: %w", len(archive.File), tapeEntries, ErrForeign)
	}
	var manifest *zip.File
	seen := map[string]bool{}
	for _, e := range archive.File {
		if e.UncompressedSize64 > allowed {
			return fmt.Errorf("entry %.100q: would become %d bytes, more than its size allows for: %w", e.Name, e.UncompressedSize64, ErrForeign)
		}
		allowed -= e.UncompressedSize64
		spool, isSpool := strings.CutPrefix(e.Name, tapeSpool)
		// File systems that do not tell capitals apart would write one over the other.
		if lower := strings.ToLower(e.Name); seen[lower] {
			return fmt.Errorf("entry %.100q is there twice: %w", e.Name, ErrForeign)
		} else if seen[lower] = true; e.Name == tapeManifest {
			manifest = e
		} else if isSpool && plainName(spool) {
			t.spools = append(t.spools, e)
		} else if e.Name == tapeSpool && e.UncompressedSize64 == 0 {
			continue // the folder itself, which zip -r adds if a tape was unpacked and packed again
		} else {
			return fmt.Errorf("entry %.100q: a tape has %s and %s*: %w", e.Name, tapeManifest, tapeSpool, ErrForeign)
		}
	}
	if manifest == nil {
		return fmt.Errorf("no %s in it: %w", tapeManifest, ErrForeign)
	}
	return t.readManifest(manifest)
}

// plainName reports whether an entry's name is a plain file name on every system, such as CreateSpool makes.
func plainName(name string) bool {
	return name != "" && name[0] != '.' && len(name) <= 255 && escape(unescape(strings.TrimSuffix(name, spoolExt))) ==
		strings.TrimSuffix(name, spoolExt) && filepath.IsLocal(name)
}

func (t *TapeFile) readManifest(e *zip.File) error {
	var b bytes.Buffer
	if e.UncompressedSize64 > tapeManifestLimit {
		return fmt.Errorf("%s: %d bytes, more than %d: %w", tapeManifest, e.UncompressedSize64, tapeManifestLimit, ErrForeign)
	}
	if err := extract(&b, e); err != nil {
		return err
	}
	var kind struct {
		Schema  string `json:"schema"`
		Version string `json:"version"`
		Run     struct {
			Schema string `json:"schema"`
		} `json:"run"`
	}
	if err := checkJSON(b.Bytes()); err != nil {
		return fmt.Errorf("%s: %w", tapeManifest, err)
	}
	if err := json.Unmarshal(b.Bytes(), &kind); err != nil {
		return fmt.Errorf("%s: %w", tapeManifest, err)
	}
	switch {
	case kind.Schema != tapeSchema && strings.HasPrefix(kind.Schema, tapeKind), kind.Schema == tapeSchema && !datamodel.ReadsManifest(kind.Run.Schema):
		return fmt.Errorf("it is %.40q with %.40q, made by ergon %.40q; this ergon reads %s with %s (replay it with the ergon that made it): %w",
			kind.Schema, kind.Run.Schema, kind.Version, tapeSchema, datamodel.ManifestSchema, ErrForeign)
	case kind.Schema != tapeSchema:
		return fmt.Errorf("%s: schema %.40q: %w", tapeManifest, kind.Schema, ErrForeign)
	}
	var meta tapeMeta
	if err := json.Unmarshal(b.Bytes(), &meta); err != nil {
		return fmt.Errorf("%s: %w", tapeManifest, err)
	}
	meta.Run.RestoreCommand()
	if meta.Spools != nil {
		var names []string
		for _, e := range t.spools {
			names = append(names, strings.TrimPrefix(e.Name, tapeSpool))
		}
		slices.Sort(names)
		if slices.Sort(meta.Spools); !slices.Equal(names, meta.Spools) {
			return fmt.Errorf("damaged: it has %.200q, and %s lists %.200q: %w", names, tapeManifest, meta.Spools, ErrForeign)
		}
	}
	t.Tape = meta.Tape
	return nil
}

// extract writes an entry to w. If the entry is longer than it claims, the reader returns an error.
func extract(w io.Writer, e *zip.File) error {
	r, err := e.Open()
	if err != nil {
		return fmt.Errorf("%s: %w", e.Name, err)
	}
	defer func() { _ = r.Close() }() // it was only read
	_, err = io.Copy(w, r)
	switch {
	case errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrChecksum), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: damaged: %w: %w", e.Name, err, ErrForeign)
	case err != nil:
		return fmt.Errorf("%s: %w", e.Name, err)
	}
	return nil
}

// Unpack writes the spools into a folder. If it fails, it may have written some of them.
func (t *TapeFile) Unpack(dir *Folder) error {
	for _, e := range t.spools {
		if err := t.unpack(dir, e); err != nil {
			return fmt.Errorf("tape %s: %w", t.path, err)
		}
	}
	return nil
}

func (t *TapeFile) unpack(dir *Folder, e *zip.File) error {
	f, err := dir.Create(strings.TrimPrefix(e.Name, tapeSpool))
	if err != nil {
		return err
	}
	err = extract(f, e)
	return errors.Join(err, f.Close())
}

// Close releases the file.
func (t *TapeFile) Close() error { return t.file.Close() }

// FirstReadings lists the sources of a spool folder in the order of their files, with the first reading of each sensor, NaN
// if there is none. It skips spools that cannot be read. Without a folder there are none.
func FirstReadings(spool *Folder) ([]Readings, error) {
	if spool == nil {
		return nil, nil
	}
	names, err := spool.List()
	if err != nil {
		return nil, fmt.Errorf("read spools: %w", err)
	}
	slices.Sort(names)
	var out []Readings
	cost := int64(0)
	for _, name := range names {
		if !strings.HasSuffix(name, spoolExt) {
			continue
		}
		r, err := openSpool(spool, name)
		if err != nil {
			continue
		}
		if cost += r.cost; cost > jsonLimit || len(out) > folderFilesLimit {
			_ = r.Close() // it was only read
			return nil, fmt.Errorf("read spools: %s and those before it: too many sensors: %w", name, ErrForeign)
		}
		out = append(out, firstReadings(r))
		_ = r.Close() // it was only read
	}
	return out, nil
}

// Readings is one reading of each sensor of a source.
type Readings struct {
	SpoolHeader
	// Values has a value for each of Sensors, NaN if there is none.
	Values []float64
}

func firstReadings(r *SpoolReader) Readings {
	out := Readings{SpoolHeader: r.Header(), Values: make([]float64, len(r.Header().Sensors))}
	for i := range out.Values {
		out.Values[i] = math.NaN()
	}
	for slices.ContainsFunc(out.Values, math.IsNaN) {
		_, values, err := r.Next()
		if err != nil {
			break
		}
		for i, v := range values {
			if at := &out.Values[i%len(out.Values)]; math.IsNaN(*at) {
				*at = v
			}
		}
	}
	return out
}
