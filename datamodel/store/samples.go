package store

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/klauspost/compress/zstd"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	samplesSchema = "ergon.samples/2"
	// samplesSchema1 is read, but no longer written.
	samplesSchema1 = "ergon.samples/1"
	// schemaKey is the key of the version in the key-value metadata of a Parquet file.
	schemaKey = "ergon.schema"

	// groupRows is the number of rows in a row group. A column of doubles is then one page of 4 MiB, the window of zstd
	// level 1. Arrow builds an encoder with 9 MB of tables and history for every page, so small pages are expensive.
	groupRows = 512 << 10
	// smallRows is the number of rows up to which a file is written as a small one, without arrow.
	smallRows = 32 << 10
)

// columnAbout describes a column of a long table.
type columnAbout struct {
	name string
	about
}

// samplesAbout describes the columns of samples.parquet in their order.
func samplesAbout() []columnAbout {
	word := about{kind: typeByteArray, notNull: true}
	return []columnAbout{
		{"round", about{kind: typeInt64, notNull: true, meaning: "round, from 0"}},
		{"host", word.says("host")},
		{"sensor", word.says("id of the sensor: family/device/quantity")},
		{"unit", word.says("unit of value, as a UCUM code")},
		{"kind", word.says("counter: only differences mean something; gauge: a momentary value")},
		{"time", about{
			kind: typeInt64, moment: true, notNull: true,
			meaning: "wall-clock time of the reading, in UTC",
		}},
		{"elapsed", about{
			kind: typeDouble, notNull: true, unit: units.Second,
			meaning: "time of the reading on the run's clock, from 0",
		}},
		{"value", about{
			kind: typeDouble, null: "no reading",
			meaning: "the reading, in unit; a counter as the hardware or the kernel counts it",
		}},
	}
}

// says returns the description with its meaning.
func (a about) says(meaning string) about {
	a.meaning = meaning
	return a
}

// longColumns is the schema of a long table.
func longColumns(columns []columnAbout) (*schema.GroupNode, error) {
	var fields schema.FieldList
	for _, c := range columns {
		repetition := parquet.Repetitions.Optional
		if c.notNull {
			repetition = parquet.Repetitions.Required
		}
		var node schema.Node
		var err error
		switch {
		case c.kind == typeByteArray:
			node, err = schema.NewPrimitiveNodeLogical(c.name, repetition, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1)
		case c.moment:
			micros := schema.NewTimestampLogicalType(true, schema.TimeUnitMicros)
			node, err = schema.NewPrimitiveNodeLogical(c.name, repetition, micros, parquet.Types.Int64, 0, -1)
		case c.kind == typeInt64:
			node = schema.NewInt64Node(c.name, repetition, -1)
		default:
			node = schema.NewFloat64Node(c.name, repetition, -1)
		}
		if err != nil {
			return nil, err
		}
		fields = append(fields, node)
	}
	return schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
}

// longProperties are the encodings of a long table: those that every reader tried can read and that arrow v15 writes right.
// Not among them: DELTA_BYTE_ARRAY, LZ4 and a dictionary for numbers.
func longProperties(columns []columnAbout) *parquet.WriterProperties {
	options := []parquet.WriterProperty{
		parquet.WithDictionaryDefault(false),
		parquet.WithEncoding(parquet.Encodings.Plain),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithDataPageSize(8 * groupRows),
		parquet.WithDictionaryPageSizeLimit(16 << 20),
		parquet.WithBatchSize(64 << 10),
		parquet.WithMaxRowGroupLength(groupRows),
		parquet.WithCreatedBy("ergon"),
	}
	for _, c := range columns {
		switch c.kind {
		case typeInt64:
			options = append(options, parquet.WithEncodingFor(c.name, parquet.Encodings.DeltaBinaryPacked))
		case typeByteArray: // runs of one index, a few bytes long whatever the number of rows: nothing to compress
			options = append(options, parquet.WithDictionaryFor(c.name, true),
				parquet.WithCompressionFor(c.name, compress.Codecs.Uncompressed))
		}
	}
	return parquet.NewWriterProperties(options...)
}

// longWriter writes a long table: as a small file, or by arrow in row groups.
type longWriter struct {
	out     io.Writer
	name    string
	columns []columnAbout
	pairs   []string
	packer  func() (*zstd.Encoder, error)
	w       *file.Writer // nil until the first row group
}

// group writes rows as a row group. cells has the columns in their order. last means that no more rows come: if these are
// all rows and they are few, the file is a small one.
func (l *longWriter) group(columns []*cells, rows int, last bool) (err error) {
	defer guard(l.name, &err)
	if l.w == nil && last && rows <= smallRows {
		packer, err := l.packer()
		if err != nil {
			return err
		}
		for i, c := range columns {
			c.describe(l.columns[i])
		}
		return writeSmall(l.out, packer, oneGroup(columns, rows), l.pairs)
	}
	if l.w == nil {
		root, err := longColumns(l.columns)
		if err != nil {
			return err
		}
		meta, err := keyValues(l.pairs...)
		if err != nil {
			return err
		}
		l.w = file.NewParquetWriter(l.out, root, file.WithWriterProps(longProperties(l.columns)), file.WithWriteMetadata(meta))
	}
	if rows > 0 {
		group := l.w.AppendRowGroup()
		for i, c := range columns {
			switch l.columns[i].kind {
			case typeByteArray:
				err = writeIndices(group, c.list, c.index)
			case typeInt64:
				err = writeNumbers(group, c.ints, c.levels)
			default:
				err = writeNumbers(group, c.floats, c.levels)
			}
			if err != nil {
				return err
			}
		}
		if err := group.Close(); err != nil {
			return err
		}
	}
	if last {
		return l.w.Close()
	}
	return nil
}

