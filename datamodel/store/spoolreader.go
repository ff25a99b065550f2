package store

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// SpoolReader reads a spool file, one batch at a time. It accepts only the shape of Arrow stream that Spool writes, and
// checks every length against the bytes that are there.
type SpoolReader struct {
	file     *os.File // nil if the readings are in memory
	rows     Rows     // the readings in memory
	path     string
	r        *bufio.Reader
	size     int64 // bytes in the file
	left     int64 // bytes of it that are not read yet
	whole    int64 // bytes before the first message that is not read yet
	meta     []byte
	body     []byte
	header   SpoolHeader
	cost     int64 // of the header in memory, at most, in bytes
	last     time.Duration
	at       []time.Duration
	values   []float64
	complete bool
	checked  bool // each batch has a checksum
	err      error
}

// The numbers of the fields that are read here, in the FlatBuffers tables of Arrow's messages
// (https://github.com/apache/arrow/blob/main/format/Message.fbs, Schema.fbs).
const (
	messageType, messageHeader, messageBodyLength          = 1, 2, 3
	schemaEndianness, schemaFields, schemaMetadata         = 0, 1, 2
	keyValueKey, keyValueValue                             = 0, 1
	batchLength, batchNodes, batchBuffers, batchCompressed = 0, 1, 2, 3

	headerSchema, headerBatch = 1, 3 // values of messageType
)

// A spool may come from a stranger, in a tape. These limits bound the memory that it can claim: the bytes of a message
// and the sensors of a source. Our own files are far below them.
const (
	spoolMessage = 64 << 20
	spoolSensors = 1 << 16
)

// OpenSpool opens a spool file and reads its header. The run may go on or have ended in any way. If the header is not
// whole yet, the error wraps io.ErrUnexpectedEOF.
func OpenSpool(path string) (*SpoolReader, error) {
	file, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return readSpool(file, path)
}

// openSpool opens a spool file in a spool folder; see OpenSpool.
func openSpool(dir *Folder, name string) (*SpoolReader, error) {
	file, err := dir.Read(name)
	if err != nil {
		return nil, err
	}
	return readSpool(file, filepath.Join(dir.path, name))
}

// readSpool reads the header of an open spool file, and closes the file if it cannot.
func readSpool(file *os.File, path string) (*SpoolReader, error) {
	r := &SpoolReader{file: file, path: path, last: math.MinInt64}
	if err := r.open(); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("spool %s: %w", path, err)
	}
	return r, nil
}

func (r *SpoolReader) open() error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	r.size, r.left = info.Size(), info.Size()
	r.r = bufio.NewReaderSize(r.file, int(min(max(r.left, 4<<10), 64<<10)))
	f, header, err := r.message(headerSchema)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("empty: %w", io.ErrUnexpectedEOF)
		}
		return err
	}
	if endianness := f.field(header, schemaEndianness); endianness != 0 && f.uint(endianness, 2) != 0 {
		return fmt.Errorf("big endian: %w", ErrForeign)
	}
	_, columns := f.vector(f.field(header, schemaFields), 4)
	pairs, n := f.vector(f.field(header, schemaMetadata), 4)
	var text string
	for i := range n {
		if pair := f.ref(pairs + 4*i); f.text(f.field(pair, keyValueKey)) == spoolKey {
			text = f.text(f.field(pair, keyValueValue))
		}
	}
	if f.bad {
		return errDamaged
	}
	if columns != 2 || text == "" {
		return ErrForeign
	}
	if n := strings.Count(text, "{"); n > spoolSensors {
		return fmt.Errorf("header: %d objects, more than %d: %w", n, spoolSensors, ErrForeign)
	}
	if r.cost = jsonCost([]byte(text)); r.cost > jsonLimit {
		return fmt.Errorf("header: more than %d MiB in memory: %w", jsonLimit>>20, ErrForeign)
	}
	sealed, err := unsealed([]byte(text))
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	var meta spoolMeta
	if err := json.Unmarshal([]byte(text), &meta); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if meta.Schema != spoolSchema {
		return fmt.Errorf("schema %q, this ergon reads %s (recover it with the ergon that wrote it): %w", meta.Schema, spoolSchema, ErrForeign)
	}
	if meta.Checked && !sealed {
		return fmt.Errorf("header: its digest is missing: %w", ErrDamaged)
	}
	r.checked = meta.Checked
	if len(meta.Sensors) == 0 {
		return errors.New("header: no sensors")
	}
	r.header = meta.SpoolHeader
	r.whole = r.size - r.left
	return nil
}

