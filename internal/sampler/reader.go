package sampler

import (
	"errors"
	"math"
	"sync"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
)

// flushEvery is the longest a reading stays in memory: what a kill -9 of the sampler may cost.
const flushEvery = 900 * time.Millisecond

// reader is one source with its spool and its record.
type reader struct {
	name   string
	source sensors.Source
	list   []sensors.Sensor
	row    []float64
	at     time.Duration // of the row
	header store.SpoolHeader
	dir    string       // for the spool; empty when nothing is recorded
	spool  *store.Spool // nil until it is created, just after the first reading
	// memory is true in the runner, which keeps its rows. In the sampler kept is what the runner has handed over.
	memory    bool
	kept      store.Rows
	stats     datamodel.SourceStats
	told      record // a copy of the stats, for when the lane hangs and they may not be touched
	gone      bool
	edges     []int         // the sensors that are waited for to move at both ends; none if that was not asked for
	unaligned []string      // at which end which of them did not move
	doubt     string        // what went wrong with following
	lost      error         // the first error of the spool
	lostAt    time.Duration // and the end of what was written before it
	// processes keeps what the source knows of processes; nil until there is something to be kept.
	processes *store.ProcessSpool
	lostList  error // the first error of it
}

// record is a copy of a reader's stats that may be asked for while its lane goes on.
type record struct {
	mu    sync.Mutex
	stats datamodel.SourceStats
}

// tell brings the copy up to date.
func (r *reader) tell() {
	r.told.mu.Lock()
	r.told.stats = r.stats
	r.told.mu.Unlock()
}

// given is the stats of a source that hangs, of a lane that was to be read for so long: what it did until its last
// reading. All beats that brought none were missed.
func (r *reader) given(ran, interval time.Duration) datamodel.SourceStats {
	r.told.mu.Lock()
	stats := r.told.stats
	r.told.mu.Unlock()
	stats.Name, stats.Interval, stats.Sensors, stats.Hung = r.name, interval.Seconds(), len(r.list), true
	// The first reading is before all beats, and to the edges the last may still be added.
	stats.Missed, stats.Edges = max(0, int64(ran/interval)+1-stats.Readings), nil
	return stats
}

// read takes one reading and appends it to the spool.
func (r *reader) read(began time.Time) {
	if r.take(began) {
		r.stats.Readings++
		r.append(began)
	}
}

// take takes one reading into the row. It returns false if the source has gone.
func (r *reader) take(began time.Time) bool {
	if r.gone {
		return false
	}
	t0 := time.Now()
	err := r.source.Read(r.row)
	took := time.Since(t0).Seconds()
	if errors.Is(err, sensors.ErrGone) {
		r.gone = true
	}
	r.stats.ReadTime += took
	r.stats.Worst = max(r.stats.Worst, took)
	if err != nil {
		r.stats.Failed++
		for i := range r.row {
			r.row[i] = math.NaN()
		}
	}
	r.at = t0.Sub(began)
	return true
}

// append gives the row to the spool.
func (r *reader) append(began time.Time) {
	if r.memory {
		r.kept.Append(r.at, r.row)
		return
	}
	if r.spool == nil || r.lost != nil {
		return
	}
	if !r.spool.Append(r.at, r.row) {
		r.flush(began)
		r.spool.Append(r.at, r.row)
	}
}

// record creates the spool and puts into it what the runner has handed over and the first row. That comes after the first
// reading since the target waits for that one alone: eight files are a good part of the time it takes to measure `true`.
func (r *reader) record(began time.Time) {
	if r.dir == "" {
		return
	}
	if r.spool, r.lost = store.CreateSpool(r.dir, r.header); r.lost != nil {
		return
	}
	at, row, n := r.at, r.row, len(r.list)
	for i, t := range r.kept.At {
		r.at, r.row = t, r.kept.Values[i*n:(i+1)*n]
		r.append(began)
	}
	r.at, r.row = at, row
	r.append(began)
	if len(r.kept.At) > 0 {
		r.kept = store.Rows{}
		r.flush(began) // nothing that the runner has read waits for a beat to be on disk
	}
}

// keepProcesses writes what the source knows of processes.
func (r *reader) keepProcesses(began time.Time) {
	lister, ok := r.source.(sensors.ProcessLister)
	if !ok || r.dir == "" || r.lostList != nil {
		return
	}
	looked := lister.Processes(func(p sensors.Process) {
		if r.processes == nil && r.lostList == nil {
			r.processes, r.lostList = store.CreateProcessSpool(r.dir, began, store.MostProcesses)
		}
		if r.lostList == nil {
			r.lostList = r.processes.Put(p)
		}
	})
	if r.processes != nil && r.lostList == nil && !looked.IsZero() {
		r.lostList = r.processes.Flush(looked)
	}
}

// flush writes what was appended.
func (r *reader) flush(began time.Time) {
	r.keepProcesses(began)
	if r.spool == nil || r.lost != nil {
		return
	}
	if r.lost = r.spool.Flush(); r.lost == nil {
		r.lostAt = time.Since(began)
	}
}

// end closes the files.
func (r *reader) end(began time.Time) {
	r.keepProcesses(began)
	if r.processes != nil {
		if err := r.processes.Close(); r.lostList == nil {
			r.lostList = err
		}
	}
	if r.spool != nil {
		if err := r.spool.Close(); r.lost == nil {
			r.lost = err
		}
	}
}
