package sampler

import (
	"math"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
)

// The value in an energy counter may be as old as its update period. Two more readings bound the energy of that period:
// one soon after the first reading, and one after the last reading that shows when the counter moves on.
const (
	// finest is the longest update period of a counter for which these readings are made.
	finest = 5 * time.Millisecond
	// soonAfter is when the reading after the first one is due. A counter that has not moved until then stands still.
	soonAfter = 3 * time.Millisecond
	// confirmFrom is the shortest run whose last reading is confirmed. In a shorter one, the wait would be a good part of
	// the run.
	confirmFrom = 200 * time.Millisecond
	// awaited is the number of update periods that a counter is awaited after the last reading.
	awaited = 3
	// lookFor is how long a list of sensors waits for a counter to move. It judges counters that move five times as
	// often.
	lookFor = 100 * time.Millisecond
)

// fineCounters returns the indices of the energy counters that move so often that one can wait for it.
func fineCounters(list []sensors.Sensor) []int {
	return slices.DeleteFunc(energyCounters(list), func(i int) bool { return list[i].Update <= 0 || list[i].Update > finest })
}

// readSoon takes the reading that is due soon after the first one, of the sources with counters that move often.
func (l *lane) readSoon(began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.readers {
		if len(r.fine) > 0 && !r.aligned() {
			r.read(began)
		}
	}
}

// isFine reports whether a reader of the lane has counters that move often.
func (l *lane) isFine() bool {
	return slices.ContainsFunc(l.readers, func(r *reader) bool { return len(r.fine) > 0 && !r.aligned() })
}

// confirm reads on after the last reading until the counters have moved, and notes by how much. It does not wait for a
// counter that has not moved since the first reading.
func (r *reader) confirm() {
	if r.gone || r.aligned() || len(r.fine) == 0 || len(r.begun) != len(r.row) {
		return
	}
	var left []int
	period := time.Duration(0)
	for _, i := range r.fine {
		if v := r.row[i]; !math.IsNaN(v) && !math.IsNaN(r.begun[i]) && v != r.begun[i] {
			left = append(left, i)
			period = max(period, r.list[i].Update)
		}
	}
	if len(left) == 0 {
		return
	}
	row := make([]float64, len(r.row))
	from := time.Now()
	for len(left) > 0 && time.Since(from) < awaited*period {
		time.Sleep(period / 4)
		if r.source.Read(row) != nil {
			return
		}
		left = slices.DeleteFunc(left, func(i int) bool {
			rise := row[i] - r.row[i]
			if rise == 0 || math.IsNaN(rise) {
				return false
			}
			r.stats.Edges = append(r.stats.Edges, datamodel.Edge{Sensor: r.list[i].ID, After: &rise})
			return true
		})
	}
}

// still waits until the energy counters move, at most lookFor, and returns those that did not. It does not judge counters
// that may stand for a good part of that time.
func (r *reader) still() []int {
	left := slices.DeleteFunc(energyCounters(r.list), func(i int) bool {
		return r.list[i].Update <= 0 || r.list[i].Update > lookFor/5 || math.IsNaN(r.row[i])
	})
	if len(left) == 0 {
		return nil
	}
	row := make([]float64, len(r.row))
	for end := time.Now().Add(lookFor); ; {
		late := time.Now().After(end)
		if r.source.Read(row) != nil {
			return nil
		}
		left = slices.DeleteFunc(left, func(i int) bool { return row[i] != r.row[i] })
		if late || len(left) == 0 {
			return left
		}
		time.Sleep(time.Millisecond)
	}
}
