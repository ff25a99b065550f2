package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/screen"
)

const (
	// aliveEvery is the time between two looks whether the run's ergon still lives.
	aliveEvery = 2 * time.Second
	// resultEvery is the time between two looks whether the result of a run is there that has told its end.
	resultEvery = 50 * time.Millisecond
)

// reading is a row of samples.parquet.
type reading struct {
	Host    string    `json:"host"`
	Sensor  string    `json:"sensor"`
	Time    time.Time `json:"time"`
	Elapsed float64   `json:"elapsed"`
	// Value is null if there was no reading.
	Value *float64 `json:"value"`
}

// readingAt returns a reading. In UTC, a time is written in the same way by everybody.
func readingAt(host, sensor string, at time.Time, elapsed, value float64) reading {
	r := reading{Host: host, Sensor: sensor, Time: at.UTC(), Elapsed: elapsed}
	if !math.IsNaN(value) && !math.IsInf(value, 0) {
		r.Value = &value
	}
	return r
}

// lines writes readings as text, one a line. Flush hands on what was written.
type lines interface {
	write(r reading) error
	flush() error
}

// csvLines has a line with the names of the columns first.
type csvLines struct{ out *csv.Writer }

func newCSVLines(w io.Writer) (lines, error) {
	l := csvLines{csv.NewWriter(w)}
	return l, l.out.Write([]string{"host", "sensor", "time", "elapsed", "value"})
}

func (l csvLines) write(r reading) error {
	value := ""
	if r.Value != nil {
		value = strconv.FormatFloat(*r.Value, 'g', -1, 64)
	}
	return l.out.Write([]string{
		screen.Cell(r.Host), screen.Cell(r.Sensor), r.Time.Format(time.RFC3339Nano), strconv.FormatFloat(r.Elapsed, 'g', -1, 64), value,
	})
}

func (l csvLines) flush() error {
	l.out.Flush()
	return l.out.Error()
}

// jsonLines has an object in each line.
type jsonLines struct{ out *bufio.Writer }

func newJSONLines(w io.Writer) (lines, error) { return jsonLines{bufio.NewWriter(w)}, nil }

func (l jsonLines) write(r reading) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, _ = l.out.Write(screen.CleanJSON(line)) // flush reports errors
	return l.out.WriteByte('\n')
}

func (l jsonLines) flush() error { return l.out.Flush() }

// follower writes the readings of a run while the run goes on.
type follower struct {
	lines
	// last is the time of the last reading of each sensor that was written, in s, by host and sensor.
	last map[[2]string]float64
	err  error // why a line could not be written
}

// observe writes the readings of one sensor. It is a callback for the store.
func (f *follower) observe(h store.SpoolHeader, sensor int, at []time.Duration, values []float64) {
	id := h.Sensors[sensor].ID
	for i, v := range values {
		if f.err == nil {
			f.err = f.write(readingAt(h.Host, id, time.UnixMicro(h.Anchor.Add(at[i]).UnixMicro()), at[i].Seconds(), v))
		}
		f.last[[2]string{h.Host, id}] = at[i].Seconds()
	}
}

// rest writes what the finished run has beyond what was written: readings that never were in a spool, as those of a short
// command, and the shares, which are known only at the end.
func (f *follower) rest(dir string) error {
	before := f.last // the rows of a sensor are in the order of time
	for b, err := range store.Samples(dir) {
		if err != nil {
			return err
		}
		for i, v := range b.Value {
			if last, ok := before[[2]string{b.Host[i], b.Sensor[i]}]; ok && b.Elapsed[i] <= last {
				continue
			}
			if err := f.write(readingAt(b.Host[i], b.Sensor[i], time.UnixMicro(b.Time[i]), b.Elapsed[i], v)); err != nil {
				return err
			}
		}
	}
	return f.flush()
}

// errLeft means that the ergon of a run has ended without a result.
var errLeft = errors.New("its ergon has ended before its result was made")

// follow writes the readings of a run in the order in which they arrive, and ends when the run has ended.
func (p *program) follow(ctx context.Context, o ExportOptions, dir string) (err error) {
	f := &follower{last: map[[2]string]float64{}}
	to := io.Writer(p.out)
	if o.To != "" {
		file, err := openFor(here().owner(o.To).account(), o.To, os.O_WRONLY|os.O_TRUNC)
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		to = file
	}
	open := newCSVLines
	if o.Format == jsonl {
		open = newJSONLines
	}
	if f.lines, err = open(to); err != nil {
		return err
	}
	run, err := store.OpenRun(dir)
	if err != nil {
		return err
	}
	defer func() { _ = run.Close() }() // it was only read
	if err := f.live(ctx, run); err != nil {
		return fmt.Errorf("follow run %s: %w%s", shortest(dir), err, wayOut(dir))
	}
	if err := measured(dir); err != nil {
		return err
	}
	if err := f.rest(dir); err != nil {
		return fmt.Errorf("export run %s: %w%s", shortest(dir), err, wayOut(dir))
	}
	return nil
}

// live writes the readings of a run until its result is there. For a run that has ended it does nothing.
func (f *follower) live(ctx context.Context, run *store.Folder) error {
	spool, err := run.Open(store.SpoolFolder)
	if errors.Is(err, fs.ErrNotExist) {
		return f.result(ctx, run)
	}
	if err != nil {
		return err
	}
	defer func() { _ = spool.Close() }() // it was only read
	var looked time.Time
	err = store.Follow(ctx, spool, f.observe, func() error {
		if err := errors.Join(f.err, f.flush()); err != nil {
			return err
		}
		if time.Since(looked) < aliveEvery {
			return nil
		}
		looked = time.Now()
		if run.Alive() {
			return nil
		}
		return errLeft
	})
	// A run that ended a moment ago is alive no more. Its result says more than that.
	if errors.Is(err, errLeft) {
		err = nil
	}
	if err := errors.Join(f.err, f.flush(), err); err != nil {
		return err
	}
	return f.result(ctx, run)
}

// result waits until the result of a run is there that has told its end.
func (f *follower) result(ctx context.Context, run *store.Folder) error {
	for alive := true; ; {
		m, err := run.Manifest()
		switch {
		case err != nil:
			return err
		case m.Outcome != datamodel.Unfinished:
			return nil
		case !alive: // the result is there before the run's ergon ends
			return errLeft
		}
		if alive = run.Alive(); !alive {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(resultEvery):
		}
	}
}
