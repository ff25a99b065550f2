package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/klauspost/compress/zstd"
)

// parquetFile is an open Parquet file that ergon wrote.
type parquetFile struct {
	path string
	// version is the version of its table.
	version string
	size    int64
	f       *os.File
	r       *file.Reader
	cols    map[string]int
	unpack  *zstd.Decoder // nil lets each column make its own
	// from and to are the row groups that are read, to excluded.
	from, to int
}

const (
	// footerLimit and pageLimit are many times what ergon writes: about 1 KiB of footer per row group, and pages of 4 MiB.
	footerLimit = 16 << 20
	pageLimit   = 64 << 20
)

// openParquet opens a file with one of the versions and checks its digest. The caller guards against panics. Whatever the file
// claims, at most pageLimit bytes are allocated at once.
func openParquet(in folderFiles, name string, versions ...string) (p *parquetFile, err error) {
	path := filepath.Join(in.dir, name)
	defer guard("read "+path, &err)
	f, err := in.open(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if p == nil {
			_ = f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if err := checkFooter(f, info.Size()); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	r, err := file.NewParquetReader(f, file.WithReadProps(parquet.NewReaderProperties(limit(pageLimit))))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	v := r.MetaData().KeyValueMetadata().FindValue(schemaKey)
	if v == nil || !slices.Contains(versions, *v) {
		return nil, fmt.Errorf("read %s: no %s: %w", path, versions[0], ErrForeign)
	}
	cols := map[string]int{}
	for i := range r.MetaData().Schema.NumColumns() {
		cols[r.MetaData().Schema.Column(i).Path()] = i
	}
	return &parquetFile{
		path: path, version: *v, size: info.Size(), f: f, r: r, cols: cols, unpack: in.unpack, to: r.NumRowGroups(),
	}, nil
}

func (p *parquetFile) close() { _ = p.f.Close() } // it was only read

// physical lists the Parquet types that are read here.
type physical interface {
	int32 | int64 | float64 | parquet.ByteArray
}

// column reads a column of a row group in batches. Arrow has a reader type for each physical type and no common one, so T
// chooses.
type column[T physical] struct {
	path   string
	read   func(batch int64, values []T, defLevels, repLevels []int16) (int64, int, error)
	err    func() error
	null   bool
	values []T
	levels []int16
	dense  []T
}

// batchReader is what arrow's typed column readers have in common.
type batchReader[T physical] interface {
	ReadBatch(batch int64, values []T, defLevels, repLevels []int16) (total int64, valuesRead int, err error)
	Err() error
}

// openColumn opens the named column of row group g, which must be flat and of type T.
func openColumn[T physical](p *parquetFile, g int, name string, size int) (*column[T], error) {
	i, ok := p.cols[name]
	if !ok {
		return nil, fmt.Errorf("read %s: no column %s: %w", p.path, name, ErrForeign)
	}
	d := p.r.MetaData().Schema.Column(i)
	if d.MaxRepetitionLevel() != 0 || d.MaxDefinitionLevel() > 1 {
		return nil, fmt.Errorf("read %s: column %s is nested: %w", p.path, name, ErrForeign)
	}
	chunk, err := p.r.RowGroup(g).MetaData().ColumnChunk(i)
	if err != nil {
		return nil, fmt.Errorf("read %s: column %s: %w", p.path, name, err)
	}
	start := chunk.DataPageOffset()
	if chunk.HasDictionaryPage() && chunk.DictionaryPageOffset() > 0 {
		start = min(start, chunk.DictionaryPageOffset())
	}
	pages, err := openPages(p.f, p.size, start, chunk.TotalCompressedSize(), chunk.NumValues(),
		chunk.Compression(), d.MaxDefinitionLevel() == 1, p.unpack)
	if err != nil {
		return nil, fmt.Errorf("read %s: column %s: %w", p.path, name, err)
	}
	reader := file.NewColumnReader(d, pages, limit(pageLimit), p.r.BufferPool())
	typed, ok := reader.(batchReader[T])
	if !ok {
		return nil, fmt.Errorf("read %s: column %s has another type: %w", p.path, name, ErrForeign)
	}
	c := &column[T]{
		path: p.path + ": column " + name, read: typed.ReadBatch, err: typed.Err, null: d.MaxDefinitionLevel() == 1,
		dense: make([]T, size), levels: make([]int16, size), values: make([]T, size),
	}
	return c, nil
}

// next reads at most size values, with missing in place of null. It returns io.EOF at the end of the row group. The slice
// is valid until the next call.
func (c *column[T]) next(missing T) ([]T, error) {
	levels := c.levels
	if !c.null {
		levels = nil
	}
	total, n, err := c.read(int64(len(c.dense)), c.dense, levels, nil)
	if err == nil {
		err = c.err() // of the page reader, which ReadBatch takes for the end
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", c.path, err)
	case total == 0:
		return nil, io.EOF
	case !c.null:
		if int(total) != n {
			return nil, fmt.Errorf("read %s: %d values of %d", c.path, n, total)
		}
		return c.dense[:n], nil
	}
	out := c.values[:total]
	j := 0
	for i, l := range c.levels[:total] {
		if l == 0 {
			out[i] = missing
			continue
		}
		if j == n {
			return nil, fmt.Errorf("read %s: fewer values than rows", c.path)
		}
		out[i] = c.dense[j]
		j++
	}
	return out, nil
}

// all reads a whole, small column over the row groups that are read, at most most rows, and converts each value.
func all[T physical, V any](p *parquetFile, name string, missing T, most int, convert func(T) (V, error)) ([]V, error) {
	var out []V
	for g := p.from; g < p.to; g++ {
		c, err := openColumn[T](p, g, name, 1024)
		if err != nil {
			return nil, err
		}
		for {
			values, err := c.next(missing)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			if len(out)+len(values) > most {
				return nil, fmt.Errorf("read %s: more than %d rows: %w", p.path, most, ErrForeign)
			}
			for _, v := range values {
				kept, err := convert(v)
				if err != nil {
					return nil, err
				}
				out = append(out, kept)
			}
		}
	}
	return out, nil
}

// limit is an allocator that refuses more than so many bytes at once, since a damaged file may claim anything. It panics,
// and guard turns that into an error.
type limit int64

// Allocate is part of memory.Allocator.
func (l limit) Allocate(size int) []byte {
	l.check(size)
	return memory.DefaultAllocator.Allocate(size)
}

// Reallocate is part of memory.Allocator.
func (l limit) Reallocate(size int, b []byte) []byte {
	l.check(size)
	return memory.DefaultAllocator.Reallocate(size, b)
}

// Free is part of memory.Allocator.
func (l limit) Free([]byte) {}

func (l limit) check(size int) {
	if size < 0 || int64(size) > int64(l) {
		panic(fmt.Errorf("%d bytes claimed", size))
	}
}
