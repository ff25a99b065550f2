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
)

const (
	samplesSchema = "ergon.samples/1"
	// schemaKey is the key of the version in the key-value metadata of a Parquet file.
	schemaKey = "ergon.schema"

	// groupRows is the number of rows in a row group. A column of doubles is then one page of 4 MiB, the window of zstd
	// level 1. Arrow builds an encoder with 9 MB of tables and history for every page, so small pages are expensive.
	groupRows = 512 << 10
	// smallRows is the number of rows up to which a file is compressed with snappy: starting zstd's encoder would cost
	// more than it saves.
	smallRows = 64 << 10
)

// samplesColumns is the schema of samples.parquet.
func samplesColumns() (*schema.GroupNode, error) {
	micros := schema.NewTimestampLogicalType(true, schema.TimeUnitMicros)
	required, optional := parquet.Repetitions.Required, parquet.Repetitions.Optional
	host, err := schema.NewPrimitiveNodeLogical("host", required, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1)
	if err != nil {
		return nil, err
	}
	sensor, err := schema.NewPrimitiveNodeLogical("sensor", required, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1)
	if err != nil {
		return nil, err
	}
	at, err := schema.NewPrimitiveNodeLogical("time", required, micros, parquet.Types.Int64, 0, -1)
	if err != nil {
		return nil, err
	}
	elapsed := schema.NewFloat64Node("elapsed", required, -1)
	value := schema.NewFloat64Node("value", optional, -1)
	return schema.NewGroupNode("schema", required, schema.FieldList{host, sensor, at, elapsed, value}, -1)
}

// samplesProperties are the encodings of samples.parquet.
func samplesProperties(rows int64) *parquet.WriterProperties {
	return longProperties(rows, []string{"time"}, []string{"host", "sensor"})
}

// longProperties are the encodings of a long table: those that every reader tried can read and that arrow v15 writes right.
// Not among them: DELTA_BYTE_ARRAY, LZ4 and a dictionary for numbers. whole names the columns of integers, and words those
// that writeIndices writes.
func longProperties(rows int64, whole, words []string) *parquet.WriterProperties {
	codec := compress.Codecs.Zstd
	if rows <= smallRows {
		codec = compress.Codecs.Snappy
	}
	options := []parquet.WriterProperty{
		parquet.WithDictionaryDefault(false),
		parquet.WithEncoding(parquet.Encodings.Plain),
		parquet.WithCompression(codec),
		parquet.WithCompressionLevel(1),
		parquet.WithDataPageSize(8 * groupRows),
		parquet.WithDictionaryPageSizeLimit(16 << 20),
		parquet.WithBatchSize(64 << 10),
		parquet.WithMaxRowGroupLength(groupRows),
		parquet.WithCreatedBy("ergon"),
	}
	for _, column := range whole {
		options = append(options, parquet.WithEncodingFor(column, parquet.Encodings.DeltaBinaryPacked))
	}
	// These are runs of one index, a few bytes long whatever the number of rows: nothing to compress.
	for _, column := range words {
		options = append(options, parquet.WithDictionaryFor(column, true),
			parquet.WithCompressionFor(column, compress.Codecs.Uncompressed))
	}
	return parquet.NewWriterProperties(options...)
}

// samplesWriter collects rows to row groups and writes them.
type samplesWriter struct {
	w       *file.Writer
	hosts   []string
	sensors []string
	host    []int32 // index in hosts, for each row
	sensor  []int32
	time    []int64
	elapsed []float64
	value   []float64 // of the rows that have one
	level   []int16   // 1 if the row has a value
}

// newSamplesWriter starts a file for about so many rows.
func newSamplesWriter(w io.Writer, rows int64, meta metadata.KeyValueMetadata) (_ *samplesWriter, err error) {
	defer guard(SamplesFile, &err)
	columns, err := samplesColumns()
	if err != nil {
		return nil, err
	}
	return &samplesWriter{
		w: file.NewParquetWriter(w, columns, file.WithWriterProps(samplesProperties(rows)), file.WithWriteMetadata(meta)),
	}, nil
}

// add appends the readings of a sensor. A row group is closed before them rather than within them.
func (s *samplesWriter) add(host, sensor int32, anchor time.Time, at []time.Duration, values []float64) error {
	if len(s.time)+len(at) > groupRows {
		if err := s.flush(); err != nil {
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
func (s *samplesWriter) flush() (err error) {
	defer guard(SamplesFile, &err)
	if len(s.time) == 0 {
		return nil
	}
	group := s.w.AppendRowGroup()
	if err := writeIndices(group, s.hosts, s.host); err != nil {
		return err
	}
	if err := writeIndices(group, s.sensors, s.sensor); err != nil {
		return err
	}
	if err := writeNumbers(group, s.time, nil); err != nil {
		return err
	}
	if err := writeNumbers(group, s.elapsed, nil); err != nil {
		return err
	}
	if err := writeNumbers(group, s.value, s.level); err != nil {
		return err
	}
	s.host, s.sensor, s.time, s.elapsed = s.host[:0], s.sensor[:0], s.time[:0], s.elapsed[:0]
	s.value, s.level = s.value[:0], s.level[:0]
	return group.Close()
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

// close writes what is left and the footer, with one more pair of metadata.
func (s *samplesWriter) close(key, value string) (err error) {
	defer guard(SamplesFile, &err)
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.w.AppendKeyValueMetadata(key, value); err != nil {
		return err
	}
	return s.w.Close()
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
