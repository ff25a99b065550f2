package sampler

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
)

const (
	// MinInterval is the shortest time between beats.
	MinInterval = time.Millisecond
	// openTimeout is how long a backend that may block has to open, readTimeout to take a first or last reading.
	openTimeout = 3 * time.Second
	readTimeout = 2 * time.Second
	// settle is the time between two readings of a sensor that is the difference of two: some ticks of the kernel's.
	settle = 50 * time.Millisecond
)

// Serve is the sampler process: it obeys the lines on in, answers on out, and returns when in ends.
func Serve(in io.Reader, out io.Writer, backends []sensors.Backend) error {
	s := &server{backends: backends, out: json.NewEncoder(out)}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("order %.80q: %w", lines.Text(), err)
		}
		if err := s.obey(r); err != nil {
			return errors.Join(err, s.leave())
		}
	}
	return errors.Join(lines.Err(), s.leave())
}

// leave ends what goes on, and removes what nobody will ask for any more.
func (s *server) leave() error {
	s.end()
	s.close()
	if s.subject.Ephemeral && !s.ended {
		return os.RemoveAll(s.subject.Spool)
	}
	return nil
}

type server struct {
	backends   []sensors.Backend
	out        *json.Encoder
	config     Config
	began      time.Time
	ran        time.Duration // from the first readings to the order to take the last
	lanes      []*lane
	missing    []sensors.Absence
	warnings   []datamodel.Warning
	configured bool // config was obeyed
	ready      bool // subject was
	refused    bool // but cannot be done
	subject    Subject
	choice     choice
	wrong      error // with the choice
	opened     []opening
	running    bool // begin was obeyed
	over       bool // the last readings were taken or given up
	ended      bool // the runner was told so
	status     figures
}

// obey carries out one order.
func (s *server) obey(r request) error {
	switch r.Op {
	case opConfig:
		if r.Config == nil || s.configured {
			return errors.New("order config: nothing in it, or the second one")
		}
		s.configured = true
		s.config = *r.Config
		s.prepare()
		return nil
	case opSubject:
		if r.Subject == nil || !s.configured || s.ready {
			return errors.New("order subject: nothing in it, or out of turn")
		}
		s.ready = true
		s.subject = *r.Subject
		return s.out.Encode(reply{Op: opReady, Ready: s.open()})
	case opFollow:
		s.follow(r.PID)
		return nil
	case opBegin:
		if s.running || !s.ready {
			return errors.New("order begin: out of turn")
		}
		if s.refused {
			return nil // as Ready has told
		}
		if err := s.begin(); err != nil {
			return err
		}
		return s.out.Encode(reply{Op: opBegun})
	case opStatus:
		st := s.status.now(s.lanes)
		return s.out.Encode(reply{Op: opStatus, Status: &st})
	case opEnd:
		s.end()
		s.ended = true
		return s.out.Encode(reply{Op: opEnded, Ended: s.summary()})
	}
	return fmt.Errorf("order %q is unknown", r.Op)
}

// prepare opens what does not need the target.
func (s *server) prepare() {
	if s.choice, s.wrong = parseChoice(s.config.Select); s.wrong == nil {
		s.opened = s.openAll(func(b sensors.Backend) bool { return !b.OfTarget })
	}
}

// open opens the rest and groups all into lanes.
func (s *server) open() *Ready {
	ready, err := s.group()
	if err != nil {
		s.refused = true
		return &Ready{Error: err.Error()}
	}
	return ready
}

