package store

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
)

// Rows are readings of one source that are kept in memory, in the order of time.
type Rows struct {
	// Header describes the source.
	Header SpoolHeader
	// At has the time of each reading. Values has a value for each reading and sensor, row by row, NaN if there is none.
	At     []time.Duration
	Values []float64
}

// Append adds a reading. It copies values.
func (r *Rows) Append(at time.Duration, values []float64) {
	r.At = append(r.At, at)
	r.Values = append(r.Values, values...)
}

// last returns the last n readings.
func (r Rows) last(n int) Rows {
	n = min(n, len(r.At))
	r.At = r.At[len(r.At)-n:]
	r.Values = r.Values[len(r.Values)-n*len(r.Header.Sensors):]
	return r
}

// Written returns the sources that have a reading in a certain part of the spools in a folder.
func Written(spool *Folder, part int) map[string]bool {
	list, _ := FirstReadings(spool) // without a folder, none has
	written := make(map[string]bool)
	for _, w := range list {
		if w.Part == part && slices.ContainsFunc(w.Values, func(v float64) bool { return !math.IsNaN(v) }) {
			written[w.Source] = true
		}
	}
	return written
}

// Behind returns the rows that the spools in a folder lack; without a folder these are all. The writer of a certain part was
// handed all rows of its source but the last one. So Behind returns the last row of a source that has a reading in this
// part, and all rows of any other source.
func Behind(spool *Folder, part int, rows []Rows) []Rows {
	written := Written(spool, part)
	var out []Rows
	for _, r := range rows {
		if written[r.Header.Source] {
			r = r.last(1)
		}
		out = append(out, r)
	}
	return out
}

// Save writes rows as spools into a folder.
func Save(spool *Folder, rows []Rows) error {
	var errs []error
	for _, r := range rows {
		errs = append(errs, r.save(spool))
	}
	return errors.Join(errs...)
}

func (r Rows) save(spool *Folder) error {
	s, err := CreateSpool(spool, r.Header)
	if err != nil {
		return err
	}
	n := len(r.Header.Sensors)
	for i, at := range r.At {
		row := r.Values[i*n : (i+1)*n]
		if !s.Append(at, row) {
			_ = s.Flush() // an error stays, and Close returns it
			s.Append(at, row)
		}
	}
	return s.Close()
}

// Seen converts the processes that were seen, if they did not go through the spool. It returns nil if there are none.
// Times count from anchor. looked is the time of the last look.
func Seen(anchor, looked time.Time, list []sensors.Process) *datamodel.SeenProcesses {
	if len(list) == 0 {
		return nil
	}
	seen := &datamodel.SeenProcesses{Anchor: anchor.UTC().Round(0)}
	for _, p := range list {
		s := datamodel.SeenProcess{
			PID: int64(p.PID), Parent: int64(p.Parent), Count: 1, Name: p.Name, CommandLine: p.CommandLine,
			Start: p.Start.Sub(anchor), FirstSeen: p.FirstSeen.Sub(anchor), LastSeen: p.LastSeen.Sub(anchor),
			Gone: none, Ended: !p.Gone.IsZero(), CPU: p.CPU, PeakMemory: p.PeakMemory, Read: p.Read, Written: p.Written, HasIO: p.HasIO,
		}
		if s.Ended {
			s.Gone = p.Gone.Sub(anchor)
		} else if now := looked.Sub(anchor); now > s.LastSeen {
			s.LastSeen = now
		}
		seen.Processes = append(seen.Processes, s)
	}
	return seen
}

// SaveSeen writes processes into a spool folder.
func SaveSeen(spool *Folder, anchor, looked time.Time, list []sensors.Process) error {
	s, err := CreateProcessSpool(spool, 0, anchor, MostProcesses)
	if err != nil {
		return err
	}
	for _, p := range list {
		if err = s.Put(p); err != nil {
			break
		}
	}
	if err == nil && !looked.IsZero() {
		err = s.Flush(looked)
	}
	return errors.Join(err, s.Close())
}
