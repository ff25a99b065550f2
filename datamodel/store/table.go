package store

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/ergon-energy/ergon/datamodel"
)

// treeRows bounds the rows that are read from a small file. It is many times the largest machine's tree.
const treeRows = 1 << 20

// field is a nullable column of a file whose rows are in values of type R: how it is written and read back.
type field[R any] struct {
	name  string
	write func(t *table, rows []R)
	// read sets the column's part of each row. It makes the rows if there are none yet. It is nil if the column is only
	// for other readers.
	read func(l *loader, p *parquetFile, rows *[]R)
}

// unread is the field without reading it back.
func (f field[R]) unread() field[R] {
	f.read = nil
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
	node, err := schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional, schema.StringLogicalType{},
		parquet.Types.ByteArray, 0, -1)
	return fieldOf(name, node, err, nil, at,
		func(s S) (parquet.ByteArray, bool) {
			return parquet.ByteArray(strings.ToValidUTF8(string(s), "\uFFFD")), s != ""
		},
		func(b parquet.ByteArray) S { return S(b) })
}

// whole is a column of integers, null if negative.
func whole[R any](name string, at func(*R) *int64) field[R] {
	return fieldOf(name, schema.NewInt64Node(name, parquet.Repetitions.Optional, -1), nil, int64(-1), at,
		func(v int64) (int64, bool) { return v, v >= 0 },
		func(v int64) int64 { return v })
}

// count is a column of integers that are kept as floats, null if NaN.
func count[R any](name string, at func(*R) *float64) field[R] {
	return fieldOf(name, schema.NewInt64Node(name, parquet.Repetitions.Optional, -1), nil, int64(-1), at,
		func(v float64) (int64, bool) { return int64(v), !math.IsNaN(v) },
		func(v int64) float64 {
			if v < 0 {
				return math.NaN()
			}
			return float64(v)
		})
}

// figure is a column of floats, null if NaN.
func figure[R any](name string, at func(*R) *float64) field[R] {
	return fieldOf(name, schema.NewFloat64Node(name, parquet.Repetitions.Optional, -1), nil, math.NaN(), at,
		func(v float64) (float64, bool) { return v, !math.IsNaN(v) },
		func(v float64) float64 { return v })
}

// moment is a column of wall-clock times, null if zero.
func moment[R any](name string, at func(*R) *time.Time) field[R] {
	const null = math.MinInt64
	node, err := schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional,
		schema.NewTimestampLogicalType(true, schema.TimeUnitMicros), parquet.Types.Int64, 0, -1)
	return fieldOf(name, node, err, int64(null), at,
		func(v time.Time) (int64, bool) { return v.UnixMicro(), !v.IsZero() },
		func(v int64) time.Time {
			if v == null {
				return time.Time{}
			}
			return time.UnixMicro(v).UTC()
		})
}

// fieldOf makes a field of the part of a row that at points to. pack makes what is stored of it, or reports that it is
// null; unpack does the opposite. missing stands for null when it is read.
func fieldOf[R any, T physical, V any](
	name string, node schema.Node, err error, missing T, at func(*R) *V, pack func(V) (T, bool), unpack func(T) V,
) field[R] {
	return field[R]{
		name: name,
		write: func(t *table, rows []R) {
			t.err = errors.Join(t.err, err)
			values, levels := make([]T, 0, len(rows)), make([]int16, len(rows))
			for i := range rows {
				if v, ok := pack(*at(&rows[i])); ok {
					values = append(values, v)
					levels[i] = 1
				}
			}
			t.fields, t.columns, t.levels = append(t.fields, node), append(t.columns, values), append(t.levels, levels)
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

// table collects the columns of a small file.
type table struct {
	fields  schema.FieldList
	columns []any // []int64, []float64 or []parquet.ByteArray: the values that are not null, for each field
	levels  [][]int16
	err     error
}

// tableOf makes the columns of rows.
func tableOf[R any](fields []field[R], rows []R) *table {
	var t table
	for _, f := range fields {
		f.write(&t, rows)
	}
	return &t
}

// save writes the table as one row group, or none if it has no rows, with more pairs of metadata. It uses snappy, since the
// files are small and zstd would build tables for every page.
func (t *table) save(b *Files, name, version string, run datamodel.Run, more ...string) error {
	meta, err := keyValues(append([]string{schemaKey, version, "ergon.version", run.Version, "ergon.run", run.ID}, more...)...)
	path := filepath.Join(b.dir.path, name)
	if err := errors.Join(t.err, err); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, t.fields, -1)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	props := parquet.NewWriterProperties(parquet.WithDictionaryDefault(false), parquet.WithEncoding(parquet.Encodings.Plain),
		parquet.WithCompression(compress.Codecs.Snappy), parquet.WithCreatedBy("ergon"),
		parquet.WithDataPageSize(8<<20), parquet.WithMaxRowGroupLength(treeRows))
	return b.put(name, func(w io.Writer) (err error) {
		defer guard(path, &err)
		f := file.NewParquetWriter(w, root, file.WithWriterProps(props), file.WithWriteMetadata(meta))
		if len(t.levels[0]) > 0 {
			if err := t.write(f.AppendRowGroup()); err != nil {
				return err
			}
		}
		return f.Close()
	})
}

func (t *table) write(group file.SerialRowGroupWriter) error {
	for i, values := range t.columns {
		column, err := group.NextColumn()
		if err != nil {
			return err
		}
		switch values := values.(type) {
		case []int64:
			_, err = column.(*file.Int64ColumnChunkWriter).WriteBatch(values, t.levels[i], nil)
		case []float64:
			_, err = column.(*file.Float64ColumnChunkWriter).WriteBatch(values, t.levels[i], nil)
		case []parquet.ByteArray:
			_, err = column.(*file.ByteArrayColumnChunkWriter).WriteBatch(values, t.levels[i], nil)
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", t.fields[i].Name(), err)
		}
	}
	return group.Close()
}

// readTable reads the rows of a file back. The error wraps fs.ErrNotExist if there is no such file.
func readTable[R any](in folderFiles, name, version string, fields []field[R]) (rows []R, err error) {
	defer guard("read "+filepath.Join(in.dir, name), &err)
	p, err := openParquet(in, name, version)
	if err != nil {
		return nil, err
	}
	defer p.close()
	l := loader{left: in.left}
	for _, f := range fields {
		if f.read != nil {
			f.read(&l, p, &rows)
		}
		if l.err != nil {
			return nil, l.err
		}
	}
	return rows, nil
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
