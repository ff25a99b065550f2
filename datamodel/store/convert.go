package store

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/sensors"
)

// chunkTicks is how many readings of a source are turned from rows to columns at once. In samples.parquet each sensor of
// the source then has so many rows with the same times. zstd finds those of the second and later sensors in its window;
// more rows would overflow the 32k positions that its level 1 remembers. chunkTicks is a multiple of 128, the block of
// DELTA_BINARY_PACKED, so that equal times become equal bytes.
const chunkTicks = 2048

// deltaBlock is the block of DELTA_BINARY_PACKED.
const deltaBlock = 128

// Converted says what a Conversion found and did.
type Converted struct {
	// Spools has one entry for each source, in the order of the names. A file that cannot be read has its own.
	Spools []SpoolStats
	// Samples is the number of values handed out, missing ones included: the rows of samples.parquet.
	Samples int64
	// Bytes is the size of samples.parquet.
	Bytes int64
}

// SpoolStats says what was in the spool of one source, all parts together.
type SpoolStats struct {
	// Path is the file of the first part.
	Path string
	// Header is that of the first part. It is empty if it cannot be read.
	Header SpoolHeader
	// Rows counts the readings of all sensors together, First and Last are the times of the first and the last.
	Rows        int64
	First, Last time.Duration
	// Complete reports whether the writer closed every part. A part that was not closed, but was followed by another, is a
	// gap: the sampler ended there, and another one was started.
	Complete bool
	Gaps     []Gap
	// Err says why some of the spool could not be read; nil if nothing is there that was not read.
	Err error
	// Unread reports whether something in the files was not read that could be read another time, or by another ergon. A
	// part of a batch at the end, which a killed writer leaves, cannot.
	Unread bool
}

// Gap is a time without readings: after the last one before it until the first one behind it.
type Gap struct{ From, To time.Duration }

// Observer is handed the readings of one sensor, source.Sensors[sensor], in the order of time and in several calls. The
// slices hold one time for each value, NaN if there was no reading. They are valid during the call. If a source has
// several parts, each part has a header of its own, and the same sensor may have another number in each.
type Observer func(source SpoolHeader, sensor int, at []time.Duration, values []float64)

// Convert reads the spools in a folder to their ends and hands all readings to observe, which may be nil. Without a folder
// there are no spools. The readings of a source that are only in memory, in rows, follow those of its spool.
//
// Convert streams the readings into a samples.parquet and adds it to the batch. If the batch is nil, nothing is written.
// Memory does not grow with the length of the run. Conversion.Spools says what a spool has lost; that is not an error. The
// caller calls Close once. If the file cannot be written, observe sees all readings even so, and Close returns the error.
func (b *Files) Convert(spool *Folder, observe Observer, rows ...Rows) (*Conversion, error) {
	c, err := b.Begin(spool, rows...)
	if err != nil {
		return nil, err
	}
	c.Read(observe)
	return c, nil
}

// Begin opens the spools for Convert, and reads nothing of them yet. Conversion.Read goes on. Rows without an anchor have the
// anchor of the sources before them.
func (b *Files) Begin(spool *Folder, rows ...Rows) (*Conversion, error) {
	c := &Conversion{files: b, feeds: feeds{dir: spool}}
	if spool != nil {
		if err := c.feeds.look(true); err != nil {
			c.feeds.close()
			return nil, fmt.Errorf("convert: %w", err)
		}
	}
	for _, r := range rows {
		if r.Header.Anchor.IsZero() {
			r.Header.Anchor = c.Anchor()
		}
		c.feeds.keep(r)
	}
	if b != nil {
		if c.file, c.failed = b.dir.begin(SamplesFile); c.failed == nil {
			c.start()
		}
	}
	return c, nil
}

// Interval returns the shortest time between two beats of any source. It is 0 if there are no sources.
func (c *Conversion) Interval() time.Duration {
	var least time.Duration
	for _, f := range c.feeds.list {
		for _, h := range f.headers {
			if h.Interval > 0 && (least == 0 || h.Interval < least) {
				least = h.Interval
			}
		}
	}
	return least
}

// Anchor returns the wall-clock time of moment 0 of the readings. It is zero if there are none.
func (c *Conversion) Anchor() time.Time {
	for _, f := range c.feeds.list {
		for _, h := range f.headers {
			if !h.Anchor.IsZero() {
				return h.Anchor
			}
		}
	}
	return time.Time{}
}

// Conversion is a samples.parquet that has all readings.
type Conversion struct {
	files   *Files
	observe Observer
	feeds   feeds
	samples int64          // handed out
	rows    block          // at most a chunk
	file    *written       // nil if nothing is written
	out     *samplesWriter // nil if nothing is written
	failed  error          // why it is not written
	hosts   words
	sensors words
}

// Close ends the file and says what was found and done. Its error means that the file could not be written; it is a
// *fs.PathError.
func (c *Conversion) Close() (Converted, error) {
	result := c.result()
	if c.file == nil {
		return result, c.failed
	}
	if c.failed == nil {
		c.failed = c.out.flush(true)
	}
	if c.failed == nil {
		c.failed = c.file.buffer.Flush()
	}
	if c.failed != nil {
		return result, c.file.fail(c.failed)
	}
	if info, err := c.file.file.Stat(); err == nil {
		result.Bytes = info.Size()
	}
	c.files.add(c.file)
	return result, nil
}

