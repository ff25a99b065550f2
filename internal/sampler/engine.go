package sampler

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// MinInterval is the shortest time between beats.
	MinInterval = time.Millisecond
	// openTimeout limits the opening of a backend that may block. readTimeout limits a first or last reading.
	openTimeout = 3 * time.Second
	readTimeout = 2 * time.Second
	// settle is the time between two readings of a sensor that needs a difference: some ticks of the kernel.
	settle = 50 * time.Millisecond
)

// Engine reads the sources of one round: it opens them and takes the first readings, one reading at each beat, and the last
// readings. It knows no protocol. The engine of the sampler process may block. The runner's engine (NewLocal) must not.
type Engine struct {
	config   Config
	backends []sensors.Backend
	local    bool
	began    time.Time
	wall     time.Time     // the wall-clock time of began
	ran      time.Duration // from the first readings to the order for the last
	lanes    []*lane
	missing  []sensors.Absence
	warnings []datamodel.Warning
	subject  Subject
	choice   choice
	wrong    error // why the choice is invalid
	opened   []opening
	running  bool // the lanes run
	over     bool // the last readings were taken or given up
	// listener receives the marks of the command. It is nil if there are none.
	listener *listener
	followed atomic.Int64 // the command's process; 0 if it is not known yet
}

// NewEngine makes an engine for the sampler process.
func NewEngine(config Config, backends []sensors.Backend) *Engine {
	return &Engine{config: config, backends: backends}
}

// Open opens the sources that do not need the target.
func (e *Engine) Open() {
	if e.choice, e.wrong = parseChoice(e.config.Select); e.wrong == nil {
		e.wrong = e.config.believed(launch.Privileged())
	}
	if e.wrong == nil {
		e.opened = e.openAll(func(b sensors.Backend) bool { return !b.OfTarget })
	}
}

// Attach opens the sources of the target, and groups all sources into lanes. An error says what is wrong with the
// configuration.
func (e *Engine) Attach(subject Subject) (*Ready, error) {
	e.subject = subject
	if e.wrong != nil {
		return nil, e.wrong
	}
	e.config.Setup.Target = e.subject.Target
	for i, o := range e.openAll(func(b sensors.Backend) bool { return b.OfTarget }) {
		if o.backend.OfTarget {
			e.opened[i] = o
		}
	}
	ready := &Ready{}
	for _, o := range e.opened {
		e.missing = append(e.missing, o.absences...)
		if o.source == nil {
			continue
		}
		r := e.reader(o.backend.Name, o.source)
		interval := min(e.interval(o.backend), watchdog(r.list))
		r.stats.Interval, r.header.Interval = interval.Seconds(), interval
		ready.Sources = append(ready.Sources, SourceInfo{r.name, interval, len(r.list)})
		for _, sensor := range r.list {
			if sensor.ID == "target/cpu_time" {
				ready.Accounting = sensor.Source
			}
		}
		if e.config.List {
			present, absent := list(r, interval)
			ready.Sensors, e.missing = append(ready.Sensors, present...), append(e.missing, absent...)
		}
		e.place(r, interval, o.alone)
	}
	// If only some backends were opened, a pattern may be for the others.
	if err := e.choice.check(e.backends, "cpu", "memory", "disk", "network", "perf", "rapl", "hwmon", "battery", "gpu", "target", "profiler"); err != nil && !e.config.Baseline {
		return nil, err
	}
	e.followed.Store(0)
	if e.subject.PID != 0 {
		e.Follow(e.subject.PID)
	}
	if subject.Marks != nil {
		e.listen(subject.Marks)
	}
	ready.Missing = e.missing
	return ready, nil
}

// reader makes the reader of a source.
func (e *Engine) reader(name string, src sensors.Source) *reader {
	r := &reader{name: name, source: src, list: src.Sensors(), dir: e.subject.Spool, memory: e.local}
	r.row = make([]float64, len(r.list))
	if e.config.Align {
		r.edges = energyCounters(r.list)
	}
	r.fine = fineCounters(r.list)
	r.atMarks = atMarks(r.list)
	r.stats = datamodel.SourceStats{Name: name, Sensors: len(r.list)}
	r.header = store.SpoolHeader{Source: name, Host: e.config.Node, Sensors: r.list, Part: e.subject.Part}
	return r
}

// place puts the reader into the shared lane of its interval or, if alone, into its own lane.
func (e *Engine) place(r *reader, interval time.Duration, alone bool) {
	if !alone {
		for _, l := range e.lanes {
			if l.interval == interval && l.shared {
				l.readers = append(l.readers, r)
				return
			}
		}
	}
	e.lanes = append(e.lanes, newLane(interval, !alone, r))
}