// describe sets what a column of a long table is.
func (c *cells) describe(a columnAbout) {
	c.name, c.kind, c.moment, c.null = a.name, a.kind, a.moment, !a.notNull
	if c.kind == typeByteArray && c.index == nil {
		c.index = []int32{}
	}
}

// samplesWriter collects rows to row groups and writes them.
type samplesWriter struct {
	longWriter
	hosts   []string
	sensors []string
	units   words
	unit    []int32 // of each sensor, its number in units
	kind    []int32 // of each sensor: 0 for a gauge, 1 for a counter
	host    []int32 // index in hosts, for each row
	sensor  []int32
	time    []int64
	elapsed []float64
	value   []float64 // of the rows that have one
	level   []int16   // 1 if the row has a value
}

// add appends the readings of a sensor. A row group is closed before them rather than within them.
func (s *samplesWriter) add(host, sensor int32, anchor time.Time, at []time.Duration, values []float64) error {
	if len(s.time)+len(at) > groupRows {
		if err := s.flush(false); err != nil {
			return err
		}
	}
	// Micros of the sum, not the sum of micros: time is then exactly the anchor and the elapsed time, rounded once.
	base, rest := anchor.UnixMicro(), time.Duration(anchor.Nanosecond()%1000)
	for i, e := range at {
		s.host = append(s.host, host)
		s.sensor = append(s.sensor, sensor)
		s.time = append(s.time, base+floorMicros(e+rest))
		s.elapsed = append(s.elapsed, e.Seconds())
		if v := values[i]; math.IsNaN(v) {
			s.level = append(s.level, 0)
		} else {
			s.level = append(s.level, 1)
			s.value = append(s.value, v)
		}
	}
	return nil
}

// floorMicros converts to microseconds and rounds down, also below 0, as time.Time.UnixMicro does.
func floorMicros(d time.Duration) int64 {
	us := int64(d / time.Microsecond)
	if d%time.Microsecond < 0 {
		us--
	}
	return us
}

// flush writes the collected rows as a row group.
func (s *samplesWriter) flush(last bool) error {
	n := len(s.time)
	unit, kind := make([]int32, n), make([]int32, n)
	for i, sensor := range s.sensor {
		unit[i], kind[i] = s.unit[sensor], s.kind[sensor]
	}
	err := s.group([]*cells{
		{ints: make([]int64, n)},
		{index: s.host, list: s.hosts},
		{index: s.sensor, list: s.sensors},
		{index: unit, list: s.units.list},
		{index: kind, list: []string{sensors.Gauge.String(), sensors.Counter.String()}},
		{ints: s.time},
		{floats: s.elapsed},
		{floats: s.value, levels: s.level},
	}, n, last)
	s.host, s.sensor, s.time, s.elapsed = s.host[:0], s.sensor[:0], s.time[:0], s.elapsed[:0]
	s.value, s.level = s.value[:0], s.level[:0]
	return err
}

// writeNumbers writes the next column. levels is nil for a column without nulls.
func writeNumbers[T int64 | float64](group file.SerialRowGroupWriter, values []T, levels []int16) error {
	column, err := group.NextColumn()
	if err != nil {
		return err
	}
	switch values := any(values).(type) {
	case []int64:
		_, err = column.(*file.Int64ColumnChunkWriter).WriteBatch(values, levels, nil)
	case []float64:
		_, err = column.(*file.Float64ColumnChunkWriter).WriteBatch(values, levels, nil)
	}
	return err
}

// writeIndices writes a column of strings that are given as indices into words. Arrow itself would look up every row in a
// hash table, though the indices are known.
func writeIndices(group file.SerialRowGroupWriter, words []string, rows []int32) error {
	column, err := group.NextColumn()
	if err != nil {
		return err
	}
	strings := column.(*file.ByteArrayColumnChunkWriter)
	// Only the words of this group go into its dictionary.
	number := make([]int32, len(words))
	dictionary := array.NewStringBuilder(memory.DefaultAllocator)
	defer dictionary.Release()
	var used []parquet.ByteArray
	indices := make([]int32, len(rows))
	for i, w := range rows {
		if number[w] == 0 {
			dictionary.Append(words[w])
			used = append(used, parquet.ByteArray(words[w]))
			number[w] = int32(len(used))
		}
		indices[i] = number[w] - 1
	}
	encoder, ok := strings.CurrentEncoder().(interface{ PutDictionary(arrow.Array) error })
	if !ok {
		return fmt.Errorf("column %s has no dictionary", strings.Descr().Name())
	}
	if err := encoder.PutDictionary(dictionary.NewArray()); err != nil {
		return err
	}
	// WriteDictIndices does not update the statistics. Readers need them to skip groups without the requested sensor.
	if stats, ok := strings.PageStatistics().(*metadata.ByteArrayStatistics); ok {
		stats.Update(used, 0)
	}
	data := array.NewData(arrow.PrimitiveTypes.Int32, len(indices),
		[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(indices))}, nil, 0, 0)
	return strings.WriteDictIndices(array.NewInt32Data(data), nil, nil)
}

// keyValues makes the key-value metadata of a Parquet file from pairs.
func keyValues(pairs ...string) (metadata.KeyValueMetadata, error) {
	meta := metadata.NewKeyValueMetadata()
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := meta.Append(pairs[i], string(bytes.ToValidUTF8([]byte(pairs[i+1]), []byte("\uFFFD")))); err != nil {
			return nil, err
		}
	}
	return meta, nil
}
