package store

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/apache/arrow/go/v15/parquet"

	"github.com/ergon-energy/ergon/units"
)

// treeRows bounds the rows that are read from a small file. It is many times the largest machine's tree.
const treeRows = 1 << 20

// field is a nullable column of a file whose rows are in values of type R: how it is written and read back. docs/schema.md
// describes it.
type field[R any] struct {
	name string
	about
	write func(rows []R) *cells
	// read sets the column's part of each row. It makes the rows if there are none yet. It is nil if the column is only
	// for other readers.
	read func(l *loader, p *parquetFile, rows *[]R)
}

// about is what docs/schema.md says of a column.
type about struct {
	kind    int64 // typeByteArray, typeInt64 or typeDouble
	moment  bool
	notNull bool
	unit    units.Unit // "" if there is none, or if another column says it
	null    string     // what null means; "" if that is never there
	meaning string
}

// says sets what null means and what the column holds.
func (f field[R]) says(null, meaning string) field[R] {
	f.null, f.meaning = null, meaning
	return f
}

// in sets the unit of the column.
func (f field[R]) in(u units.Unit) field[R] {
	f.unit = u
	return f
}

// layout is a version of a table and its columns.
type layout[R any] struct {
	version string
	fields  []field[R]
}

// unread is the field without reading it back.
func (f field[R]) unread() field[R] {
	f.read = nil
	return f
}

// required is the field of a column that never has nulls.
func (f field[R]) required() field[R] {
	write := f.write
	f.write = func(rows []R) *cells {
		c := write(rows)
		c.lacking = slices.Contains(c.levels, 0)
		c.null, c.levels = false, nil
		return c
	}
	f.notNull = true
	return f
}

// added is the field of a column that files from before a certain version lack. There its values are all null.
func (f field[R]) added() field[R] {
	read := f.read
	f.read = func(l *loader, p *parquetFile, rows *[]R) {
		_, has := p.cols[f.name]
		l.absent = !has
		read(l, p, rows)
		l.absent = false
	}
	return f
}

// word is a column of strings, null if empty.
func word[R any, S ~string](name string, at func(*R) *S) field[R] {
	return fieldOf(name, typeByteArray, func(c *cells, v S) bool {
		if v != "" {
			c.words = append(c.words, strings.ToValidUTF8(string(v), "\uFFFD"))
		}
		return v != ""
	}, nil, at, sameAgain[S]())
}

// sameAgain converts bytes to text. A text that is equal to the one before is that one, since most columns repeat a few.
func sameAgain[S ~string]() func(parquet.ByteArray) S {
	var last S
	return func(b parquet.ByteArray) S {
		if string(b) != string(last) {
			last = S(b)
		}
		return last
	}
}

// whole is a column of integers, null if negative.
func whole[R any](name string, at func(*R) *int64) field[R] {
	return fieldOf(name, typeInt64, func(c *cells, v int64) bool { return c.integer(v, v >= 0) },
		int64(-1), at, func(v int64) int64 { return v })
}

// count is a column of integers that are kept as floats, null if NaN.
func count[R any](name string, at func(*R) *float64) field[R] {
	return fieldOf(name, typeInt64, func(c *cells, v float64) bool { return c.integer(int64(v), !math.IsNaN(v)) },
		int64(-1), at, func(v int64) float64 {
			if v < 0 {
				return math.NaN()
			}
			return float64(v)
		})
}

// figure is a column of floats, null if NaN.
func figure[R any](name string, at func(*R) *float64) field[R] {
	return fieldOf(name, typeDouble, func(c *cells, v float64) bool {
		if !math.IsNaN(v) {
			c.floats = append(c.floats, v)
		}
		return !math.IsNaN(v)
	}, math.NaN(), at, func(v float64) float64 { return v })
}

// moment is a column of wall-clock times, null if zero.
func moment[R any](name string, at func(*R) *time.Time) field[R] {
	const null = math.MinInt64
	f := fieldOf(name, typeInt64, func(c *cells, v time.Time) bool {
		c.moment = true
		return c.integer(v.UnixMicro(), !v.IsZero())
	}, int64(null), at, func(v int64) time.Time {
		if v == null {
			return time.Time{}
		}
		return time.UnixMicro(v).UTC()
	})
	f.moment = true
	return f
}

// integer adds an integer, unless it is null.
func (c *cells) integer(v int64, ok bool) bool {
	if ok {
		c.ints = append(c.ints, v)
	}
	return ok
}

