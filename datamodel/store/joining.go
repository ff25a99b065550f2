package store

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/klauspost/compress/zstd"
)

// Joining is a batch of runs that are joined: one file a table.
type Joining struct {
	j      *Joined
	work   *Folder
	part   Part
	name   string
	rights rights
	packer *zstd.Encoder
	tables []*joinedTable // the last one has the manifests
	step   func(string)
}

// joinedTable is the file of one table while it is written.
type joinedTable struct {
	name, version string
	columns       []columnAbout
	gathered      []*gatherer // run and date, then the columns of the run's table
	groups        []smallGroup
	out           *smallFile
	file          *written // nil until there are rows
	rows          int
}

// Begin begins a batch of a part. Its files get the mode, which Readable gives. step is called before each change of what others
// see, with a word about it; it may be nil.
func (j *Joined) Begin(p Part, mode fs.FileMode, step func(string)) (*Joining, error) {
	work, err := j.work()
	if err != nil {
		return nil, err
	}
	b := &Joining{j: j, work: work, part: p, name: joinedPrefix + randomName(), step: step}
	b.rights = rights{mode: mode, exact: mode&0o077 != 0}
	if step == nil {
		b.step = func(string) {}
	}
	if b.packer, err = newPacker(); err != nil {
		return nil, errors.Join(err, work.Close())
	}
	for _, t := range tables() {
		b.tables = append(b.tables, newJoinedTable(tableOf(t.file), t.version, append(joinedColumns(), t.columns...)))
	}
	b.tables = append(b.tables, newJoinedTable(manifestsTable, manifestsSchema, manifestColumns()))
	return b, nil
}

func newJoinedTable(name, version string, columns []columnAbout) *joinedTable {
	t := &joinedTable{name: name, version: version, columns: columns}
	for _, c := range columns {
		t.gathered = append(t.gathered, newGatherer(c))
	}
	return t
}

// Name is the name of the batch.
func (b *Joining) Name() string { return b.name }

// Add adds the rows of a run. After an error the batch can only be dropped. If the run cannot be read, it is a *LeftError.
func (b *Joining) Add(w *Whole) error {
	for i, t := range tables() {
		if f := w.table(t.file); f != nil {
			if err := b.rows(b.tables[i], f, w); err != nil {
				return err
			}
		}
	}
	t := b.tables[len(b.tables)-1]
	t.of(w, 1)
	for i, text := range []string{w.SHA256, string(w.manifest), w.metadata} {
		t.gathered[2+i].word([]byte(text), 1)
	}
	return b.added(t, 1)
}

// rows adds the rows of one table of a run.
func (b *Joining) rows(t *joinedTable, f *parquetFile, w *Whole) error {
	sources, err := sourcesOf(f, t.columns[2:])
	if err != nil {
		return leave(err)
	}
	for left := int(f.r.NumRows()); left > 0; {
		n := min(left, gatherRows)
		for i, s := range sources {
			if err := takeAll(s, n, t.gathered[2+i]); err != nil {
				return leave(fmt.Errorf("read %s: column %s: %w", f.path, t.columns[2+i].name, err))
			}
		}
		t.of(w, n)
		if err := b.added(t, n); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// takeAll takes n rows. There must be so many.
func takeAll(s source, n int, to *gatherer) (err error) {
	defer guard("take", &err)
	got, err := s.take(n, to)
	if err == nil && (got != n || to.lacking) {
		err = fmt.Errorf("%d values of %d: %w", got, n, ErrDamaged)
	}
	return err
}

// of says for n rows whose they are.
func (t *joinedTable) of(w *Whole, n int) {
	t.gathered[0].word([]byte(w.id), n)
	for range n {
		t.gathered[1].ints = append(t.gathered[1].ints, w.day)
	}
}

// added counts rows, and ends the row group if it is large.
func (b *Joining) added(t *joinedTable, n int) error {
	text := 0
	for _, g := range t.gathered {
		text += g.text
	}
	if t.rows += n; t.rows < joinedRows && text < joinedText {
		return nil
	}
	return b.flush(t)
}

// flush writes the row group of a table.
func (b *Joining) flush(t *joinedTable) error {
	if t.file == nil {
		var err error
		if t.file, err = b.work.beginAs(t.name+joinedExt, b.rights); err != nil {
			return err
		}
		t.out = &smallFile{zstd: b.packer, out: []byte(parquetMagic)}
	}
	columns := make([]*cells, len(t.gathered))
	for i, g := range t.gathered {
		columns[i] = g.column()
	}
	t.groups = t.out.group(t.groups, columns, t.rows)
	for _, g := range t.gathered {
		g.reset()
	}
	t.rows = 0
	return t.out.flush(t.file.buffer)
}

// Drop removes the files of the batch, if they are not published.
func (b *Joining) Drop() {
	for _, t := range b.tables {
		if t.file != nil {
			_ = t.file.fail(nil)
			t.file = nil
		}
	}
	_ = b.packer.Close() // nothing is written to it
	_ = b.work.Close()   // nothing is left in it
}

// Publish ends the files of the batch and makes them part of the joined tables, the manifests last. Then the batch is durable. After
// an error the batch is not joined; Sweep removes what is left of it.
func (b *Joining) Publish() error {
	defer b.Drop()
	for _, t := range b.tables {
		b.step("write " + t.name)
		if err := b.finish(t); err != nil {
			return err
		}
	}
	for _, t := range b.tables {
		if t.file == nil {
			continue
		}
		if err := b.publish(t); err != nil {
			return err
		}
	}
	return nil
}

// finish writes the rest of a file and syncs it.
func (b *Joining) finish(t *joinedTable) error {
	if t.rows > 0 {
		if err := b.flush(t); err != nil {
			return err
		}
	}
	if t.file == nil {
		return nil
	}
	columns := make([]*cells, len(t.gathered))
	for i, g := range t.gathered {
		columns[i] = &g.cells
	}
	err := t.out.end(t.file.buffer, columns, t.groups, []string{schemaKey, t.version})
	if err == nil {
		err = t.file.buffer.Flush()
	}
	if err != nil {
		return t.file.fail(err)
	}
	return t.file.sync()
}

// publish gives a file its place.
func (b *Joining) publish(t *joinedTable) error {
	dir, err := b.j.part(t.name, b.part, true)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // it is synced
	b.step("publish " + t.name)
	if err := t.file.dir.MoveTo(t.file.temp, dir, b.name+joinedExt); err != nil {
		return err
	}
	t.file = nil
	return dir.Sync()
}
