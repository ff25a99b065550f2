package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// This file joins the tables of many runs:
//
//	RESULTS/_tables/TABLE/project=P/month=YYYY-MM/runs-NAME.parquet
//	RESULTS/_tables/.lock                whoever changes the joined tables locks it
//	RESULTS/_tables/.work-UID/           files that are not finished
//
// A file that is there is whole and is never written again. The files of one batch of runs have the same name. The batch counts as
// joined once its file of the table manifests is there, which comes last.

const (
	// TablesFolder is the folder of the joined tables in a results folder. Readers of Hive partitions skip it.
	TablesFolder = "_tables"
	monthPrefix  = "month="
	joinLock     = ".lock"
	joinWork     = ".work-"
	joinedPrefix = "runs-" // no glob of a run's files fits the names
	joinedExt    = ".parquet"

	manifestsTable  = "manifests"
	manifestsSchema = "ergon.manifests/1"

	// joinedRows and joinedText bound a row group: its rows, and the bytes of its texts. It is in memory, packed and not.
	joinedRows = 128 << 10
	joinedText = 32 << 20
)

// ErrJoinedElsewhere means that the joined tables have another run of the same id.
var ErrJoinedElsewhere = errors.New("the joined tables have another run of this id")

// Part is a project and a month, with the names of their folders.
type Part struct{ Project, Month string }

// PartOf returns the part of the folder of a run. ok is false if the path has no date.
func PartOf(dir string) (p Part, ok bool) {
	day := filepath.Dir(dir)
	date := strings.TrimPrefix(filepath.Base(day), datePrefix)
	if _, err := time.Parse(time.DateOnly, date); err != nil || !InResults(dir) {
		return Part{}, false
	}
	return Part{filepath.Base(filepath.Dir(day)), monthPrefix + date[:len("2006-01")]}, true
}

// dayOf returns the day in the path of a run's folder, in days since 1970.
func dayOf(dir string) int64 {
	at, _ := time.Parse(time.DateOnly, strings.TrimPrefix(filepath.Base(filepath.Dir(dir)), datePrefix)) // PartOf has checked it
	return at.Unix() / (24 * 60 * 60)
}

// joinedColumns are the columns of a joined table that identify the run of a row.
func joinedColumns() []columnAbout {
	return []columnAbout{
		{"run", about{kind: typeByteArray, notNull: true}},
		{"date", about{kind: typeInt32, notNull: true}},
	}
}

// manifestColumns are the columns of the table of the manifests.
func manifestColumns() []columnAbout {
	word := about{kind: typeByteArray, notNull: true}
	return append(joinedColumns(), columnAbout{"sha256", word}, columnAbout{"manifest", word}, columnAbout{"metadata", word})
}

// tableOf returns the name of the joined table of a file.
func tableOf(name string) string { return strings.TrimSuffix(name, joinedExt) }

// Joined are the joined tables of a results folder.
type Joined struct {
	dir    *Folder  // nil if there are none
	lock   *os.File // nil if they are only read
	unpack *zstd.Decoder
}

// OpenJoined opens the joined tables of a results folder to change them. It makes the folder if it is missing, and locks it. If
// another process has the lock, the error wraps ErrLocked.
func OpenJoined(results *Folder) (*Joined, error) {
	dir, err := results.openOrMake(TablesFolder)
	if err != nil {
		return nil, err
	}
	j := &Joined{dir: dir}
	if j.lock, err = dir.lockFile(joinLock, filepath.Join(dir.path, joinLock)); err != nil {
		return nil, errors.Join(dir.fault("lock", joinLock, err), dir.Close())
	}
	if j.unpack, err = newUnpacker(); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return j, nil
}