func (s *server) group() (*Ready, error) {
	if s.wrong != nil {
		return nil, s.wrong
	}
	s.config.Host.Target = s.subject.Target
	for i, o := range s.openAll(func(b sensors.Backend) bool { return b.OfTarget }) {
		if o.backend.OfTarget {
			s.opened[i] = o
		}
	}
	ready := &Ready{}
	for _, o := range s.opened {
		s.missing = append(s.missing, o.absences...)
		if o.source == nil {
			continue
		}
		src := s.choice.narrow(o.backend.Name, o.source)
		if src == nil {
			_ = o.source.Close()
			continue
		}
		r := &reader{name: o.backend.Name, source: src, list: src.Sensors()}
		r.row = make([]float64, len(r.list))
		r.latest = make([]latestBits, len(r.list))
		if s.config.Align {
			r.edges = energyCounters(r.list)
		}
		interval := min(s.interval(o.backend), watchdog(r.list))
		r.stats = datamodel.SourceStats{Name: r.name, Interval: interval.Seconds(), Sensors: len(r.list)}
		r.dir, r.header = s.subject.Spool, store.SpoolHeader{
			Source: r.name, Host: s.config.Node, Interval: interval, Sensors: r.list,
		}
		ready.Sources = append(ready.Sources, SourceInfo{r.name, interval, len(r.list)})
		for _, sensor := range r.list {
			if sensor.ID == "target/cpu_time" {
				ready.Accounting = sensor.Source
			}
		}
		if s.config.List {
			ready.Sensors = append(ready.Sensors, list(r, interval)...)
		}
		s.place(r, interval, o.backend.Alone || !s.config.shared())
	}
	// Where only some were opened, a pattern may be of use for the others.
	if err := s.choice.check(s.backends, "cpu", "memory", "disk", "network", "perf", "rapl", "hwmon", "battery", "gpu", "target", "profiler"); err != nil && len(s.config.Only) == 0 {
		return nil, err
	}
	if s.subject.PID != 0 {
		s.follow(s.subject.PID)
	}
	ready.Missing = s.missing
	return ready, nil
}

// place puts the reader into the lane of its interval or one of its own.
func (s *server) place(r *reader, interval time.Duration, alone bool) {
	if !alone {
		for _, l := range s.lanes {
			if l.interval == interval && l.shared {
				l.readers = append(l.readers, r)
				return
			}
		}
	}
	s.lanes = append(s.lanes, &lane{
		interval: interval, shared: !alone, readers: []*reader{r},
		first: make(chan struct{}), done: make(chan struct{}),
	})
}

// interval is the backend's own where the user set one, else the general one but not below what is of use.
func (s *server) interval(b sensors.Backend) time.Duration {
	if own, ok := s.config.Intervals[b.Name]; ok {
		return own
	}
	return max(s.config.Interval, b.Interval)
}

// opening is the outcome of opening one backend.
type opening struct {
	backend  sensors.Backend
	source   sensors.Source
	absences []sensors.Absence
}

// openAll opens those wanted of the backends that are not switched off: at once and side by side those that may block,
// with a limit of time, the others one after another.
func (s *server) openAll(wanted func(sensors.Backend) bool) []opening {
	opened := make([]opening, len(s.backends))
	late := make([]chan opening, len(s.backends))
	open := func(b sensors.Backend) bool {
		only := s.config.Only
		return wanted(b) && !s.choice.excluded(b.Name) && (len(only) == 0 || slices.Contains(only, b.Name))
	}
	for i, b := range s.backends {
		opened[i].backend = b
		if open(b) && (b.Alone || !s.config.shared()) {
			late[i] = make(chan opening, 1)
			go func() { late[i] <- s.openOne(b) }()
		}
	}
	for i, b := range s.backends {
		if late[i] == nil && open(b) {
			opened[i] = s.openOne(b)
		}
	}
	deadline := time.After(openTimeout)
	for i, b := range s.backends {
		if late[i] == nil {
			continue
		}
		select {
		case opened[i] = <-late[i]:
		case <-deadline:
			opened[i].absences = []sensors.Absence{{
				ID: b.Name, Reason: fmt.Sprintf("did not open within %v", openTimeout),
			}}
			expired := make(chan time.Time)
			close(expired)
			deadline = expired
		}
	}
	return opened
}

func (s *server) openOne(b sensors.Backend) opening {
	src, absences, err := b.Open(context.Background(), s.config.Host)
	if err != nil {
		// That it is not there is what an absence says already.
		reason := strings.TrimSuffix(err.Error(), ": "+sensors.ErrUnavailable.Error())
		absences = append(absences, sensors.Absence{ID: b.Name, Reason: reason, Present: !errors.Is(err, sensors.ErrUnavailable)})
		src = nil
	}
	return opening{b, src, absences}
}

// follow tells the lanes whom to follow: at once while none runs, else before its next reading, as Follow must not
// overlap Read.
func (s *server) follow(pid int) {
	for _, l := range s.lanes {
		if s.running {
			l.target.Store(int64(pid))
		} else {
			l.follow(pid)
		}
	}
}