// Spools says what was in the spool of each source, in the order of the names.
func (c *Conversion) Spools() []SpoolStats { return c.result().Spools }

// result is what was found in the spools and made of them.
func (c *Conversion) result() Converted {
	out := Converted{Samples: c.samples}
	for _, f := range c.feeds.list {
		f.stats.Complete = f.complete()
		out.Spools = append(out.Spools, f.stats)
	}
	return out
}

// start begins the file with what is known of the sources.
func (c *Conversion) start() {
	c.out = &samplesWriter{longWriter: longWriter{
		out: c.file.buffer, name: SamplesFile, columns: samplesAbout(), packer: c.files.packer,
	}}
	for _, f := range c.feeds.list {
		for _, h := range f.headers {
			c.hosts.number(h.Host)
			for _, s := range h.Sensors {
				c.describe(s)
			}
		}
	}
	c.out.pairs = []string{schemaKey, samplesSchema}
	c.out.hosts, c.out.sensors = c.hosts.list, c.sensors.list
}

// describe notes the unit and the kind of a sensor, if it is new.
func (c *Conversion) describe(s sensors.Sensor) {
	before := len(c.sensors.list)
	if c.sensors.number(s.ID); len(c.sensors.list) == before {
		return
	}
	kind := int32(0)
	if s.Kind == sensors.Counter {
		kind = 1
	}
	c.out.unit, c.out.kind = append(c.out.unit, c.out.units.number(string(s.Unit))), append(c.out.kind, kind)
}

// words numbers strings in the order they are first seen.
type words struct {
	list []string
	seen map[string]int32
}

// number returns the number of a word. It makes the word valid UTF-8, since readers of Parquet refuse other strings.
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

// Read reads the spools to their ends, as Convert describes it. If the file cannot be written, the readings are counted all
// the same.
func (c *Conversion) Read(observe Observer) {
	defer c.feeds.close()
	c.observe = observe
	if observe == nil {
		c.observe = func(SpoolHeader, int, []time.Duration, []float64) {}
	}
	for _, f := range c.feeds.list {
		current := 0 // the part whose readings are in the block
		for {
			part, at, values, err := f.next(true)
			if err != nil || part != current {
				c.rest(f, current)
				current = part
			}
			if err != nil {
				break
			}
			c.take(f, part, at, values)
		}
	}
}

// take collects a batch and hands on whole chunks.
func (c *Conversion) take(f *feed, part int, at []time.Duration, values []float64) {
	n := len(f.headers[part].Sensors)
	most := min(chunkTicks, max(deltaBlock, blockLimit/8/n/deltaBlock*deltaBlock)) // of many sensors, fewer
	for len(at) > 0 {
		ticks := min(len(at), most-len(c.rows.at))
		c.rows.add(at[:ticks], values[:ticks*n], n)
		at, values = at[ticks:], values[ticks*n:]
		if len(c.rows.at) == most {
			c.chunk(f, part, 0, most)
			c.rows.clear()
		}
	}
}

// rest hands on the last chunk of a part, first as much of it as is whole blocks.
func (c *Conversion) rest(f *feed, part int) {
	whole := len(c.rows.at) / deltaBlock * deltaBlock
	c.chunk(f, part, 0, whole)
	c.chunk(f, part, whole, len(c.rows.at))
	c.rows.clear()
}

// chunk hands on the collected readings from one tick to another, sensor by sensor.
func (c *Conversion) chunk(f *feed, part, from, to int) {
	if from == to {
		return
	}
	h := &f.headers[part]
	for s := range h.Sensors {
		at, values := c.rows.at[from:to], c.rows.columns[s][from:to]
		c.observe(*h, s, at, values)
		c.samples += int64(len(at))
		if c.out != nil && c.failed == nil {
			c.failed = c.out.add(c.hosts.number(h.Host), c.sensors.number(h.Sensors[s].ID), h.Anchor, at, values)
		}
	}
}

// RemoveSpool removes the spools of a run from its folder, and nothing else. It is called after SaveManifest has made the
// files durable that replace them. A run without spools is fine.
func RemoveSpool(run *Folder) error {
	spool, err := run.Open(SpoolFolder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove spool: %w", err)
	}
	defer func() { _ = spool.Close() }() // nothing was written through it
	if err := spool.emptySpool(); err != nil {
		return err
	}
	if err := run.Remove(SpoolFolder); err != nil {
		return fmt.Errorf("remove spool: %w", err)
	}
	return nil
}

// emptySpool removes the files of a spool folder.
func (f *Folder) emptySpool() error {
	names, err := f.List()
	if err != nil {
		return fmt.Errorf("remove spool: %w", err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, spoolExt) && !isProcessFile(name) && !isMarksFile(name) && name != stateFile && name != roundsFile {
			continue
		}
		if err := f.Remove(name); err != nil {
			return fmt.Errorf("remove spool: %w", err)
		}
	}
	return nil
}
