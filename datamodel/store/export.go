package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"path/filepath"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
)

// Batch holds some rows of samples.parquet, column by column. The slices are valid until the next batch; the strings stay
// valid.
type Batch struct {
	// Round is 0 if the run has one round.
	Round  []int64
	Host   []string
	Sensor []string
	// Unit and Kind are those of the sensor. They are empty in a file of version 1, which does not have them.
	Unit []string
	Kind []string
	// Time is in microseconds since 1970-01-01 UTC, for time.UnixMicro.
	Time []int64
	// Elapsed is in seconds since the start of the run's clock.
	Elapsed []float64
	// Value is NaN if there was no reading.
	Value []float64
}

// batchRows is the number of rows in a batch. The last batch of a row group may have fewer.
const batchRows = 16 << 10

// Samples streams the rows of a run's samples.parquet in the order of the file. The rows of one sensor are in the order
// of time. It ends with the first error.
func Samples(dir string) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		stopped := false
		err := samples(dir, func(b Batch) bool {
			stopped = !yield(b, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(Batch{}, err)
		}
	}
}

func samples(dir string, yield func(Batch) bool) error {
	if at := Moved(dir); at != "" {
		dir = at
	}
	run, err := LoadManifest(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // readings without a manifest are better than none
		return err
	}
	s, err := openSamples(folderFiles{dir: dir, files: run.Files})
	if err != nil {
		return err
	}
	defer s.file.close()
	for {
		b, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !yield(b) {
			return nil
		}
	}
}

// samplesReader reads samples.parquet a batch at a time.
type samplesReader struct {
	file         *parquetFile
	group        int // the next row group
	host, sensor *column[parquet.ByteArray]
	unit, kind   *column[parquet.ByteArray] // nil in a file of version 1, as round
	round        *column[int64]
	time         *column[int64]
	elapsed      *column[float64]
	value        *column[float64]
	words        map[string]string // keeps each name in memory once
	bytes        int               // of all words so far
	batch        Batch
}

func openSamples(in folderFiles) (*samplesReader, error) {
	p, err := openParquet(in, SamplesFile, samplesSchema, samplesSchema1)
	if err != nil {
		return nil, err
	}
	return &samplesReader{file: p, words: map[string]string{}}, nil
}

func (s *samplesReader) next() (b Batch, err error) {
	defer guard("read "+s.file.path, &err)
	for {
		if s.host == nil {
			if s.group == s.file.r.NumRowGroups() {
				return Batch{}, io.EOF
			}
			if err := s.openGroup(); err != nil {
				return Batch{}, err
			}
		}
		b, err := s.read()
		if !errors.Is(err, io.EOF) {
			return b, err
		}
		s.host = nil
	}
}

func (s *samplesReader) openGroup() (err error) {
	g := s.group
	s.group++
	if s.host, err = openColumn[parquet.ByteArray](s.file, g, "host", batchRows); err != nil {
		return err
	}
	if s.sensor, err = openColumn[parquet.ByteArray](s.file, g, "sensor", batchRows); err != nil {
		return err
	}
	if s.file.version != samplesSchema1 {
		if s.round, err = openColumn[int64](s.file, g, "round", batchRows); err != nil {
			return err
		}
		if s.unit, err = openColumn[parquet.ByteArray](s.file, g, "unit", batchRows); err != nil {
			return err
		}
		if s.kind, err = openColumn[parquet.ByteArray](s.file, g, "kind", batchRows); err != nil {
			return err
		}
	}
	if s.time, err = openColumn[int64](s.file, g, "time", batchRows); err != nil {
		return err
	}
	if s.elapsed, err = openColumn[float64](s.file, g, "elapsed", batchRows); err != nil {
		return err
	}
	s.value, err = openColumn[float64](s.file, g, "value", batchRows)
	return err
}

