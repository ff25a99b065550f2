package store

import (
	"errors"
	"fmt"
	"slices"
)

// Verify compares the runs of a batch with the joined tables: every row, and every value in it. open opens a run; it returns nil for
// one that needs no check. The error names the first value that differs.
func (j *Joined) Verify(p Part, batch string, open func(id string) (*Whole, error)) (err error) {
	defer guard("verify "+batch, &err)
	v := verifier{j: j, part: p, batch: batch}
	defer v.close()
	if err := v.open(); err != nil {
		return err
	}
	last := v.streams[len(v.streams)-1]
	for {
		id, n, err := last.piece()
		if err != nil || n == 0 {
			return errors.Join(err, v.ended())
		}
		w, err := open(id)
		if err != nil {
			return err
		}
		err = v.run(id, w)
		if w != nil {
			w.Close()
		}
		if err != nil {
			return err
		}
	}
}

// verifier reads all files of a batch side by side: each has the runs in the same order.
type verifier struct {
	j       *Joined
	part    Part
	batch   string
	streams []*joinedStream // the last one is that of the manifests
}

func (v *verifier) open() error {
	for _, t := range tables() {
		if err := v.stream(t, append(joinedColumns(), t.columns...)); err != nil {
			return err
		}
	}
	return v.stream(tableAbout{file: manifestsTable, version: manifestsSchema}, manifestColumns())
}

func (v *verifier) stream(t tableAbout, columns []columnAbout) error {
	s := &joinedStream{about: t, columns: columns, ids: newGatherer(columns[0])}
	v.streams = append(v.streams, s)
	dir, err := v.j.part(tableOf(t.file), v.part, false)
	if err != nil {
		return err
	}
	if dir == nil { // no run of the batch may have such a table
		return nil
	}
	defer func() { _ = dir.Close() }() // it was only read
	names, err := joinedNames(dir)
	if err != nil || !slices.Contains(names, v.batch) {
		return err
	}
	if s.file, err = v.j.open(dir, v.batch, t.version); err != nil {
		return err
	}
	s.sources, err = sourcesOf(s.file, columns)
	return err
}

func (v *verifier) close() {
	for _, s := range v.streams {
		if s.file != nil {
			s.file.close()
		}
	}
}

// ended returns an error if a file has rows of a run that the manifests lack.
func (v *verifier) ended() error {
	for _, s := range v.streams {
		if id, n, err := s.piece(); err != nil || n > 0 {
			return errors.Join(err, fmt.Errorf("%s of %s has rows of run %s in the wrong place", s.about.file, v.batch, id))
		}
	}
	return nil
}

// run compares the rows of a run in each table. If w is nil, it skips them.
func (v *verifier) run(id string, w *Whole) error {
	for _, s := range v.streams {
		var err error
		switch {
		case w == nil:
			err = s.skip(id)
		case s.about.file == manifestsTable:
			err = s.sameManifest(id, w)
		default:
			err = s.sameRows(id, w)
		}
		if err != nil {
			return fmt.Errorf("run %s in %s of %s: %w", id, tableOf(s.about.file), v.batch, err)
		}
	}
	return nil
}

// joinedStream reads a joined table from its beginning to its end.
type joinedStream struct {
	about   tableAbout
	columns []columnAbout
	file    *parquetFile // nil if there is none
	sources []source
	ids     *gatherer // the runs of the next rows
	at      int       // in ids
}

// piece returns to which run the next rows belong, and how many at least. There are none at the end.
func (s *joinedStream) piece() (id string, n int, err error) {
	if s.file == nil {
		return "", 0, nil
	}
	if s.at == len(s.ids.index) {
		s.ids.reset()
		s.at = 0
		if _, err := s.sources[0].take(gatherRows, s.ids); err != nil {
			return "", 0, err
		}
	}
	of := s.ids.index[s.at:]
	if len(of) == 0 {
		return "", 0, nil
	}
	for n < len(of) && of[n] == of[0] {
		n++
	}
	return s.ids.list[of[0]], n, nil
}

// next reads the next rows of a run, if there are any.
func (s *joinedStream) next(id string) ([]*gatherer, int, error) {
	of, n, err := s.piece()
	if err != nil || n == 0 || of != id {
		return nil, 0, err
	}
	s.at += n
	read, err := taken(s.sources[1:], s.columns[1:], n)
	return read, n, err
}

// taken takes n rows of some columns.
func taken(sources []source, columns []columnAbout, n int) ([]*gatherer, error) {
	out := make([]*gatherer, len(columns))
	for i, s := range sources {
		out[i] = newGatherer(columns[i])
		got, err := s.take(n, out[i])
		if err != nil {
			return nil, err
		}
		if got != n {
			return nil, fmt.Errorf("column %s: %d rows of %d", columns[i].name, got, n)
		}
	}
	return out, nil
}

// skip skips the rows of a run.
func (s *joinedStream) skip(id string) error {
	for {
		if _, n, err := s.next(id); err != nil || n == 0 {
			return err
		}
	}
}

var errDiffers = errors.New("it is not what the run's folder has")

// sameRows compares the rows of a run with its file.
func (s *joinedStream) sameRows(id string, w *Whole) error {
	file := w.table(s.about.file)
	if file == nil {
		if _, n, err := s.piece(); err == nil && n > 0 {
			of, _, _ := s.piece()
			if of == id {
				return fmt.Errorf("rows of a run that has no %s: %w", s.about.file, errDiffers)
			}
		}
		return nil
	}
	columns := s.columns[2:]
	sources, err := sourcesOf(file, columns)
	if err != nil {
		return err
	}
	rows := 0
	for {
		joined, n, err := s.next(id)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		own, err := taken(sources, columns, n)
		if err != nil {
			return err
		}
		for _, day := range joined[0].ints {
			if day != w.day {
				return fmt.Errorf("column date, row %d: %w", rows, errDiffers)
			}
		}
		for i, c := range columns {
			if own[i].differs(joined[1+i]) {
				return fmt.Errorf("column %s, in rows %d to %d: %w", c.name, rows, rows+n-1, errDiffers)
			}
		}
		rows += n
	}
	if want := int(file.r.NumRows()); rows != want {
		return fmt.Errorf("%d rows of %d: %w", rows, want, errDiffers)
	}
	return nil
}

// sameManifest compares the manifest of a run.
func (s *joinedStream) sameManifest(id string, w *Whole) error {
	row, n, err := s.next(id)
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("%d manifests: %w", n, errDiffers)
	}
	for i, want := range []string{w.SHA256, string(w.manifest), w.metadata} {
		if got := row[1+i]; got.list[got.index[0]] != want {
			return fmt.Errorf("column %s: %w", s.columns[2+i].name, errDiffers)
		}
	}
	return nil
}
