package store

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// SpoolReader reads a spool back, a batch at a time.
type SpoolReader struct {
	file     *os.File
	messages *messages
	stream   *ipc.Reader
	header   SpoolHeader
	last     time.Duration
	at       []time.Duration
	values   []float64
	complete bool
	err      error
}

// OpenSpool opens a spool, of a run that has ended in whatever way, and reads its header.
func OpenSpool(path string) (r *SpoolReader, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	defer guard("spool "+path, &err)
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("spool %s: not a file", path)
	}
	r = &SpoolReader{file: file, messages: &messages{r: bufio.NewReaderSize(file, int(min(info.Size(), 64<<10))), left: info.Size()}}
	r.last = math.MinInt64
	r.stream, err = ipc.NewReaderFromMessageReader(r.messages, ipc.WithAllocator(limit(info.Size()+4096)))
	if err != nil {
		return nil, fmt.Errorf("spool %s: %w", path, err)
	}
	if err := r.readHeader(); err != nil {
		return nil, fmt.Errorf("spool %s: %w", path, err)
	}
	return r, nil
}

func (r *SpoolReader) readHeader() error {
	schema := r.stream.Schema()
	md := schema.Metadata()
	i := md.FindKey(spoolKey)
	if i < 0 {
		return ErrForeign
	}
	var meta spoolMeta
	if err := json.Unmarshal([]byte(md.Values()[i]), &meta); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if meta.Schema != spoolSchema {
		return fmt.Errorf("schema %q: %w", meta.Schema, ErrForeign)
	}
	n := len(meta.Sensors)
	if n == 0 {
		return errors.New("header: no sensors")
	}
	want := spoolArrowSchema(arrow.FixedSizeListOf(int32(n), arrow.PrimitiveTypes.Float64), "")
	if len(schema.Fields()) != 2 || !arrow.TypeEqual(schema.Field(0).Type, want.Field(0).Type) ||
		!arrow.TypeEqual(schema.Field(1).Type, want.Field(1).Type) {
		return fmt.Errorf("columns are not those of %d sensors: %w", n, ErrForeign)
	}
	r.header = meta.SpoolHeader
	return nil
}

// Header is what the spool says of its source.
func (r *SpoolReader) Header() SpoolHeader { return r.header }

// Complete reports, once Next has returned an error, whether the spool was closed by its writer, so that nothing is
// missing at its end.
func (r *SpoolReader) Complete() bool { return r.complete }

// Close releases the file.
func (r *SpoolReader) Close() error { return r.file.Close() }

// Next returns the readings of the next batch: their times, which never go back, and row by row their values, as many
// a row as there are sensors, NaN where there was no reading. Both slices are valid until the next call. At the end it
// returns io.EOF; where the file ends within a batch an error that wraps io.ErrUnexpectedEOF. All whole batches before
// it have been returned then.
func (r *SpoolReader) Next() (at []time.Duration, values []float64, err error) {
	if r.err == nil {
		r.err = r.next()
	}
	if r.err != nil {
		return nil, nil, r.err
	}
	return r.at, r.values, nil
}

func (r *SpoolReader) next() (err error) {
	defer guard("spool "+r.file.Name(), &err)
	if r.complete {
		return io.EOF
	}
	batch, err := r.stream.Read()
	switch {
	case r.messages.err != nil && r.messages.err != io.EOF:
		return fmt.Errorf("spool %s: %w", r.file.Name(), r.messages.err)
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return fmt.Errorf("spool %s: %w", r.file.Name(), err)
	}
	rows := int(batch.NumRows())
	if rows == 0 {
		r.complete = true
		return io.EOF
	}
	n := len(r.header.Sensors)
	elapsed, lists := batch.Column(0).(*array.Int64), batch.Column(1).(*array.FixedSizeList)
	doubles := lists.ListValues().(*array.Float64)
	if elapsed.Len() != rows || lists.Len() != rows || doubles.Len() != rows*n || elapsed.NullN() != 0 || lists.NullN() != 0 {
		return fmt.Errorf("spool %s: a batch of %d rows is not whole", r.file.Name(), rows)
	}
	r.at = r.at[:0]
	for _, e := range elapsed.Int64Values() {
		if at := time.Duration(e); at >= r.last {
			r.last = at
			r.at = append(r.at, at)
			continue
		}
		return fmt.Errorf("spool %s: time goes back from %v to %v", r.file.Name(), r.last, time.Duration(e))
	}
	r.values = append(r.values[:0], doubles.Float64Values()...)
	if doubles.NullN() > 0 {
		valid := doubles.NullBitmapBytes()
		for i := range r.values {
			if bitutil.BitIsNotSet(valid, i) {
				r.values[i] = math.NaN()
			}
		}
	}
	return nil
}

// messages frames the messages of an IPC stream. Arrow's own reader believes the lengths in the file and would
// allocate what they claim; this one knows how much of the file is left.
type messages struct {
	r    io.Reader
	left int64
	cur  *ipc.Message
	err  error
}

// Retain is part of ipc.MessageReader; there is nothing to count.
func (m *messages) Retain() {}

// Release is part of ipc.MessageReader.
func (m *messages) Release() {}

// Message is the next message; io.EOF at the end of the stream or of a file that ends between two messages.
func (m *messages) Message() (*ipc.Message, error) {
	m.cur, m.err = m.next()
	return m.cur, m.err
}

func (m *messages) next() (_ *ipc.Message, err error) {
	defer guard("message", &err)
	const continuation = 0xFFFFFFFF
	if m.left == 0 {
		return nil, io.EOF
	}
	prefix, err := m.take(8)
	if err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(prefix) != continuation {
		return nil, fmt.Errorf("no message where one should begin: %w", ErrForeign)
	}
	size := int64(int32(binary.LittleEndian.Uint32(prefix[4:])))
	if size == 0 {
		return nil, io.EOF
	}
	meta, err := m.take(size)
	if err != nil {
		return nil, err
	}
	metadata := memory.NewBufferBytes(meta)
	body, err := m.take(ipc.NewMessage(metadata, memory.NewBufferBytes(nil)).BodyLen())
	if err != nil {
		return nil, err
	}
	return ipc.NewMessage(metadata, memory.NewBufferBytes(body)), nil
}

// take reads the next n bytes of the file, all of them or an error.
func (m *messages) take(n int64) ([]byte, error) {
	if n < 0 {
		return nil, fmt.Errorf("a length of %d", n)
	}
	if n > m.left {
		return nil, fmt.Errorf("cut off: %d bytes where %d should follow: %w", m.left, n, io.ErrUnexpectedEOF)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(m.r, b); err != nil {
		return nil, err
	}
	m.left -= n
	return b, nil
}

// limit is an allocator that refuses, by a panic that guard turns into an error, more than so many bytes at once: what
// a damaged file claims to need may be anything.
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
