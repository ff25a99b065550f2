package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/ergon-energy/ergon/sensors"
)

const (
	// spoolSchema is the version of the spool files. Since 2 a sensor says what it is of and what it serves for.
	spoolSchema = "ergon.spool/2"
	// spoolKey is the key of the header in the metadata of the Arrow schema.
	spoolKey = "ergon"
	spoolExt = ".arrows"
	// spoolBytes is the most memory that a batch takes, also if the disk is slow.
	spoolBytes = 256 << 10
)

// SpoolHeader describes the source whose readings a spool holds.
type SpoolHeader struct {
	// Source is the backend's name; it makes the file's name.
	Source string `json:"source"`
	// Part is the number of this file among those of the source, from 0. If one process takes a source over from
	// another, each writes a part. Parts share one clock, and each is closed before the readings of the next begin.
	Part int `json:"part,omitempty"`
	// Host is the name of the machine.
	Host string `json:"host"`
	// Interval is the requested time between beats.
	Interval time.Duration `json:"interval_ns"`
	// Anchor is the wall-clock time at which the monotonic clock of the readings stood at 0.
	Anchor time.Time `json:"anchor"`
	// Sensors are in the order of the values of a reading. There is at least one.
	Sensors []sensors.Sensor `json:"sensors"`
	// Version is that of the ergon that measures.
	Version string `json:"version,omitempty"`
}

// spoolMeta is the header as it is stored.
type spoolMeta struct {
	Schema string `json:"schema"`
	// Checked says that each batch ends with a checksum. An older ergon wrote none.
	Checked bool `json:"checked,omitempty"`
	SpoolHeader
}

// Spool writes the readings of one source as an Arrow IPC stream
// (https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format) with two columns: elapsed, int64
// nanoseconds of the run's monotonic clock, and values, a list of one double for each sensor, null if there was no
// reading. With a list in place of a column per sensor, the cost of a batch does not grow with the number of sensors. It
// is not safe for concurrent use.
type Spool struct {
	dir     *Folder
	name    string   // the file's name in dir
	file    *os.File // nil until it is made
	size    int64    // of the whole batches in the file
	sensors int
	elapsed []int64
	values  []float64
	valid   []byte
	schema  *arrow.Schema
	list    *arrow.FixedSizeListType
	message bytes.Buffer // one batch on its way to the file, in one write
	stream  *ipc.Writer
	lost    Lost
	gap     bool // the first row in the buffer marks a gap
	closed  bool
}

// Lost says which readings a spool has lost because they could not be written in time, such as on a full disk.
type Lost struct {
	// Rows is how many readings of all sensors were lost in all gaps. First and Last are the times of the first and the last.
	Rows        int64
	First, Last time.Duration
	// Err is the last error.
	Err error
}

// NewSpool prepares the spool of a source in a folder. The file is SOURCE.arrows, or SOURCE.PART.arrows for a later part.
// Start or the first Flush makes it.
func NewSpool(dir *Folder, h SpoolHeader) (*Spool, error) {
	if len(h.Sensors) == 0 {
		return nil, fmt.Errorf("spool %s: no sensors", h.Source)
	}
	s, err := newSpool(h)
	if err != nil {
		return nil, fmt.Errorf("spool %s: %w", h.Source, err)
	}
	s.dir, s.name = dir, escape(h.Source)
	if h.Part > 0 {
		s.name += "." + strconv.Itoa(h.Part)
	}
	s.name += spoolExt
	return s, nil
}

