package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// chunkTicks is how many readings of a source are turned from rows to columns at once. In samples.parquet each of the
// source's sensors then has a stretch of so many rows with the same times, and zstd finds the second and later ones in
// its window of the first; more would overflow the 32k positions its level 1 remembers. It is a multiple of 128, the
// block of DELTA_BINARY_PACKED, so that equal times become equal bytes.
const chunkTicks = 2048

// deltaBlock is the block of DELTA_BINARY_PACKED.
const deltaBlock = 128

// Converted says what Convert found and did.
type Converted struct {
	// Spools are those of the run, in the order of their sources' names.
	Spools []SpoolStats
	// Samples is the number of values handed out or derived, missing ones included: the rows of samples.parquet.
	Samples int64
	// Bytes is the size of samples.parquet.
	Bytes int64
}

// SpoolStats says what was in one spool.
type SpoolStats struct {
	Path string
	// Header is empty where it could not be read.
	Header SpoolHeader
	// Rows is the number of readings of all sensors together, First and Last the times of the first and the last.
	Rows        int64
	First, Last time.Duration
	// Complete is whether the sampler closed it.
	Complete bool
	// Err says why what follows Rows could not be read; nil where nothing is there.
	Err error
}

// Observer is handed the readings of one sensor, that number of the source's sensors, in the order of time and in
// several pieces. The slices hold one time for each value and are valid during the call.
type Observer func(source SpoolHeader, sensor int, at []time.Duration, values []float64)

// Convert streams the spools in a folder into a samples.parquet at samplesFile, or into none where that is empty, and
// hands all readings to observe, which may be nil, on the way. Behind them the file has what derive, which may be nil,
// makes of them once observe has seen all; their times are those of the first spool. Memory does not grow with the length
// of the run. What a spool lost is in the result and no error; an error means that samplesFile could not be written, and
// then observe has seen all readings nevertheless. The file's name is durable after the next SaveManifest or RemoveSpool.
func Convert(spoolDir, samplesFile string, observe Observer, derive func() []datamodel.Derived) (Converted, error) {
	if observe == nil {
		observe = func(SpoolHeader, int, []time.Duration, []float64) {}
	}
	if derive == nil {
		derive = func() []datamodel.Derived { return nil }
	}
	c := conversion{observe: observe, derive: derive}
	defer c.close()
	if err := c.open(spoolDir); err != nil {
		return Converted{}, fmt.Errorf("convert: %w", err)
	}
	var err error
	if samplesFile != "" {
		err = replaceFile(samplesFile, c.write)
		if info, serr := os.Stat(samplesFile); err == nil && serr == nil {
			c.result.Bytes = info.Size()
		}
	}
	// Whatever kept the file from being written does not keep the readings from being counted.
	c.out = nil
	_ = c.read() // only writing fails
	return c.result, err
}

// conversion is a Convert under way.
type conversion struct {
	observe Observer
	derive  func() []datamodel.Derived
	readers []*SpoolReader // one for each of result.Spools, nil where it is done with
	bytes   int64          // of all spools
	result  Converted
	out     *samplesWriter // nil where nothing is written
	ids     [][]int32      // the numbers of the source's sensors in out.sensors, for each spool
	host    []int32        // the number of its host in out.hosts
	columns [][]float64    // a chunk of readings, sensor by sensor
	at      []time.Duration
}

func (c *conversion) open(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries { // sorted by name
		if !strings.HasSuffix(e.Name(), spoolExt) {
			continue
		}
		s := SpoolStats{Path: filepath.Join(dir, e.Name())}
		r, err := OpenSpool(s.Path)
		if err != nil {
			s.Err = err
		} else {
			s.Header = r.Header()
			c.bytes += r.left
		}
		c.readers = append(c.readers, r)
		c.result.Spools = append(c.result.Spools, s)
	}
	return nil
}

func (c *conversion) close() {
	for i, r := range c.readers {
		if r != nil {
			_ = r.Close() // it was only read
			c.readers[i] = nil
		}
	}
}

// sensorInfo is a line of the sensor table in the metadata of samples.parquet.
type sensorInfo struct {
	ID     string     `json:"id"`
	Unit   units.Unit `json:"unit"`
	Kind   string     `json:"kind"`
	Source string     `json:"source"`
}