// ReadJoined opens the joined tables of a results folder to read them. There may be none.
func ReadJoined(results *Folder) (*Joined, error) {
	dir, err := results.Open(TablesFolder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	unpack, err := newUnpacker()
	return &Joined{dir: dir, unpack: unpack}, err
}

// Close releases the lock.
func (j *Joined) Close() error {
	var err error
	if j.lock != nil {
		_ = j.dir.Remove(workName()) // it is empty, or the next Sweep clears it
		err = j.lock.Close()
	}
	if j.unpack != nil {
		j.unpack.Close()
	}
	if j.dir != nil {
		err = errors.Join(err, j.dir.Close())
	}
	return err
}

// part opens the folder of a table's part; nil if there is none. With create it makes what is missing.
func (j *Joined) part(table string, p Part, create bool) (*Folder, error) {
	if j.dir == nil {
		return nil, nil //nolint:nilnil // there are no tables
	}
	at := j.dir
	done := func() {
		if at != j.dir {
			_ = at.Close() // what was made is synced
		}
	}
	for _, name := range []string{table, p.Project, p.Month} {
		open := at.Open
		if create {
			open = at.openOrMake
		}
		sub, err := open(name)
		done()
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil //nolint:nilnil // there is no such part
		}
		if err != nil {
			return nil, err
		}
		at = sub
	}
	return at, nil
}

// joinedNames lists the files of a part that belong to the user of this process, without their extension, sorted. Each user joins
// their own runs, so the files of others have no run that matters here. They may be private, and they may say anything.
func joinedNames(dir *Folder) ([]string, error) {
	names, err := dir.List()
	var out []string
	for _, name := range names {
		base, ok := strings.CutSuffix(name, joinedExt)
		if owner, known := dir.ownerOf(name); !ok || !strings.HasPrefix(name, joinedPrefix) || known && owner.UID != os.Geteuid() {
			continue
		}
		out = append(out, base)
	}
	slices.Sort(out)
	return out, err
}

// open opens a file of a joined table.
func (j *Joined) open(dir *Folder, name, schema string) (*parquetFile, error) {
	return openParquet(folderFiles{dir: dir.path, folder: dir, unpack: j.unpack}, name+joinedExt, schema)
}

// JoinedRun is a run whose rows are in the joined tables.
type JoinedRun struct {
	// Batch is the name of its files, and SHA256 the digest of its manifest.
	Batch, SHA256 string
}

// Runs returns the runs of a part by their ids.
func (j *Joined) Runs(p Part) (_ map[string]JoinedRun, err error) {
	dir, err := j.part(manifestsTable, p, false)
	if dir == nil || err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }() // it was only read
	defer guard("read "+dir.path, &err)
	names, err := joinedNames(dir)
	if err != nil {
		return nil, err
	}
	runs := map[string]JoinedRun{}
	for _, name := range names {
		ids, sums, err := j.committed(dir, name)
		if err != nil {
			return nil, err
		}
		for i, id := range ids {
			if _, twice := runs[id]; twice {
				return nil, fmt.Errorf("%s: run %s is in two files", dir.path, id)
			}
			runs[id] = JoinedRun{name, sums[i]}
		}
	}
	return runs, nil
}

// committed reads which runs a file of the table of the manifests has, and the digests of their manifests.
func (j *Joined) committed(dir *Folder, name string) (ids, sums []string, err error) {
	f, err := j.open(dir, name, manifestsSchema)
	if err != nil {
		return nil, nil, err
	}
	defer f.close()
	if ids, err = texts(f, "run"); err != nil {
		return nil, nil, err
	}
	sums, err = texts(f, "sha256")
	if err == nil && len(sums) != len(ids) {
		err = fmt.Errorf("read %s: %d digests of %d runs", f.path, len(sums), len(ids))
	}
	return ids, sums, err
}

// texts reads a column of words.
func texts(f *parquetFile, name string) ([]string, error) {
	c := columnAbout{name, about{kind: typeByteArray, notNull: true}}
	s, err := openSource(f, c)
	if err != nil {
		return nil, err
	}
	var out []string
	g := newGatherer(c)
	for {
		g.reset()
		n, err := s.take(gatherRows, g)
		if err != nil {
			return nil, err
		}
		for _, w := range g.index {
			out = append(out, g.list[w])
		}
		if n < gatherRows {
			return out, nil
		}
	}
}