// read reads the same rows of all columns of the row group. It returns io.EOF at the end.
func (s *samplesReader) read() (Batch, error) {
	b := &s.batch
	host, err := s.host.next(nil)
	if err != nil {
		return Batch{}, err
	}
	b.Host = s.strings(b.Host[:0], host)
	sensor, err := s.sensor.next(nil)
	if err != nil {
		return Batch{}, s.short(err)
	}
	b.Sensor = s.strings(b.Sensor[:0], sensor)
	if err := s.describe(b); err != nil {
		return Batch{}, s.short(err)
	}
	if b.Time, err = s.time.next(0); err != nil {
		return Batch{}, s.short(err)
	}
	if b.Elapsed, err = s.elapsed.next(math.NaN()); err != nil {
		return Batch{}, s.short(err)
	}
	if b.Value, err = s.value.next(math.NaN()); err != nil {
		return Batch{}, s.short(err)
	}
	if n := len(b.Host); len(b.Sensor) != n || len(b.Time) != n || len(b.Elapsed) != n || len(b.Value) != n || len(b.Round) != n ||
		len(b.Unit) != n || len(b.Kind) != n {
		return Batch{}, s.short(io.EOF)
	}
	return *b, nil
}

// describe reads what version 1 of the file does not have.
func (s *samplesReader) describe(b *Batch) error {
	if s.unit == nil {
		n := len(b.Host)
		b.Round, b.Unit, b.Kind = make([]int64, n), make([]string, n), make([]string, n)
		return nil
	}
	unit, err := s.unit.next(nil)
	if err != nil {
		return err
	}
	b.Unit = s.strings(b.Unit[:0], unit)
	kind, err := s.kind.next(nil)
	if err != nil {
		return err
	}
	b.Kind = s.strings(b.Kind[:0], kind)
	b.Round, err = s.round.next(0)
	return err
}

// short is the error for a column that ends before the others.
func (s *samplesReader) short(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: columns of different length", s.file.path)
	}
	return err
}

// strings turns bytes that belong to a page into strings that do not.
func (s *samplesReader) strings(dst []string, src []parquet.ByteArray) []string {
	for _, b := range src {
		word, ok := s.words[string(b)]
		if !ok {
			word = string(b)
			if s.bytes += len(word); s.bytes < wordsLimit && len(s.words) < 1<<16 { // a foreign file may have a new one in every row
				s.words[word] = word
			}
		}
		dst = append(dst, word)
	}
	return dst
}

// ExportArrow writes the samples of a run as an Arrow IPC stream with the columns of samples.parquet.
func ExportArrow(w io.Writer, dir string) error {
	path := filepath.Join(dir, SamplesFile)
	sch := arrow.NewSchema([]arrow.Field{
		{Name: "round", Type: arrow.PrimitiveTypes.Int64},
		{Name: "host", Type: arrow.BinaryTypes.String},
		{Name: "sensor", Type: arrow.BinaryTypes.String},
		{Name: "unit", Type: arrow.BinaryTypes.String},
		{Name: "kind", Type: arrow.BinaryTypes.String},
		{Name: "time", Type: arrow.FixedWidthTypes.Timestamp_us},
		{Name: "elapsed", Type: arrow.PrimitiveTypes.Float64},
		{Name: "value", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	}, nil)
	out := ipc.NewWriter(w, ipc.WithSchema(sch))
	rows := array.NewRecordBuilder(memory.DefaultAllocator, sch)
	defer rows.Release()
	var failed error
	err := samples(dir, func(b Batch) bool {
		rows.Field(0).(*array.Int64Builder).AppendValues(b.Round, nil)
		for i, words := range [][]string{b.Host, b.Sensor, b.Unit, b.Kind} {
			rows.Field(1+i).(*array.StringBuilder).AppendValues(words, nil)
		}
		for _, t := range b.Time {
			rows.Field(5).(*array.TimestampBuilder).Append(arrow.Timestamp(t))
		}
		rows.Field(6).(*array.Float64Builder).AppendValues(b.Elapsed, nil)
		values := rows.Field(7).(*array.Float64Builder)
		for _, v := range b.Value {
			if math.IsNaN(v) {
				values.AppendNull()
			} else {
				values.Append(v)
			}
		}
		batch := rows.NewRecord()
		defer batch.Release()
		failed = out.Write(batch)
		return failed == nil
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("export %s: %w", path, err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("export %s: %w", path, err)
	}
	return nil
}