// write converts all spools into a file.
func (c *conversion) write(w io.Writer) error {
	var table []sensorInfo
	var hosts, sensors words
	var version string
	for _, s := range c.result.Spools {
		c.host = append(c.host, hosts.number(s.Header.Host))
		var ids []int32
		for _, sensor := range s.Header.Sensors {
			ids = append(ids, sensors.number(sensor.ID))
			table = append(table, sensorInfo{sensor.ID, sensor.Unit, sensor.Kind.String(), sensor.Source})
		}
		c.ids = append(c.ids, ids)
		if s.Header.Version != "" {
			version = s.Header.Version
		}
	}
	meta, err := keyValues(schemaKey, samplesSchema, "ergon.version", version)
	if err != nil {
		return err
	}
	// A value takes 8 bytes of a spool, and its share of the time and the message.
	out, err := newSamplesWriter(w, c.bytes/8, meta)
	if err != nil {
		return err
	}
	out.hosts, out.sensors = hosts.list, sensors.list
	c.out = out
	if err := c.read(); err != nil {
		return err
	}
	first := max(0, slices.IndexFunc(c.result.Spools, func(s SpoolStats) bool { return s.Rows > 0 }))
	for _, d := range c.derive() {
		id := sensors.number(d.Sensor.ID)
		table = append(table, sensorInfo{d.Sensor.ID, d.Sensor.Unit, d.Sensor.Kind.String(), d.Sensor.Source})
		out.sensors = sensors.list
		c.result.Samples += int64(len(d.At))
		if err := out.add(c.host[first], id, c.result.Spools[first].Header.Anchor, d.At, d.Values); err != nil {
			return err
		}
	}
	text, err := json.Marshal(table)
	if err != nil {
		return err
	}
	return out.close("ergon.sensors", string(text))
}

// words numbers strings in the order they are first seen.
type words struct {
	list []string
	seen map[string]int32
}

// number is that of a word. Parquet's strings are UTF-8, and readers refuse others.
func (w *words) number(word string) int32 {
	word = strings.ToValidUTF8(word, "\uFFFD")
	if n, ok := w.seen[word]; ok {
		return n
	}
	if w.seen == nil {
		w.seen = map[string]int32{}
	}
	n := int32(len(w.list))
	w.seen[word] = n
	w.list = append(w.list, word)
	return n
}

// read reads the spools to their ends. It stops early only where writing fails.
func (c *conversion) read() error {
	for i, r := range c.readers {
		if r == nil {
			continue
		}
		if err := c.readSpool(i, r); err != nil {
			return err
		}
		_ = r.Close() // it was only read
		c.readers[i] = nil
	}
	return nil
}

func (c *conversion) readSpool(i int, r *SpoolReader) error {
	n := len(r.header.Sensors)
	for len(c.columns) < n {
		c.columns = append(c.columns, nil)
	}
	s := &c.result.Spools[i]
	for {
		at, values, err := r.Next()
		if err != nil {
			s.Complete = r.Complete()
			if !errors.Is(err, io.EOF) {
				s.Err = err
			}
			return c.rest(i)
		}
		if s.Rows == 0 {
			s.First = at[0]
		}
		s.Rows += int64(len(at))
		s.Last = at[len(at)-1]
		var failed error
		for len(at) > 0 {
			ticks := min(len(at), chunkTicks-len(c.at))
			for s := range n {
				column := c.columns[s][:len(c.at)]
				for j := s; j < ticks*n; j += n {
					column = append(column, values[j])
				}
				c.columns[s] = column
			}
			c.at = append(c.at, at[:ticks]...)
			at, values = at[ticks:], values[ticks*n:]
			if len(c.at) == chunkTicks {
				failed = errors.Join(failed, c.chunk(i, 0, chunkTicks))
				c.at = c.at[:0]
			}
		}
		if failed != nil {
			return failed
		}
	}
}

// rest hands on the last chunk of a source, first as much of it as is whole blocks.
func (c *conversion) rest(i int) error {
	whole := len(c.at) / deltaBlock * deltaBlock
	err := errors.Join(c.chunk(i, 0, whole), c.chunk(i, whole, len(c.at)))
	c.at = c.at[:0]
	return err
}

// chunk hands the collected readings from one tick to another on, sensor by sensor.
func (c *conversion) chunk(i, from, to int) error {
	if from == to {
		return nil
	}
	header := &c.result.Spools[i].Header
	var failed error
	for s := range header.Sensors {
		values := c.columns[s][from:to]
		at := c.at[from:to]
		c.observe(*header, s, at, values)
		c.result.Samples += int64(len(at))
		if c.out != nil && failed == nil {
			failed = c.out.add(c.host[i], c.ids[i][s], header.Anchor, at, values)
		}
	}
	return failed
}

// RemoveSpool removes the spools of a run, whose folder is dir, and nothing else. It is called once the run's Parquet
// files are written. A run without spools is no error.
func RemoveSpool(dir string) error {
	spool := filepath.Join(dir, SpoolFolder)
	files, err := os.ReadDir(spool)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove spool: %w", err)
	}
	// What replaces them must not be lost where the machine goes down now.
	if err := syncDir(dir); err != nil {
		return err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), spoolExt) && !slices.Contains([]string{processTable, processTexts, stateFile}, f.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(spool, f.Name())); err != nil {
			return fmt.Errorf("remove spool: %w", err)
		}
	}
	if err := os.Remove(spool); err != nil {
		return fmt.Errorf("remove spool: %w", err)
	}
	return nil
}