// interval returns the interval that the user set for this backend. If there is none, it returns the general one, but at
// least the backend's smallest useful one.
func (e *Engine) interval(b sensors.Backend) time.Duration {
	if own, ok := e.config.Intervals[b.Name]; ok {
		return own
	}
	return max(e.config.Interval, b.Interval)
}

// opening is the outcome of opening one backend.
type opening struct {
	backend  sensors.Backend
	alone    bool // it needs a lane of its own
	source   sensors.Source
	absences []sensors.Absence
	unread   sensors.Absence // why the runner did not read it, once that is known
}

// openAll opens the wanted backends that are not switched off. It opens those that may block in parallel and with a time
// limit, the others one after another.
func (e *Engine) openAll(wanted func(sensors.Backend) bool) []opening {
	opened := make([]opening, len(e.backends))
	setup := e.config.Setup // a copy: a backend that hangs in Open must not see later changes
	late := make([]chan opening, len(e.backends))
	open := func(b sensors.Backend) bool {
		return wanted(b) && (!e.config.Cautious || b.First != sensors.InSampler) && (!e.local || b.First == sensors.AtStart) && !e.choice.excluded(b.Name) && (b.Baseline || !e.config.Baseline)
	}
	for i, b := range e.backends {
		opened[i].backend = b
		if wanted(b) && e.config.Cautious && b.First == sensors.InSampler && !e.choice.excluded(b.Name) {
			opened[i].absences = []sensors.Absence{{
				ID: b.Name, Family: b.Name, Cause: sensors.Gone, Reason: "left out after the sampler had died twice: it may be what crashes it",
			}}
		}
		if open(b) && e.alone(b) {
			late[i] = make(chan opening, 1)
			go func() { late[i] <- openOne(b, setup) }()
		}
	}
	for i, b := range e.backends {
		if late[i] == nil && open(b) {
			opened[i] = openOne(b, setup)
		}
	}
	deadline := time.Now().Add(openTimeout)
	for i, b := range e.backends {
		if late[i] == nil {
			continue
		}
		if o, ok := received(late[i], deadline); ok {
			opened[i] = o
			opened[i].alone = true
			continue
		}
		opened[i].absences = []sensors.Absence{b.Absent(sensors.TimedOut, "did not open within "+units.Brief(openTimeout))}
	}
	for i := range opened {
		o := &opened[i]
		if o.source == nil {
			continue
		}
		chosen := e.choice.narrow(o.backend.Name, o.source)
		if chosen == nil {
			_ = o.source.Close()
		}
		o.source = chosen
	}
	return opened
}

// received returns what arrives until the deadline. What is there already counts, even if the deadline has passed.
func received[T any](c <-chan T, deadline time.Time) (v T, ok bool) {
	select {
	case v = <-c:
		return v, true
	default:
	}
	select {
	case v = <-c:
		return v, true
	case <-time.After(time.Until(deadline)):
		return v, false
	}
}

// alone reports whether a backend needs a lane of its own, because it may block. The runner opens no such backend.
func (e *Engine) alone(b sensors.Backend) bool {
	return !e.local && (b.Alone || !e.config.shared() || b.MayBlock != nil && b.MayBlock(e.config.Setup))
}

func openOne(b sensors.Backend, setup sensors.Setup) opening {
	src, absences, err := b.Open(context.Background(), setup)
	if err != nil {
		absences = append(absences, b.AbsenceOf(err))
		src = nil
	}
	return opening{backend: b, source: src, absences: absences}
}

// Follow tells the lanes the target's process id. A running lane passes it on before its next reading, because a source's
// Follow must not overlap its Read.
func (e *Engine) Follow(pid int) {
	e.followed.Store(int64(pid))
	for _, l := range e.lanes {
		if e.running {
			l.target.Store(int64(pid))
		} else {
			l.follow(pid)
		}
	}
}

// Begin starts the lanes. It returns when each lane has its first readings or has missed the time limit.
func (e *Engine) Begin() error {
	e.clockFrom(time.Now())
	return e.run(0)
}

// clockFrom sets the moment from which the times of readings are counted.
func (e *Engine) clockFrom(began time.Time) {
	e.began, e.wall = began, began
	for _, l := range e.lanes {
		for _, r := range l.readers {
			r.header.Anchor = e.wall
		}
	}
}