// begin starts the lanes and returns when each has its first reading, or could not get it in time.
func (s *server) begin() error {
	s.running = true
	for _, l := range s.lanes {
		var err error
		if l.beat, err = newBeat(l.interval); err != nil {
			return err
		}
	}
	s.began = time.Now()
	for _, l := range s.lanes {
		for _, r := range l.readers {
			r.header.Anchor = s.began
		}
	}
	for _, l := range s.lanes {
		go l.run(s.began)
	}
	deadline := time.Now().Add(readTimeout)
	for _, l := range s.lanes {
		select {
		case <-l.first:
		case <-time.After(time.Until(deadline)):
			s.warn(l.readers[0].name, fmt.Sprintf("no first reading within %v: the source hangs", readTimeout))
		}
	}
	return nil
}

// end takes the last readings. A lane that hangs is given up.
func (s *server) end() {
	if s.over || !s.running || len(s.lanes) > 0 && s.lanes[len(s.lanes)-1].beat == nil {
		return
	}
	s.over = true
	s.ran = time.Since(s.began)
	for _, l := range s.lanes {
		l.end()
	}
	deadline := time.Now().Add(readTimeout)
	for _, l := range s.lanes {
		select {
		case <-l.done:
			l.closed = true
		case <-time.After(time.Until(deadline)):
			for _, r := range l.readers {
				missed := r.given(s.ran, l.interval).Missed
				s.warn(r.name, fmt.Sprintf("no last reading within %v: the source hangs, %d beats were missed", readTimeout, missed))
			}
		}
	}
}

// close releases what the lanes hold, but for those that hang.
func (s *server) close() {
	for _, l := range s.lanes {
		if s.running && !l.closed {
			continue
		}
		for _, r := range l.readers {
			_ = r.source.Close()
		}
		if l.beat != nil {
			l.beat.close()
		}
	}
}

// summary is what the runner is told at the end. Of a lane that hangs it is what was told before, since it may still write
// its figures.
func (s *server) summary() *Ended {
	e := &Ended{}
	for _, l := range s.lanes {
		for _, r := range l.readers {
			if !l.closed {
				e.Sources = append(e.Sources, r.given(s.ran, l.interval))
				continue
			}
			e.Sources = append(e.Sources, r.stats)
			if r.doubt != "" {
				s.warn(r.name, r.doubt)
			}
			for _, text := range r.unaligned {
				s.warn(r.name, text)
			}
			if r.lostList != nil {
				s.warn("processes", fmt.Sprintf("what is known of single processes is not complete: %v", r.lostList))
			}
			if r.lost != nil {
				s.warn(r.name, fmt.Sprintf("readings after %.1f s were lost: %v", r.lostAt.Seconds(), r.lost))
			}
		}
	}
	e.Warnings = slices.Clone(s.warnings)
	return e
}

func (s *server) warn(subject, text string) {
	s.warnings = append(s.warnings, datamodel.Warning{Subject: subject, Text: text})
}

// list describes the reader's sensors with a reading each. A source that hangs is left without one; its goroutine is
// given up, as the process ends soon.
func list(r *reader, interval time.Duration) []Listed {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if r.source.Read(r.row) == nil && slices.ContainsFunc(r.row, math.IsNaN) {
			time.Sleep(settle) // what is a difference needs two
			_ = r.source.Read(r.row)
		}
	}()
	read := false
	select {
	case <-done:
		read = true
	case <-time.After(readTimeout):
	}
	out := make([]Listed, len(r.list))
	for i, sensor := range r.list {
		out[i] = Listed{Sensor: sensor, Backend: r.name, Interval: interval}
		if read && !math.IsNaN(r.row[i]) {
			v := r.row[i]
			out[i].Reading = &v
		}
	}
	return out
}

// figures makes a Status from the last rows.
type figures struct {
	mu     sync.Mutex
	at     time.Time
	energy float64
}

func (f *figures) now(lanes []*lane) Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	var st Status
	var list []sensors.Sensor
	var values []float64
	for _, l := range lanes {
		for _, r := range l.readers {
			for i, sensor := range r.list {
				v := r.last(i)
				switch sensor.ID {
				case "cpu/utilization":
					st.CPU = known(v)
				case "target/memory":
					st.Memory = known(v)
				}
				list, values = append(list, sensor), append(values, v)
			}
		}
	}
	energy, now := 0.0, time.Now()
	cover, _ := datamodel.Cover(list)
	for _, i := range cover {
		energy += values[i]
	}
	if len(cover) > 0 && !f.at.IsZero() && energy >= f.energy {
		st.Power = known((energy - f.energy) / now.Sub(f.at).Seconds())
	}
	f.at, f.energy = now, energy
	return st
}

func known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
