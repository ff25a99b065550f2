package store

import (
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
)

const (
	// gatherRows is how many rows of a column are read at once.
	gatherRows = 4 << 10
	// manyWords is the number of distinct words from which a column has no dictionary; see dictionaryOf.
	manyWords = math.MaxInt16 - 1
)

// gatherer collects the values of a column.
type gatherer struct {
	cells
	seen map[string]int32
	text int // bytes of the distinct words
}

func newGatherer(c columnAbout) *gatherer {
	g := &gatherer{cells: cells{name: c.name, kind: c.kind, moment: c.moment, null: !c.notNull}}
	if c.kind == typeByteArray {
		g.index = []int32{}
	}
	return g
}

// reset forgets the values.
func (g *gatherer) reset() {
	g.index, g.list, g.ints, g.floats, g.levels = g.index[:0], g.list[:0], g.ints[:0], g.floats[:0], g.levels[:0]
	g.text, g.lacking = 0, false
	clear(g.seen)
}

// word adds a word n times.
func (g *gatherer) word(w []byte, n int) {
	k, ok := g.seen[string(w)] // this makes no string
	if !ok {
		if g.seen == nil {
			g.seen = map[string]int32{}
		}
		k = int32(len(g.list))
		text := string(w)
		g.seen[text], g.list, g.text = k, append(g.list, text), g.text+len(text)
	}
	for range n {
		g.index = append(g.index, k)
	}
}

// present notes n rows that have a value.
func (g *gatherer) present(n int) {
	if g.null {
		for range n {
			g.levels = append(g.levels, 1)
		}
	}
}

// absent notes n rows that have none.
func (g *gatherer) absent(n int) {
	g.lacking = g.lacking || !g.null
	if g.null {
		g.levels = append(g.levels, make([]int16, n)...)
	}
}

// column is what is written.
func (g *gatherer) column() *cells {
	c := g.cells
	if len(c.list) > manyWords {
		c.words = make([]string, len(c.index))
		for i, w := range c.index {
			c.words[i] = c.list[w]
		}
		c.index, c.list = nil, nil
	}
	return &c
}

// differs reports whether two columns have different values. Numbers are the same if their bits are.
func (g *gatherer) differs(h *gatherer) bool {
	same := slices.Equal(g.levels, h.levels) && slices.Equal(g.ints, h.ints) && len(g.index) == len(h.index) &&
		slices.EqualFunc(g.floats, h.floats, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })
	for i := 0; same && i < len(g.index); i++ {
		same = g.list[g.index[i]] == h.list[h.index[i]]
	}
	return !same
}

// source gives the values of a column in the order of the rows.
type source interface {
	// take adds the next n values, or fewer at the end of the file, and returns how many.
	take(n int, to *gatherer) (int, error)
}

// nulls is the source of a column that a file lacks.
type nulls struct{}

func (nulls) take(n int, to *gatherer) (int, error) {
	to.absent(n)
	return n, nil
}

// openSource returns the source of a column.
func openSource(p *parquetFile, c columnAbout) (source, error) {
	i, ok := p.cols[c.name]
	if !ok {
		if c.notNull {
			return nil, fmt.Errorf("read %s: no column %s: %w", p.path, c.name, ErrForeign)
		}
		return nulls{}, nil
	}
	d := p.r.MetaData().Schema.Column(i)
	if int64(d.PhysicalType()) != c.kind || d.MaxDefinitionLevel() == 1 && c.notNull {
		return nil, fmt.Errorf("read %s: column %s has another type: %w", p.path, c.name, ErrForeign)
	}
	switch c.kind {
	case typeByteArray:
		return &columnSource[parquet.ByteArray]{p: p, name: c.name}, nil
	case typeInt32:
		return &columnSource[int32]{p: p, name: c.name}, nil
	case typeInt64:
		return &columnSource[int64]{p: p, name: c.name}, nil
	}
	return &columnSource[float64]{p: p, name: c.name}, nil
}

// columnSource reads a column over all row groups.
type columnSource[T physical] struct {
	p     *parquetFile
	name  string
	group int
	c     *column[T] // nil between two row groups
}

func (s *columnSource[T]) take(n int, to *gatherer) (got int, err error) {
	for got < n {
		if s.c == nil {
			if s.group == s.p.r.NumRowGroups() {
				return got, nil
			}
			rows := s.p.r.MetaData().RowGroup(s.group).NumRows()
			if s.c, err = openColumn[T](s.p, s.group, s.name, int(max(1, min(gatherRows, rows)))); err != nil {
				return got, err
			}
			s.group++
		}
		values, levels, err := s.c.raw(n - got)
		if err != nil {
			return got, err
		}
		rows := max(len(values), len(levels))
		if rows == 0 {
			s.c = nil
			continue
		}
		if s.c.null {
			to.levels = append(to.levels, levels...)
		} else {
			to.present(rows)
		}
		gather(to, values)
		got += rows
	}
	return got, nil
}

// gather adds values that are not null.
func gather[T physical](to *gatherer, values []T) {
	switch values := any(values).(type) {
	case []parquet.ByteArray:
		for _, v := range values {
			to.word(v, 1)
		}
	case []int32:
		for _, v := range values {
			to.ints = append(to.ints, int64(v))
		}
	case []int64:
		to.ints = append(to.ints, values...)
	case []float64:
		to.floats = append(to.floats, values...)
	}
}

// raw reads at most n values: those that are not null, and a 1 for each row that has one, a 0 for each other. levels is nil if
// the column has no nulls. Both are empty at the end of the row group, and valid until the next call.
func (c *column[T]) raw(n int) (values []T, levels []int16, err error) {
	if c.null {
		levels = c.levels
	}
	total, found, err := c.read(int64(min(n, len(c.dense))), c.dense, levels, nil)
	if err == nil {
		err = c.err() // of the page reader, which ReadBatch takes for the end
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", c.path, err)
	}
	if !c.null {
		if int(total) != found {
			return nil, nil, fmt.Errorf("read %s: %d values of %d", c.path, found, total)
		}
		return c.dense[:found], nil, nil
	}
	levels = levels[:total]
	there := 0
	for _, l := range levels {
		there += int(l)
	}
	if there != found {
		return nil, nil, fmt.Errorf("read %s: %d values of %d", c.path, found, there)
	}
	return c.dense[:found], levels, nil
}

// sourcesOf returns the sources of some columns.
func sourcesOf(p *parquetFile, columns []columnAbout) ([]source, error) {
	out := make([]source, len(columns))
	for i, c := range columns {
		var err error
		if out[i], err = openSource(p, c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// pairsOf returns the pairs in the metadata of a file.
func pairsOf(r *file.Reader) map[string]string {
	all := r.MetaData().KeyValueMetadata()
	out := make(map[string]string, all.Len())
	for i, key := range all.Keys() {
		out[key] = all.Values()[i]
	}
	return out
}
