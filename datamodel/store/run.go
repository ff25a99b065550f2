package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	projectPrefix = "project="
	datePrefix    = "date="
	runPrefix     = "run="
	// manifestLimit is many times the size of any manifest.
	manifestLimit = 16 << 20
	// Last means the latest run wherever a run is named, so no run has it as its id.
	Last = "last"
	// IDTime is the layout of the time, in UTC, that begins a run's id.
	IDTime = "20060102T150405"
)

// escape makes a name fit for a part of a path and for the value of a Hive partition. Bytes that could have a meaning
// there become %XX, which DuckDB, Polars and Arrow decode. Letters and digits of any script stay. The result has at most
// 200 bytes; file systems allow 255.
func escape(name string) string {
	const limit = 200
	var b strings.Builder
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		plain := r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-+@,", r))
		if r == '.' && (i == 0 || i == len(name)-1) {
			plain = false // hidden, or the folder itself; Windows drops one at the end
		}
		part := name[i : i+size]
		if !plain {
			part = ""
			for _, c := range []byte(name[i : i+size]) {
				part += fmt.Sprintf("%%%02X", c)
			}
		}
		if b.Len()+len(part) > limit {
			break
		}
		b.WriteString(part)
		i += size
	}
	return b.String()
}

// unescape reverses escape, except for what escape cut off. It leaves text without escapes as it is.
func unescape(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		var c byte
		if name[i] == '%' && i+2 < len(name) {
			if _, err := fmt.Sscanf(name[i+1:i+3], "%02X", &c); err == nil {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

// NoteManifest writes the first manifest.json of a run that goes on. It survives the end of the process, though not that of
// the machine: it does not sync.
func NoteManifest(dir *Folder, run datamodel.Run) error {
	run.Files = []datamodel.File{}
	text, err := manifestText(dir, run)
	if err != nil {
		return err
	}
	w, err := dir.write(ManifestFile, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		return w.fail(err)
	}
	return w.name()
}

// SaveManifest writes manifest.json into a run's folder and makes the names in the folder durable. It is called after the
// other files are written, since the manifest says whether that worked. It reads them for their digests.
func SaveManifest(dir *Folder, run datamodel.Run) error {
	var err error
	if run.Files, err = dir.listFiles(); err != nil {
		return err
	}
	return dir.Files().saveManifest(run)
}

// manifestText is what the file holds.
func manifestText(dir *Folder, run datamodel.Run) ([]byte, error) {
	if run.Schema == "" {
		run.Schema = datamodel.ManifestSchema
	}
	if run.Bench != nil {
		b := *run.Bench
		b.Results = slices.Clone(b.Results)
		for i := range b.Results {
			b.Results[i].Medians = shortened(run, b.Results[i].Medians)
		}
		run.Bench = &b
	}
	run.Summary = shortened(run, run.Summary)
	run.Missing = slices.Clone(run.Missing)
	for i, a := range run.Missing {
		if a.Family == a.ID {
			run.Missing[i].Family = ""
		}
	}
	text, err := json.Marshal(run)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", filepath.Join(dir.path, ManifestFile), err)
	}
	return sealed(screen.CleanJSON(inLines(text)), digestStart), nil
}

// shortened returns figures of a run without what other parts of the manifest say. restored does the opposite.
func shortened(run datamodel.Run, figures map[string]datamodel.Figure) map[string]datamodel.Figure {
	out := maps.Clone(figures)
	for name, f := range out {
		if f.Value == nil && unasked(run, name) {
			delete(out, name)
			continue
		}
		if d, ok := datamodel.Lookup(name); ok && d.Unit == f.Unit {
			f.Unit = ""
		}
		if f.Value == nil && f.Provenance == sensors.Missing {
			f.Provenance = ""
			if reasonOf(run, f.Absence) == f.Reason {
				f.Reason = ""
			}
		}
		out[name] = f
	}
	return out
}

func restored(run datamodel.Run) {
	for i, a := range run.Missing {
		run.Missing[i].Family = cmp.Or(a.Family, a.ID)
	}
	lengthen(run, run.Summary)
	if run.Bench != nil {
		for _, r := range run.Bench.Results {
			lengthen(run, r.Medians)
		}
	}
}

func lengthen(run datamodel.Run, figures map[string]datamodel.Figure) {
	for name, f := range figures {
		if d, ok := datamodel.Lookup(name); ok && f.Unit == "" {
			f.Unit = d.Unit
		}
		if f.Value == nil && f.Provenance == "" {
			f.Provenance = sensors.Missing
			f.Reason = cmp.Or(f.Reason, reasonOf(run, f.Absence))
		}
		figures[name] = f
	}
	for _, name := range estimated() {
		if _, kept := figures[name]; figures != nil && !kept && unasked(run, name) {
			figures[name] = datamodel.Figure{Unit: units.Joule, Provenance: sensors.Missing, Reason: datamodel.NotEstimated}
		}
	}
}

// estimated lists the metrics that only --estimate gives.
func estimated() []string {
	return []string{datamodel.EstimatedEnergy, datamodel.EstimatedTargetEnergy}
}

// unasked reports whether a metric is missing because nobody asked for an estimate. The manifest then leaves it out.
func unasked(run datamodel.Run, name string) bool {
	return !run.Estimate && slices.Contains(estimated(), name)
}

// reasonOf returns the reason of an absence of the run, "" if there is no such absence.
func reasonOf(run datamodel.Run, absence string) string {
	for _, a := range run.Missing {
		if a.ID == absence {
			return a.Reason
		}
	}
	return ""
}

// inLines writes each member of a JSON object on a line of its own, and its value in one line. It is a third smaller than with
// all values indented, and as easy to look at.
func inLines(object []byte) []byte {
	out := make([]byte, 0, len(object)+256)
	depth, quoted := 0, false
	for i, c := range object {
		switch {
		case quoted:
			quoted = c != '"' || escaped(object, i)
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				out = append(out, '\n')
			}
		}
		out = append(out, c)
		if !quoted && depth == 1 && (c == ',' || c == '{' && i == 0) {
			out = append(out, "\n  "...)
		} else if !quoted && depth == 1 && c == ':' {
			out = append(out, ' ')
		}
	}
	return out
}

// escaped reports whether the byte at i of a JSON text stands behind an odd number of backslashes.
func escaped(text []byte, i int) bool {
	n := 0
	for i--; i >= 0 && text[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// LoadManifest reads manifest.json from a run's folder. The error wraps fs.ErrNotExist if there is none, ErrForeign if it has
// another version, and ErrDamaged if it is not as ergon wrote it. Run.Files is nil if an older ergon made the run.
func LoadManifest(dir string) (datamodel.Run, error) { return unmoved(dir, loadManifest) }

func loadManifest(dir string) (datamodel.Run, error) {
	path := filepath.Join(dir, ManifestFile)
	text, err := readLimited(path, manifestLimit)
	if err != nil {
		return datamodel.Run{}, err
	}
	return manifest(path, text)
}

// Manifest reads manifest.json from the folder of a run; see LoadManifest.
func (f *Folder) Manifest() (datamodel.Run, error) {
	text, err := f.readLimited(ManifestFile, manifestLimit)
	if err != nil {
		return datamodel.Run{}, err
	}
	return manifest(filepath.Join(f.path, ManifestFile), text)
}

// manifest decodes the text of a manifest. path is its name in errors.
func manifest(path string, text []byte) (datamodel.Run, error) {
	// First the schema: another one may have another digest, and fields of another kind.
	var kind struct{ Schema string }
	switch err := json.Unmarshal(text, &kind); {
	case err != nil:
		return datamodel.Run{}, fmt.Errorf("read %s: %w: %w", path, ErrDamaged, err)
	case newer(kind.Schema):
		return datamodel.Run{}, fmt.Errorf("read %s: schema %q: %w", path, kind.Schema, ErrNewer)
	case !datamodel.ReadsManifest(kind.Schema):
		return datamodel.Run{}, fmt.Errorf("read %s: schema %q: %w", path, kind.Schema, ErrForeign)
	}
	sealed, err := unsealed(text)
	if err != nil {
		return datamodel.Run{}, fmt.Errorf("read %s: %w", path, err)
	}
	if err := checkJSON(text); err != nil {
		return datamodel.Run{}, fmt.Errorf("read %s: %w", path, err)
	}
	var run datamodel.Run
	if err := json.Unmarshal(text, &run); err != nil {
		return datamodel.Run{}, fmt.Errorf("read %s: %w: %w", path, ErrDamaged, err)
	}
	run.RestoreCommand()
	restored(run)
	if !sealed && run.Files != nil {
		return datamodel.Run{}, fmt.Errorf("read %s: its digest is missing: %w", path, ErrDamaged)
	}
	return run, nil
}

// newer reports whether a schema is a later version of the schema of manifests.
func newer(schema string) bool {
	name, version, _ := strings.Cut(schema, "/")
	ours, known, _ := strings.Cut(datamodel.ManifestSchema, "/")
	n, err := strconv.Atoi(version)
	m, _ := strconv.Atoi(known)
	return err == nil && name == ours && n > m
}

// readLimited reads a file of at most so many bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return readAll(f, path, limit)
}

// readLimited reads a file of at most so many bytes.
func (f *Folder) readLimited(name string, limit int64) ([]byte, error) {
	file, err := f.Read(name)
	if err != nil {
		return nil, err
	}
	return readAll(file, filepath.Join(f.path, name), limit)
}

// readAll reads an open file of at most so many bytes and closes it.
func readAll(f *os.File, path string, limit int64) ([]byte, error) {
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("read %s: more than %d bytes: %w", path, limit, ErrForeign)
	}
	return text, nil
}

// openFile opens a regular file. It refuses anything else, since opening a FIFO could block forever.
func openFile(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return f, nil
}

// AtPath returns what the path of a run's folder tells of the run: ID, Project and the day of Start. If the folder was made
// by hand and has no date, Start is zero.
func AtPath(dir string) datamodel.Run {
	day := filepath.Dir(dir)
	run := datamodel.Run{
		ID:      IDOf(dir),
		Project: unescape(strings.TrimPrefix(filepath.Base(filepath.Dir(day)), projectPrefix)),
		Outcome: datamodel.Unfinished,
	}
	run.Start, _ = time.Parse(time.DateOnly, strings.TrimPrefix(filepath.Base(day), datePrefix))
	return run
}

// IDOf returns the id of the run in a folder.
func IDOf(dir string) string { return unescape(strings.TrimPrefix(filepath.Base(dir), runPrefix)) }

// FindID returns the folder of the run that has exactly this id, in any project and on any day; empty if there is none.
func FindID(results, id string) (string, error) {
	dirs, err := RunFolders(results, nil)
	if err != nil {
		return "", err
	}
	for _, dir := range dirs {
		if IDOf(dir) == id {
			return dir, nil
		}
	}
	return "", nil
}

// RunFolders lists the folders results/project=*/date=*/run=*, and those that were moved to the archive, sorted by project and day.
// If the results folder does not exist, there are none. A folder below it that cannot be listed costs only its own runs: note is
// told of it and may be nil.
func RunFolders(results string, note func(error)) ([]string, error) {
	days, err := DayFolders(results, "", note)
	if err != nil {
		return nil, err
	}
	return RunsBelow(days, note), nil
}

// DayFolders lists the folders results/project=*/date=*, sorted; of one project, unless that is empty. A day all of whose runs
// are in the archive is among them, though its folder does not exist. note is as in RunFolders.
func DayFolders(results, project string, note func(error)) ([]string, error) {
	projects, err := named(results, projectPrefix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	days := daysOf(projects, project, note)
	// The archive comes second: a day that is moved meanwhile is then seen at least once.
	archive := filepath.Join(results, ArchiveFolder)
	if projects, err = named(archive, projectPrefix); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			noteList(note, err)
		}
		return days, nil
	}
	for _, day := range daysOf(projects, project, note) {
		days = append(days, filepath.Join(results, strings.TrimPrefix(day, archive)))
	}
	slices.Sort(days)
	return slices.Compact(days), nil
}