// fieldOf makes a field of the part of a row that at points to. pack adds what is stored of it to a column, or reports that it
// is null; unpack does the opposite. missing stands for null when it is read.
func fieldOf[R any, T physical, V any](
	name string, kind int64, pack func(*cells, V) bool, missing T, at func(*R) *V, unpack func(T) V,
) field[R] {
	return field[R]{
		name: name, about: about{kind: kind},
		write: func(rows []R) *cells {
			c := &cells{name: name, kind: kind, null: true, levels: make([]int16, len(rows))}
			for i := range rows {
				if pack(c, *at(&rows[i])) {
					c.levels[i] = 1
				}
			}
			return c
		},
		read: func(l *loader, p *parquetFile, rows *[]R) {
			if l.absent {
				for i := range *rows {
					*at(&(*rows)[i]) = unpack(missing)
				}
				return
			}
			values := load(l, p, name, missing, unpack)
			if l.err == nil && *rows == nil {
				if l.err = l.left.take(int64(len(values)) * int64(unsafe.Sizeof(*new(R)))); l.err != nil {
					l.err = fmt.Errorf("read %s: %d rows: %w", p.path, len(values), l.err)
					return
				}
				*rows = make([]R, len(values))
			}
			for i, v := range values {
				*at(&(*rows)[i]) = v
			}
		},
	}
}

// saveTable adds rows to the batch as a small file, with more pairs of metadata.
func saveTable[R any](b *Files, name, version string, fields []field[R], rows []R, more ...string) error {
	return saveGroups(b, name, version, fields, func(yield func([]R) bool) { yield(rows) }, more...)
}

// saveGroups is saveTable for many rows: each slice of rows becomes a row group. There is at least one. A slice need not be
// valid after the next one is asked for.
func saveGroups[R any](b *Files, name, version string, fields []field[R], groups iter.Seq[[]R], more ...string) error {
	path := filepath.Join(b.dir.path, name)
	pairs := append([]string{schemaKey, version}, more...)
	for i, p := range pairs {
		pairs[i] = strings.ToValidUTF8(p, "\uFFFD")
	}
	packer, err := b.packer()
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return b.put(name, func(w io.Writer) error {
		var lacking error // the file could not be read
		err := writeSmall(w, packer, func(yield func([]*cells, int) bool) {
			for rows := range groups {
				columns := make([]*cells, len(fields))
				for i, f := range fields {
					if columns[i] = f.write(rows); columns[i].lacking {
						lacking = fmt.Errorf("write %s: a row without %s", path, f.name)
						return
					}
				}
				if !yield(columns, len(rows)) {
					return
				}
			}
		}, pairs)
		return errors.Join(lacking, err)
	})
}

// readGroups reads the rows of a file back, one row group after another, and gives them to each. The rows are not valid
// after that. The error wraps fs.ErrNotExist if there is no such file.
func readGroups[R any](in folderFiles, name string, of layout[R], each func(rows []R) error) (err error) {
	defer guard("read "+filepath.Join(in.dir, name), &err)
	p, err := openParquet(in, name, of.version)
	if err != nil {
		return err
	}
	defer p.close()
	for g := range p.r.NumRowGroups() {
		p.from, p.to = g, g+1
		left := *in.left // the rows are not kept
		l := loader{left: &left}
		var rows []R
		for _, f := range of.fields {
			if f.read != nil {
				f.read(&l, p, &rows)
			}
			if l.err != nil {
				return l.err
			}
		}
		if err := each(rows); err != nil {
			return err
		}
	}
	return nil
}

// readTable reads the rows of a file back, in whichever of the layouts it has, and returns the version. The error wraps
// fs.ErrNotExist if there is no such file.
func readTable[R any](in folderFiles, name string, layouts ...layout[R]) (rows []R, version string, err error) {
	defer guard("read "+filepath.Join(in.dir, name), &err)
	versions := make([]string, len(layouts))
	for i, l := range layouts {
		versions[i] = l.version
	}
	p, err := openParquet(in, name, versions...)
	if err != nil {
		return nil, "", err
	}
	defer p.close()
	l := loader{left: in.left}
	for _, f := range layouts[slices.Index(versions, p.version)].fields {
		if f.read != nil {
			f.read(&l, p, &rows)
		}
		if l.err != nil {
			return nil, "", l.err
		}
	}
	return rows, p.version, nil
}

// loader reads columns of equal length and keeps the first error.
type loader struct {
	left   *budget
	rows   int  // of the first column, plus 1
	absent bool // the file has no such column
	err    error
}

func load[T physical, V any](l *loader, p *parquetFile, name string, missing T, convert func(T) V) []V {
	if l.err != nil {
		return nil
	}
	values, err := all(p, name, missing, treeRows, func(v T) (V, error) {
		if text, ok := any(v).(parquet.ByteArray); ok {
			if err := l.left.take(int64(len(text))); err != nil {
				var none V
				return none, fmt.Errorf("read %s: column %s: %w", p.path, name, err)
			}
		}
		return convert(v), nil
	})
	if err == nil && l.rows > 0 && len(values) != l.rows-1 {
		err = fmt.Errorf("read %s: column %s has %d rows of %d", p.path, name, len(values), l.rows-1)
	}
	l.rows, l.err = len(values)+1, err
	return values
}