// Sweep removes what a killed process has left: unfinished files, and files of batches that were not joined. The rows of such a
// file must be those of runs that are still there: known says which are. Other files stay, and the error names them.
func (j *Joined) Sweep(known func(id string) bool) error {
	work, err := j.work()
	if err != nil {
		return err
	}
	err = work.clear(1)
	_ = work.Close() // nothing was written
	if err != nil {
		return err
	}
	tables, err := entries(j.dir, "")
	if err != nil {
		return err
	}
	var errs []error
	for _, table := range tables {
		if table == manifestsTable || strings.HasPrefix(table, ".") {
			continue
		}
		for p, err := range j.parts(table) {
			if err == nil {
				err = j.sweepPart(table, p, known)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// work opens the folder of the unfinished files of this user.
func (j *Joined) work() (*Folder, error) {
	return j.dir.private(workName())
}

func workName() string { return joinWork + strconv.Itoa(os.Geteuid()) }

// entries lists the names in a folder that begin with a prefix, sorted.
func entries(dir *Folder, prefix string) ([]string, error) {
	names, err := dir.List()
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) })
	slices.Sort(names)
	return names, err
}

// parts yields the parts of a table.
func (j *Joined) parts(table string) func(yield func(Part, error) bool) {
	return func(yield func(Part, error) bool) {
		dir, err := j.dir.Open(table)
		if errors.Is(err, errLink) { // a file that is not ergon's, or a link
			return
		}
		if err != nil {
			yield(Part{}, err)
			return
		}
		defer func() { _ = dir.Close() }() // it was only read
		projects, err := entries(dir, projectPrefix)
		if err != nil && !yield(Part{}, err) {
			return
		}
		for _, project := range projects {
			sub, err := dir.Open(project)
			if err != nil {
				if !yield(Part{}, err) {
					return
				}
				continue
			}
			months, err := entries(sub, monthPrefix)
			_ = sub.Close() // it was only read
			if err != nil && !yield(Part{}, err) {
				return
			}
			for _, month := range months {
				if !yield(Part{project, month}, nil) {
					return
				}
			}
		}
	}
}

// sweepPart is Sweep for one part of a table.
func (j *Joined) sweepPart(table string, p Part, known func(id string) bool) (err error) {
	dir, err := j.part(table, p, false)
	if dir == nil || err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // what is removed is gone
	defer guard("read "+dir.path, &err)
	names, err := joinedNames(dir)
	if err != nil {
		return err
	}
	joined, err := j.part(manifestsTable, p, false)
	if err != nil {
		return err
	}
	var done []string
	if joined != nil {
		done, err = joinedNames(joined)
		_ = joined.Close() // it was only read
		if err != nil {
			return err
		}
	}
	for _, name := range names {
		if slices.Contains(done, name) {
			continue
		}
		if err := j.sweepFile(dir, table, name, known); err != nil {
			return err
		}
	}
	return nil
}

func (j *Joined) sweepFile(dir *Folder, table, name string, known func(id string) bool) error {
	version := ""
	for _, t := range tables() {
		if tableOf(t.file) == table {
			version = t.version
		}
	}
	f, err := j.open(dir, name, version)
	if err != nil {
		return err
	}
	ids, err := texts(f, "run")
	f.close()
	if err != nil {
		return err
	}
	for _, id := range slices.Compact(ids) {
		if !known(id) {
			return fmt.Errorf("%s: it has run %s, which %s lacks and which has no folder (if you removed the run, remove this file, too)",
				filepath.Join(dir.path, name+joinedExt), id, filepath.Join(TablesFolder, manifestsTable))
		}
	}
	return dir.Remove(name + joinedExt)
}