// daysOf lists the days of some projects.
func daysOf(projects []string, project string, note func(error)) []string {
	if project != "" {
		name := projectPrefix + escape(project)
		projects = slices.DeleteFunc(projects, func(dir string) bool { return filepath.Base(dir) != name })
	}
	return below(projects, datePrefix, note)
}

// RunsBelow lists the folders of the runs of some days, each run once, also those in the archive. note is as in RunFolders.
func RunsBelow(days []string, note func(error)) (found []string) {
	for _, day := range days {
		found = append(found, runsOf(day, note)...)
	}
	return found
}

// below lists the entries of folders whose names have a prefix. Anybody can put an entry into a shared results folder, so
// one that is not a folder, or that cannot be listed, is only noted.
func below(dirs []string, prefix string, note func(error)) (found []string) {
	for _, dir := range dirs {
		entries, err := named(dir, prefix)
		noteList(note, err)
		found = append(found, entries...)
	}
	return found
}

// noteList tells note of a folder that cannot be listed.
func noteList(note func(error), err error) {
	if err != nil && note != nil {
		note(fmt.Errorf("%w: no run below it can be shown", err))
	}
}

// named lists the entries of a folder whose names have a prefix. If the folder can be read only in part, it returns that
// part with the error.
func named(dir, prefix string) (found []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	return found, err
}

// IsRun reports whether a folder holds a run, finished or not.
func IsRun(dir string) bool {
	for _, name := range []string{ManifestFile, SpoolFolder} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}
