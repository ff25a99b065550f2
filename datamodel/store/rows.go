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
	// At has the time of each reading, Values as many values a reading as the source has sensors, NaN if there is none.
	At     []time.Duration
	Values []float64
}

// Append adds a reading. It copies values.
func (r *Rows) Append(at time.Duration, values []float64) {
	r.At = append(r.At, at)
	r.Values = append(r.Values, values...)
}

// last keeps the last n readings.
func (r Rows) last(n int) Rows {
	n = min(n, len(r.At))
	r.At = r.At[len(r.At)-n:]
	r.Values = r.Values[len(r.Values)-n*len(r.Header.Sensors):]
	return r
}

// Behind is what the rows add to the spools in a folder, whose writer has the rows too but for the last: that one of each source
// that has a spool there, and all of the others.
func Behind(spoolDir string, rows []Rows) []Rows {
	written, _ := FirstReadings(spoolDir) // without a folder all is to be added
	var out []Rows
	for _, r := range rows {
		for _, w := range written {
			if w.Source == r.Header.Source && slices.ContainsFunc(w.Values, func(v float64) bool { return !math.IsNaN(v) }) {
				r = r.last(1)
			}
		}
		out = append(out, r)
	}
	return out
}

// Save writes the rows as spools into a folder, which it makes if it is missing.
func Save(spoolDir string, rows []Rows) error {
	var errs []error
	for _, r := range rows {
		errs = append(errs, r.save(spoolDir))
	}
	return errors.Join(errs...)
}

func (r Rows) save(spoolDir string) error {
	s, err := CreateSpool(spoolDir, r.Header)
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

// Seen is what the looks at the target's processes saw, if nothing of it went through the spool; nil if they saw none. The
// times count from anchor; looked is the time of the last look.
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

// SaveSeen writes the processes into a spool folder that is there.
func SaveSeen(spoolDir string, anchor, looked time.Time, list []sensors.Process) error {
	s, err := CreateProcessSpool(spoolDir, anchor, MostProcesses)
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