// CreateSpool prepares the spool of a source and starts its file.
func CreateSpool(dir *Folder, h SpoolHeader) (*Spool, error) {
	s, err := NewSpool(dir, h)
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Start makes the file with the header, unless it is there. A crash after that leaves a file that can be read. If it fails,
// a later Flush tries again.
func (s *Spool) Start() error {
	if s.file != nil {
		return nil
	}
	file, err := s.dir.Create(s.name)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	schema, err := s.schemaMessage()
	if err == nil {
		_, err = file.WriteAt(schema, 0)
	}
	if err != nil {
		_ = errors.Join(file.Close(), s.dir.Remove(s.name)) // it has no reading
		return s.fault(err)
	}
	s.file, s.size = file, int64(len(schema))
	return nil
}

// fault names the file in an error.
func (s *Spool) fault(err error) error {
	path := filepath.Join(s.dir.path, s.name)
	return fmt.Errorf("spool %s: %w", path, causeAt(path, err))
}

// newSpool makes a spool without a file.
func newSpool(h SpoolHeader) (*Spool, error) {
	meta, err := json.Marshal(spoolMeta{Schema: spoolSchema, Checked: true, SpoolHeader: h})
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	meta = sealed(meta, ","+digestKey)
	n := len(h.Sensors)
	rows := min(max(spoolBytes/(8*(n+1)), 16), 4096)
	if h.Interval > 0 { // not more than two flushes, a second apart, need: memory costs a page fault when first used
		rows = min(rows, max(128, int(5*time.Second/4/h.Interval)))
	}
	s := &Spool{
		sensors: n,
		elapsed: make([]int64, 0, rows), values: make([]float64, 0, rows*n), valid: make([]byte, (rows*n+7)/8),
		list: arrow.FixedSizeListOf(int32(n), arrow.PrimitiveTypes.Float64),
	}
	s.schema = spoolArrowSchema(s.list, string(meta))
	return s, nil
}

func spoolArrowSchema(list *arrow.FixedSizeListType, meta string) *arrow.Schema {
	md := arrow.NewMetadata([]string{spoolKey}, []string{meta})
	return arrow.NewSchema([]arrow.Field{
		{Name: "elapsed", Type: arrow.PrimitiveTypes.Int64},
		{Name: "values", Type: list},
	}, &md)
}

// schemaMessage returns the first message of the stream, which has the header. Arrow's writer writes it only together with
// the first batch, and here a batch without rows is the end mark. So it encodes such a batch twice in memory and keeps what
// the first time has more.
func (s *Spool) schemaMessage() ([]byte, error) {
	elapsed, values := s.elapsed, s.values
	s.elapsed, s.values = nil, nil
	defer func() { s.elapsed, s.values = elapsed, values }()
	s.message.Reset()
	s.stream = ipc.NewWriter(&s.message, ipc.WithSchema(s.schema))
	if err := s.encode(); err != nil {
		return nil, err
	}
	with := s.message.Len()
	schema := bytes.Clone(s.message.Bytes())
	if err := s.encode(); err != nil {
		return nil, err
	}
	return schema[:with-s.message.Len()], nil
}

// Append adds a reading of all sensors at the time at. values has one value for each sensor, NaN if there is none.
// Append copies values, does not allocate and touches no file. It returns false and adds nothing if the buffer is full;
// call Flush then.
func (s *Spool) Append(at time.Duration, values []float64) bool {
	if len(s.elapsed) == cap(s.elapsed) || len(values) != s.sensors {
		return false
	}
	s.elapsed = append(s.elapsed, int64(at))
	s.values = append(s.values, values...)
	return true
}

// Full reports whether the next Append needs a Flush before it.
func (s *Spool) Full() bool { return len(s.elapsed) == cap(s.elapsed) }

// Path is the spool's file.
func (s *Spool) Path() string { return filepath.Join(s.dir.path, s.name) }

// Flush writes what was appended as one batch, in one write. It does not sync: what it wrote survives the end of the
// process, but not a crash of the machine. After a failed write, such as on a full disk, the file is as it was before. The
// readings stay in the buffer, and the next Flush tries again. If the buffer is full, they are dropped: one row without
// values marks the gap, and Lost has their number.
func (s *Spool) Flush() error {
	if len(s.elapsed) == 0 {
		return nil
	}
	err := s.Start()
	if err == nil {
		err = s.write()
	}
	switch {
	case err == nil:
		s.elapsed, s.values, s.gap = s.elapsed[:0], s.values[:0], false
	case s.Full():
		s.drop(err)
	}
	return err
}

// drop drops the buffered readings and leaves a row without values in their place.
func (s *Spool) drop(err error) {
	rows := s.elapsed
	if s.gap {
		rows = rows[1:]
	}
	if len(rows) == 0 {
		return
	}
	if s.lost.Rows == 0 {
		s.lost.First = time.Duration(rows[0])
	}
	s.lost.Rows, s.lost.Last, s.lost.Err = s.lost.Rows+int64(len(rows)), time.Duration(rows[len(rows)-1]), err
	s.elapsed, s.values, s.gap = s.elapsed[:1], s.values[:s.sensors], true
	for i := range s.values {
		s.values[i] = math.NaN()
	}
}

// Lost says what was lost so far.
func (s *Spool) Lost() Lost { return s.lost }

// Close writes what was appended and the end mark, a batch without rows. Arrow's own end of stream, which follows, cannot
// be told from a file that was cut off there. The error says that something could not be written. A second call does
// nothing.
func (s *Spool) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.Flush()
	if err != nil {
		s.drop(err)
	} else if err = s.Start(); err == nil {
		err = s.write() // the end mark
	}
	if err == nil {
		s.message.Reset()
		if err = s.stream.Close(); err == nil {
			_, err = s.file.WriteAt(s.message.Bytes(), s.size)
		}
		if err != nil {
			err = s.fault(err)
		}
	}
	if s.file != nil {
		if closed := s.file.Close(); err == nil && closed != nil {
			err = s.fault(closed)
		}
	}
	s.elapsed, s.values, s.valid = nil, nil, nil
	return err
}