// run starts the lanes. stands is the number of beats that their first readings count for.
func (e *Engine) run(stands int64) error {
	for _, l := range e.lanes {
		if err := l.start(e.began, stands); err != nil {
			return err
		}
	}
	e.running = true
	for _, l := range e.lanes {
		go l.run(e.began)
	}
	deadline := time.Now().Add(readTimeout)
	for _, l := range e.lanes {
		if _, ok := received(l.first, deadline); !ok {
			e.warn(l.readers[0].name, fmt.Sprintf("no first reading within %s: the source hangs", units.Brief(readTimeout)))
		}
	}
	e.listener.start(true)
	return nil
}

// End takes the last readings. A lane that hangs is given up.
func (e *Engine) End() {
	if e.over || !e.running {
		return
	}
	e.over = true
	e.listener.stop()
	e.ran = time.Since(e.began)
	for _, l := range e.lanes {
		l.end()
	}
	deadline := time.Now().Add(readTimeout)
	for _, l := range e.lanes {
		if _, l.closed = received(l.done, deadline); l.closed {
			continue
		}
		for _, r := range l.readers {
			missed := r.given(e.ran, l.interval).Missed
			e.warn(r.name, fmt.Sprintf("no last reading within %s: the source hangs, %d beats were missed", units.Brief(readTimeout), missed))
		}
	}
}

// Close closes all sources, except those that hang. In the sampler, it closes the socket of the marks, too.
func (e *Engine) Close() {
	if e.listener != nil && !e.local {
		e.listener.stop()
		_ = e.listener.socket.Close() // it was only read
	}
	if e.lanes == nil { // no target is attached
		for _, o := range e.opened {
			if o.source != nil {
				_ = o.source.Close()
			}
		}
		return
	}
	for _, l := range e.lanes {
		if e.running && !l.closed {
			continue
		}
		for _, r := range l.readers {
			_ = r.source.Close()
		}
		if l.beat != nil {
			l.beat.close()
		}
		if l.soon != nil {
			l.soon.close()
		}
	}
}

// Summary returns the statistics and warnings of the sources. For a lane that hangs it uses an earlier copy, because the lane
// may still write its own.
func (e *Engine) Summary() *Ended {
	ended := &Ended{}
	for _, l := range e.lanes {
		for _, r := range l.readers {
			if !l.closed {
				ended.Sources = append(ended.Sources, r.given(e.ran, l.interval))
				continue
			}
			ended.Sources = append(ended.Sources, r.stats)
			if r.doubt != "" {
				e.warn(r.name, r.doubt)
			}
			for _, text := range r.unaligned {
				e.warn(r.name, text)
			}
			if r.lostList != nil {
				e.warn("processes", fmt.Sprintf("the list of processes is incomplete: %v", r.lostList))
			}
			var lost store.Lost
			if r.spool != nil {
				lost = r.spool.Lost()
			}
			switch {
			case lost.Rows > 0:
				e.warn(r.name, fmt.Sprintf("%d readings from %.1f s to %.1f s were lost: %v", lost.Rows, lost.First.Seconds(), lost.Last.Seconds(), lost.Err))
			case r.lost != nil:
				e.warn(r.name, fmt.Sprintf("its last readings, after %.1f s, may be lost: %v", r.lostAt.Seconds(), r.lost))
			}
		}
	}
	ended.Warnings = append(slices.Clone(e.warnings), e.listener.warnings()...)
	return ended
}

func (e *Engine) warn(subject, text string) {
	e.warnings = append(e.warnings, datamodel.Warning{Subject: subject, Text: text})
}

// list describes the reader's sensors with one reading each. If a source hangs, its sensors have no reading. list abandons its
// goroutine, because the process ends soon. A counter that is no meter is listed as absent.
func list(r *reader, interval time.Duration) (present []Listed, absent []sensors.Absence) {
	done := make(chan []int, 1)
	go func() {
		if r.source.Read(r.row) == nil && slices.ContainsFunc(r.row, math.IsNaN) {
			time.Sleep(settle) // a difference needs two readings
			_ = r.source.Read(r.row)
		}
		done <- r.still()
	}()
	var still []int
	read := false
	select {
	case still = <-done:
		read = true
	case <-time.After(readTimeout):
	}
	for i, sensor := range r.list {
		if slices.Contains(still, i) {
			absent = append(absent, sensors.Absence{
				ID: sensor.ID, Family: sensor.Family, Source: sensor.Source, Cause: sensors.NoMeter,
				Reason: "the counter did not move in " + units.Brief(lookFor) + ": no meter", Domain: sensor.Domain, Device: sensor.Device,
			})
			continue
		}
		l := Listed{Sensor: sensor, Backend: r.name, Interval: interval}
		if read && !math.IsNaN(r.row[i]) {
			v := r.row[i]
			l.Reading = &v
		}
		present = append(present, l)
	}
	return present, absent
}