// resume lets Next go on after it has reached the end of a file that has grown since then. It begins with the message
// that was cut off there. It reports whether there is something to read.
func (r *SpoolReader) resume() bool {
	if r.complete || !errors.Is(r.err, io.EOF) && !errors.Is(r.err, io.ErrUnexpectedEOF) {
		return false
	}
	info, err := r.file.Stat()
	if err != nil || info.Size() == r.size {
		return false
	}
	if _, err := r.file.Seek(r.whole, io.SeekStart); err != nil {
		return false
	}
	r.r.Reset(r.file)
	r.size, r.left, r.err = info.Size(), max(0, info.Size()-r.whole), nil // a failed write is taken back, so the file may shrink
	return r.left > 0
}

var errDamaged = errors.New("damaged message")

// Header returns the description of the source.
func (r *SpoolReader) Header() SpoolHeader { return r.header }

// Complete reports whether the writer has closed the spool, so that nothing is missing at its end. It is valid after Next
// has returned an error.
func (r *SpoolReader) Complete() bool { return r.complete }

// Close releases the file.
func (r *SpoolReader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// Next returns the readings of the next batch: their times, which never go back, and row by row their values, one for
// each sensor, NaN if there was no reading. Both slices are valid until the next call. At the end it
// returns io.EOF, or an error that wraps io.ErrUnexpectedEOF if the file ends within a batch. It has then returned all
// whole batches before that.
func (r *SpoolReader) Next() (at []time.Duration, values []float64, err error) {
	if r.err == nil {
		switch err := r.next(); {
		case errors.Is(err, io.EOF):
			r.err = io.EOF
		case err != nil:
			r.err = fmt.Errorf("spool %s: %w", r.path, err)
		}
	}
	if r.err != nil {
		return nil, nil, r.err
	}
	return r.at, r.values, nil
}

func (r *SpoolReader) next() error {
	if r.file == nil {
		if r.complete || len(r.rows.At) == 0 {
			r.complete = true
			return io.EOF
		}
		r.at, r.values, r.complete = r.rows.At, r.rows.Values, true
		return nil
	}
	if err := r.batch(); err != nil {
		return err
	}
	r.whole = r.size - r.left
	return nil
}

// batch reads the next batch into r.at and r.values.
func (r *SpoolReader) batch() error {
	f, batch, err := r.message(headerBatch)
	if err != nil {
		return err
	}
	rows := int64(0)
	if length := f.field(batch, batchLength); length != 0 {
		rows = f.int(length)
	}
	nodes, n := f.vector(f.field(batch, batchNodes), 16)
	buffers, m := f.vector(f.field(batch, batchBuffers), 16)
	compressed := f.field(batch, batchCompressed)
	switch {
	case r.checked && (rows != 0 || len(r.body) > 0) && !r.sound(): // the end mark has neither
		return fmt.Errorf("a batch: %w", ErrDamaged)
	case f.bad || rows < 0 || rows > int64(len(r.body)/8):
		return errDamaged
	case compressed != 0 || n != 3 || m != 5: // elapsed, values and their doubles; a validity for each, and two of data
		return fmt.Errorf("a batch of %d columns and %d buffers: %w", n, m, ErrForeign)
	case rows == 0:
		r.complete = true
		return io.EOF
	}
	sensors := int64(len(r.header.Sensors))
	for i, want := range []int64{rows, rows, rows * sensors} {
		length, nulls := f.int(nodes+16*int64(i)), f.int(nodes+16*int64(i)+8)
		if length != want || i < 2 && nulls != 0 {
			return fmt.Errorf("%d values with %d nulls, want %d: %w", length, nulls, want, errDamaged)
		}
	}
	nulls := f.int(nodes + 40)
	elapsed, err := r.buffer(f, buffers+16, rows*8)
	if err != nil {
		return err
	}
	doubles, err := r.buffer(f, buffers+64, rows*sensors*8)
	if err != nil {
		return err
	}
	r.at = r.at[:0]
	for ; len(elapsed) > 0; elapsed = elapsed[8:] {
		at := time.Duration(binary.LittleEndian.Uint64(elapsed))
		if at < r.last {
			return fmt.Errorf("time goes back from %v to %v", r.last, at)
		}
		r.last = at
		r.at = append(r.at, at)
	}
	r.values = r.values[:0]
	for ; len(doubles) > 0; doubles = doubles[8:] {
		r.values = append(r.values, math.Float64frombits(binary.LittleEndian.Uint64(doubles)))
	}
	if nulls == 0 {
		return nil
	}
	valid, err := r.buffer(f, buffers+48, (rows*sensors+7)/8)
	if err != nil {
		return err
	}
	for i := range r.values {
		if valid[i>>3]>>(i&7)&1 == 0 {
			r.values[i] = math.NaN()
		}
	}
	return nil
}

// sound reports whether the message has the checksum that is at its end.
func (r *SpoolReader) sound() bool {
	body, stored := r.body, len(r.body)-checkSize
	if stored < 0 || string(body[stored:stored+len(checkMark)]) != checkMark {
		return false
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	prefix := binary.LittleEndian.AppendUint32([]byte{0xff, 0xff, 0xff, 0xff}, uint32(len(r.meta)))
	sum := crc32.Update(crc32.Update(crc32.Checksum(prefix, table), table, r.meta), table, body[:len(body)-4])
	return sum == binary.LittleEndian.Uint32(body[len(body)-4:])
}

// buffer returns the first n bytes of a part of the body. The part's offset and length are at pos.
func (r *SpoolReader) buffer(f *flat, pos, n int64) ([]byte, error) {
	offset, length := f.int(pos), f.int(pos+8)
	if f.bad || offset < 0 || offset > int64(len(r.body)) || length > int64(len(r.body))-offset || length < n {
		return nil, errDamaged
	}
	return r.body[offset : offset+n], nil
}

// message reads the next message into r.meta and r.body and returns the position of its header. The message must have
// the given type. It returns io.EOF at the end of the stream, and at the end of a file that ends between two messages.
func (r *SpoolReader) message(want uint64) (*flat, int64, error) {
	const continuation = 0xFFFFFFFF
	if r.complete || r.left == 0 {
		return nil, 0, io.EOF
	}
	var err error
	if r.meta, err = r.take(r.meta, 8); err != nil {
		return nil, 0, err
	}
	if binary.LittleEndian.Uint32(r.meta) != continuation {
		return nil, 0, fmt.Errorf("no message at its place: %w", ErrForeign)
	}
	size := int64(int32(binary.LittleEndian.Uint32(r.meta[4:])))
	if size == 0 {
		return nil, 0, io.EOF
	}
	if r.meta, err = r.take(r.meta, size); err != nil {
		return nil, 0, err
	}
	f := &flat{b: r.meta}
	root := f.root()
	kind, header, length := f.field(root, messageType), f.field(root, messageHeader), f.field(root, messageBodyLength)
	body := int64(0)
	if length != 0 {
		body = f.int(length)
	}
	if f.bad || kind == 0 || header == 0 {
		return nil, 0, errDamaged
	}
	if got := f.uint(kind, 1); got != want {
		return nil, 0, fmt.Errorf("message of type %d, want %d: %w", got, want, ErrForeign)
	}
	if r.body, err = r.take(r.body, body); err != nil {
		return nil, 0, err
	}
	return f, f.ref(header), nil
}

// take reads exactly n bytes of the file, into b if there is room.
func (r *SpoolReader) take(b []byte, n int64) ([]byte, error) {
	if n < 0 {
		return nil, fmt.Errorf("a length of %d: %w", n, errDamaged)
	}
	if n > spoolMessage {
		return nil, fmt.Errorf("a length of %d: %w", n, errDamaged)
	}
	if n > r.left {
		return nil, fmt.Errorf("cut off: %d bytes of %d: %w", r.left, n, io.ErrUnexpectedEOF)
	}
	if int64(cap(b)) < n {
		b = make([]byte, n)
	}
	b = b[:n]
	if _, err := io.ReadFull(r.r, b); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the file was longer when it was opened
		}
		return nil, err
	}
	r.left -= n
	return b, nil
}
