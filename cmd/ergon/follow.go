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
	Round  int64  `json:"round"`
	Host   string `json:"host"`
	Sensor string `json:"sensor"`
	Unit   string `json:"unit"`
	Kind   string `json:"kind"`
	// Time is in UTC, where everybody writes it in the same way.
	Time    time.Time `json:"time"`
	Elapsed float64   `json:"elapsed"`
	// Value is null if there was no reading.
	Value *float64 `json:"value"`
}

// set sets the value.
func (r *reading) set(value float64) {
	if !math.IsNaN(value) && !math.IsInf(value, 0) {
		r.Value = &value
	}
}

// lines writes readings as text, one a line. Flush hands on what was written; end does so when no more follow.
type lines interface {
	write(r reading) error
	flush() error
	end() error
}

// csvLines has a line with the names of the columns first.
type csvLines struct{ out *csv.Writer }

func newCSVLines(w io.Writer) (lines, error) {
	l := csvLines{csv.NewWriter(w)}
	return l, l.out.Write([]string{"round", "host", "sensor", "unit", "kind", "time", "elapsed", "value"})
}

func (l csvLines) write(r reading) error {
	value := ""
	if r.Value != nil {
		value = strconv.FormatFloat(*r.Value, 'g', -1, 64)
	}
	return l.out.Write([]string{
		strconv.FormatInt(r.Round, 10), screen.Cell(r.Host), screen.Cell(r.Sensor), screen.Cell(r.Unit), screen.Cell(r.Kind), r.Time.Format(time.RFC3339Nano), strconv.FormatFloat(r.Elapsed, 'g', -1, 64), value,
	})
}

func (l csvLines) flush() error {
	l.out.Flush()
	return l.out.Error()
}

func (l csvLines) end() error { return l.flush() }

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

func (l jsonLines) end() error { return l.out.Flush() }

// jsonArray is one array, with an object in each line.
type jsonArray struct {
	out  *bufio.Writer
	some bool // an object was written
}

func newJSONArray(w io.Writer) (lines, error) {
	l := &jsonArray{out: bufio.NewWriter(w)}
	return l, l.out.WriteByte('[')
}

func (l *jsonArray) write(r reading) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if l.some {
		_ = l.out.WriteByte(',') // flush reports errors
	}
	l.some = true
	_ = l.out.WriteByte('\n')
	_, err = l.out.Write(screen.CleanJSON(line))
	return err
}

func (l *jsonArray) flush() error { return l.out.Flush() }

func (l *jsonArray) end() error {
	_, _ = l.out.WriteString("\n]\n") // flush reports errors
	return l.out.Flush()
}

// follower writes the readings of a run while the run goes on.
type follower struct {
	lines
	// last is the time of the last reading of each sensor that was written, in s, by host and sensor.
	last map[[2]string]float64
	err  error // why a line could not be written
}

// observe writes the readings of one sensor. It is a callback for the store.
func (f *follower) observe(h store.SpoolHeader, sensor int, at []time.Duration, values []float64) {
	s := h.Sensors[sensor]
	for i, v := range values {
		r := reading{
			Host: h.Host, Sensor: s.ID, Unit: string(s.Unit), Kind: s.Kind.String(), // a spool has one round
			Time: time.UnixMicro(h.Anchor.Add(at[i]).UnixMicro()).UTC(), Elapsed: at[i].Seconds(),
		}
		r.set(v)
		if f.err == nil {
			f.err = f.write(r)
		}
		f.last[[2]string{h.Host, s.ID}] = r.Elapsed
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
			r := reading{
				Round: b.Round[i], Host: b.Host[i], Sensor: b.Sensor[i], Unit: b.Unit[i], Kind: b.Kind[i],
				Time: time.UnixMicro(b.Time[i]).UTC(), Elapsed: b.Elapsed[i],
			}
			r.set(v)
			if err := f.write(r); err != nil {
				return err
			}
		}
	}
	return f.end()
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