// write writes the buffered rows as one batch behind those in the file. Without rows that is the end mark.
func (s *Spool) write() error {
	if err := s.encode(); err != nil {
		return s.fault(err)
	}
	n, err := s.file.WriteAt(checked(s.message.Bytes()), s.size)
	if err == nil {
		s.size += int64(n)
		return nil
	}
	// Take back the part that was written, so that the file ends with a whole batch.
	if n > 0 {
		err = errors.Join(err, s.file.Truncate(s.size))
	}
	return s.fault(err)
}

// A checked batch has checkSize more bytes in its body, which Arrow's readers take for padding: checkMark, and a CRC-32C of
// all bytes of the message before it.
const (
	checkMark = "crc\x00"
	checkSize = 8
)

// checked returns a message with a checksum at its end. A message without a body, as the end mark may be, stays as it is.
func checked(message []byte) []byte {
	const prefix = 8 // the continuation mark, and the size of the metadata
	f := &flat{b: message[prefix:]}
	length := f.field(f.root(), messageBodyLength)
	if f.bad || length == 0 {
		return message
	}
	binary.LittleEndian.PutUint64(f.b[length:], uint64(f.int(length))+checkSize)
	message = append(message, checkMark...)
	return binary.LittleEndian.AppendUint32(message, crc32.Checksum(message, crc32.MakeTable(crc32.Castagnoli)))
}

// encode encodes the buffered rows as a batch in s.message.
func (s *Spool) encode() error {
	s.message.Reset()
	rows, values := len(s.elapsed), len(s.values)
	nulls := 0
	clear(s.valid)
	for i, v := range s.values {
		if math.IsNaN(v) {
			nulls++
		} else {
			s.valid[i>>3] |= 1 << (i & 7)
		}
	}
	var validity *memory.Buffer
	if nulls > 0 {
		validity = memory.NewBufferBytes(s.valid[:(values+7)/8])
	}
	elapsed := array.NewData(arrow.PrimitiveTypes.Int64, rows,
		[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(s.elapsed))}, nil, 0, 0)
	doubles := array.NewData(arrow.PrimitiveTypes.Float64, values,
		[]*memory.Buffer{validity, memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(s.values))}, nil, nulls, 0)
	lists := array.NewData(s.list, rows, []*memory.Buffer{nil}, []arrow.ArrayData{doubles}, 0, 0)
	batch := array.NewRecord(s.schema, []arrow.Array{array.NewInt64Data(elapsed), array.NewFixedSizeListData(lists)},
		int64(rows))
	return s.stream.Write(batch)
}
