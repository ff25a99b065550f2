package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/ergon-energy/ergon/datamodel"
)

// ErrDamaged means that a file does not hold what ergon wrote into it.
var ErrDamaged = errors.New("damaged: it does not hold what ergon wrote")

// tee writes to a file and to the digest of what is in the file.
type tee struct {
	file *os.File
	sum  hash.Hash
	size int64
}

// Write is part of io.Writer.
func (t *tee) Write(b []byte) (int, error) {
	n, err := t.file.Write(b)
	_, _ = t.sum.Write(b[:n]) // never fails (hash.Hash)
	t.size += int64(n)
	return n, err
}

// entry is what the manifest says of the file.
func (t *tee) entry(name string) datamodel.File {
	return datamodel.File{Name: name, Size: t.size, SHA256: hex.EncodeToString(t.sum.Sum(nil))}
}

// The digest of a JSON document is its last member. It covers every byte before the comma that precedes it.
const (
	digestKey   = `"digest": "sha256:`
	digestStart = ",\n  " + digestKey // in an indented document
)

// sealed ends a JSON object with the digest of what stands before it. start is digestStart, or a comma and digestKey in one
// line.
func sealed(object []byte, start string) []byte {
	body := bytes.TrimRight(bytes.TrimSuffix(object, []byte("}")), "\n")
	sum := sha256.Sum256(body)
	end := `"}`
	if start[1] == '\n' {
		end = "\"\n}\n"
	}
	return append(append(append(body, start...), hex.EncodeToString(sum[:])...), end...)
}

// unsealed checks the digest at the end of a JSON object. sealed is false if there is none, as in files of an older ergon.
func unsealed(text []byte) (sealed bool, err error) {
	const digits = 2 * sha256.Size
	text = bytes.TrimRight(text, " \n")
	text, ok := bytes.CutSuffix(text, []byte("}"))
	if text = bytes.TrimRight(text, "\n"); !ok || len(text) < digits+1 || text[len(text)-1] != '"' {
		return false, nil
	}
	body, stored := text[:len(text)-digits-1], text[len(text)-digits-1:len(text)-1]
	if body, ok = bytes.CutSuffix(body, []byte(digestKey)); !ok {
		return false, nil
	}
	body, _ = bytes.CutSuffix(bytes.TrimRight(body, " \n"), []byte(","))
	sum := sha256.Sum256(body)
	if hex.EncodeToString(sum[:]) != string(stored) {
		return true, ErrDamaged
	}
	return true, nil
}

// runFiles lists the files that a manifest may name.
func runFiles() []string {
	return []string{EventsFile, MetricsFile, NodesFile, ProcessesFile, RegionsFile, SamplesFile, SeriesFile, SummaryFile}
}

// listFiles reads the files of a run that can be read in its folder, and returns their digests.
func (f *Folder) listFiles() ([]datamodel.File, error) {
	found := []datamodel.File{}
	for _, name := range runFiles() {
		file, err := f.Read(name)
		if err != nil { // whoever reads the run learns why
			continue
		}
		entry, err := digestOf(file, name)
		_ = file.Close() // it was only read
		if err != nil {
			return nil, err
		}
		found = append(found, entry)
	}
	return found, nil
}

// digestOf reads a file to its end.
func digestOf(f *os.File, name string) (datamodel.File, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return datamodel.File{}, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return datamodel.File{Name: name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// folderFiles are the files of a run's folder and what its manifest says of them.
type folderFiles struct {
	dir   string
	files []datamodel.File // nil if an older ergon made the run
	left  *budget          // what may be kept of them
	// folder is the handle of the folder, if no link may be followed.
	folder *Folder
	// unpack decodes zstd; nil lets each column make a decoder of its own.
	unpack *zstd.Decoder
}

// read opens a regular file of the folder.
func (v folderFiles) read(name string) (*os.File, error) {
	if v.folder != nil {
		return v.folder.Read(name)
	}
	return openFile(filepath.Join(v.dir, name))
}

// open opens a file and checks that it holds what the manifest says. The error wraps fs.ErrNotExist if there is no such file
// and the manifest lists none.
func (v folderFiles) open(name string) (*os.File, error) {
	path := filepath.Join(v.dir, name)
	listed := datamodel.File{}
	for _, f := range v.files {
		if f.Name == name {
			listed = f
		}
	}
	f, err := v.read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && listed.Name != "":
		return nil, fmt.Errorf("read %s: it is missing, though %s lists it", path, ManifestFile)
	case err != nil || v.files == nil:
		return f, err
	}
	if err := check(f, listed); err != nil {
		_ = f.Close() // it was only read
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return f, nil
}

// check compares a file with what the manifest says of it, and leaves it at its beginning.
func check(f *os.File, listed datamodel.File) error {
	if listed.Name == "" {
		return fmt.Errorf("%s does not list it", ManifestFile)
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != listed.Size { // before a whole file is read
		return fmt.Errorf("%w: %d bytes, %s says %d", ErrDamaged, info.Size(), ManifestFile, listed.Size)
	}
	got, err := digestOf(f, listed.Name)
	if err != nil {
		return err
	}
	if got != listed {
		return fmt.Errorf("%w: its sha256 is not that in %s", ErrDamaged, ManifestFile)
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}
