package sampler

import (
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
)

// flushEvery is the longest time a reading stays in memory. A kill -9 of the sampler loses no more.
const flushEvery = 900 * time.Millisecond

// reader reads one source, and has its spool and its statistics.
type reader struct {
	name   string
	source sensors.Source
	list   []sensors.Sensor
	row    []float64
	at     time.Duration // when the row was read
	header store.SpoolHeader
	dir    *store.Folder // the spool's folder; nil if nothing is recorded
	spool  *store.Spool  // nil until it is created, just after the first reading
	// memory is true in the runner, which keeps its rows. In the sampler, kept has the rows that the runner handed over.
	memory    bool
	kept      store.Rows
	stats     datamodel.SourceStats
	told      record // a copy of stats, readable while the lane runs or hangs
	gone      bool
	atMarks   bool          // it is also read when a region of the command begins or ends
	over      bool          // the last reading was taken
	edges     []int         // the sensors whose edges align waits for; empty without --align
	fine      []int         // the energy counters that move often
	begun     []float64     // the first row, if there are such counters
	unaligned []string      // which of these sensors did not move, and at which end
	doubt     string        // why the target could not be followed
	lost      error         // why the spool could not be closed
	lostAt    time.Duration // the time of the last flush that worked
	// processes records what the source knows of processes. It is nil until there is one.
	processes *store.ProcessSpool
	later     []sensors.Process // those that could not be written yet
	lostList  error             // why processes are missing from the list
}

// mostLater is how many processes wait for a disk that is full.
const mostLater = 10_000

// record is a copy of a reader's stats that others may read while its lane runs.
type record struct {
	mu    sync.Mutex
	stats datamodel.SourceStats
}

// tell updates the copy.
func (r *reader) tell() {
	r.told.mu.Lock()
	r.told.stats = r.stats
	r.told.mu.Unlock()
}

// given returns the stats of a source that hangs: those until its last reading. ran is how long its lane was due to run. All
// beats without a reading count as missed.
func (r *reader) given(ran, interval time.Duration) datamodel.SourceStats {
	r.told.mu.Lock()
	stats := r.told.stats
	r.told.mu.Unlock()
	stats.Name, stats.Interval, stats.Sensors, stats.Hung = r.name, interval.Seconds(), len(r.list), true
	// The first reading is not a beat. The edges are incomplete: the lane may still add the last ones.
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
	r.stats.ReadTime = math.Round((r.stats.ReadTime+took)*1e9) / 1e9 // the clock has whole nanoseconds
	r.stats.Worst = max(r.stats.Worst, took)
	if err != nil {
		r.stats.Failed++
		for i := range r.row {
			r.row[i] = math.NaN()
		}
	}
	r.at = t0.Sub(began)
	if r.begun == nil && len(r.fine) > 0 {
		r.begun = slices.Clone(r.row)
	}
	return true
}

// append adds the row to the spool or, in the runner, to the rows in memory.
func (r *reader) append(began time.Time) {
	if r.memory {
		r.kept.Append(r.at, r.row)
		return
	}
	if r.spool == nil {
		return
	}
	if !r.spool.Append(r.at, r.row) {
		r.flush(began)
		r.spool.Append(r.at, r.row)
	}
}

// record creates the spool and puts the rows from the runner and the first row into it. It comes after the first reading,
// because the target waits for that reading only. Creating eight files takes a good part of the time to measure `true`.
func (r *reader) record(began time.Time) {
	if r.dir == nil {
		return
	}
	if r.spool, r.lost = store.NewSpool(r.dir, r.header); r.lost != nil {
		return
	}
	_ = r.spool.Start() // flush tries again
	at, row, n := r.at, r.row, len(r.list)
	if r.header.Part > 0 && len(r.kept.At) == 0 { // another sampler has read it before; a row without values marks the gap
		r.at, r.row = at-1, nans(n)
		r.append(began)
	}
	for i, t := range r.kept.At {
		r.at, r.row = t, r.kept.Values[i*n:(i+1)*n]
		r.append(began)
	}
	r.at, r.row = at, row
	r.append(began)
	if len(r.kept.At) > 0 {
		r.kept = store.Rows{}
		r.flush(began) // the runner's readings go to disk at once, not at a beat
	}
}

// nans returns a row without values.
func nans(n int) []float64 {
	row := make([]float64, n)
	for i := range row {
		row[i] = math.NaN()
	}
	return row
}

// keepProcesses records what the source knows of processes. last says that there is no other try.
func (r *reader) keepProcesses(began time.Time, last bool) {
	lister, ok := r.source.(sensors.ProcessLister)
	if !ok || r.dir == nil {
		return
	}
	waiting := r.later
	r.later = nil
	var failed error
	put := func(p sensors.Process) {
		if failed == nil && r.processes == nil {
			r.processes, failed = store.CreateProcessSpool(r.dir, r.header.Part, began, store.MostProcesses)
		}
		if failed == nil {
			failed = r.processes.Put(p)
		}
		if failed == nil {
			return
		}
		if len(r.later) < mostLater {
			r.later = append(r.later, p) // the next flush tries again
		} else {
			r.lostList = failed
		}
	}
	for _, p := range waiting {
		put(p)
	}
	looked := lister.Processes(put)
	if r.processes != nil && !looked.IsZero() {
		_ = r.processes.Flush(looked) // the next flush tells the time of the last look as well
	}
	if last && failed != nil {
		r.lostList = failed
	}
}

// flush writes the appended rows.
func (r *reader) flush(began time.Time) {
	r.keepProcesses(began, false)
	if r.spool != nil && r.spool.Flush() == nil {
		r.lostAt = time.Since(began)
	}
}

// end closes the files.
func (r *reader) end(began time.Time) {
	r.keepProcesses(began, true)
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
