package sampler

import (
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"time"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
)

// NeedsSampler reports whether only the sampler process can take the first readings. That is so if a source
// may block or if a root is redirected, because anything below such a root may block. It is also so if readings wait for edges
// or if all sensors are listed.
func NeedsSampler(config Config, backends []sensors.Backend) bool {
	if runtime.GOOS != "linux" || !config.shared() || config.Align || config.List {
		return true
	}
	choice, err := parseChoice(config.Select)
	if err != nil {
		return true // the sampler reports the error
	}
	for _, b := range backends {
		if b.First == sensors.AtStart && b.MayBlock != nil && !choice.excluded(b.Name) && b.MayBlock(config.Setup) {
			return true
		}
		if b.First == sensors.InSampler && !choice.excluded(b.Name) && (b.There == nil || b.There(config.Setup) == nil) {
			return true
		}
	}
	return false
}

// NewLocal makes the runner's engine. It opens and reads only sources that answer at once (sensors.AtStart), and keeps the
// readings in memory.
func NewLocal(config Config, backends []sensors.Backend) *Engine {
	config.Setup.InRunner = true
	return &Engine{config: config, backends: backends, local: true}
}

// Missing lists what could not be read in a round that the sampler did not join, in the order of the backends.
func (e *Engine) Missing() []sensors.Absence {
	var list []sensors.Absence
	for i := range e.opened {
		o := &e.opened[i]
		b := o.backend
		list = append(list, o.absences...)
		if b.First == sensors.AtStart || e.choice.excluded(b.Name) {
			continue
		}
		if o.unread.ID == "" { // in a session, the first round looks
			o.unread = b.Absent(sensors.TooShort, "the command ended before its first reading")
			if b.There != nil {
				if err := b.There(e.config.Setup); err != nil {
					o.unread = b.AbsenceOf(err)
				}
			}
		}
		list = append(list, o.unread)
	}
	return list
}

// ReadFirst takes the first readings.
func (e *Engine) ReadFirst() {
	e.clockFrom(time.Now())
	for _, l := range e.lanes {
		l.open(e.began)
	}
	e.listener.start(true)
}

// Soon returns when the reading soon after the first one is due, or 0 if there is none.
func (e *Engine) Soon() time.Duration {
	for _, l := range e.lanes {
		if l.isFine() {
			return soonAfter
		}
	}
	return 0
}

// ReadSoon takes the reading soon after the first one. The engine must be paused.
func (e *Engine) ReadSoon() {
	for _, l := range e.lanes {
		l.readSoon(e.began)
	}
}

// Beat starts to read at the beats, in parallel, until Pause.
func (e *Engine) Beat() error {
	if e.running {
		return nil
	}
	for _, l := range e.lanes {
		if err := l.start(e.began, 0); err != nil {
			return err
		}
	}
	e.running = true
	e.listener.start(true) // it has stopped if a sampler has taken over and died
	e.listener.resume()
	for _, l := range e.lanes {
		l.ending.Store(false)
		l.done, l.closed = make(chan struct{}), false
		go func() {
			defer close(l.done)
			l.loop(e.began)
		}()
	}
	return nil
}

// errHangs says that a source does not answer at once, as it should.
var errHangs = errors.New("a reading in the runner hangs")

// Pause stops reading at the beats. It returns after the reading in progress, or with an error if that hangs.
func (e *Engine) Pause() error {
	if !e.running {
		return nil
	}
	for _, l := range e.lanes {
		l.end()
	}
	deadline := time.Now().Add(readTimeout)
	if !e.listener.pause(deadline) {
		return errHangs
	}
	for _, l := range e.lanes {
		if l.closed {
			continue
		}
		select {
		case <-l.done:
			l.closed = true
			l.beat.close()
			l.beat = nil
		case <-time.After(time.Until(deadline)):
			return errHangs
		}
	}
	e.running = false
	return nil
}

// Hear receives the marks of the command again, because no sampler does. No counters are read at them. The engine must be
// paused.
func (e *Engine) Hear() {
	e.listener.start(false)
}

// ReadLast takes the last readings. The engine must be paused.
func (e *Engine) ReadLast() {
	e.Hear() // a sampler that has died may have left marks
	e.listener.stop()
	e.ran = time.Since(e.began)
	for _, l := range e.lanes {
		l.finish(e.began)
		l.closed = true
	}
}

// Detach ends a round. It closes the sources of the target and forgets all readings. The other sources stay open for the next
// Attach. The engine must be paused.
func (e *Engine) Detach() {
	for i := range e.opened {
		o := &e.opened[i]
		if o.backend.OfTarget && o.source != nil {
			_ = o.source.Close() // nothing was written
			o.source = nil
		}
	}
	*e = Engine{config: e.config, backends: e.backends, local: e.local, choice: e.choice, wrong: e.wrong, opened: e.opened}
}

// Clock returns the clock from which the readings count.
func (e *Engine) Clock() *Begun {
	monotonic, _ := toMonotonic(e.began) // 0 if the system does not tell it
	return &Begun{Monotonic: monotonic, Wall: e.wall}
}

// Again prepares the paused engine to read until another sampler joins, because the last one has died. written has the
// sources whose rows are in that sampler's spool: they are forgotten, and a row without values marks the gap. The beats
// until now count as the dead sampler's.
func (e *Engine) Again(written map[string]bool) {
	now := time.Since(e.began)
	for _, l := range e.lanes {
		l.beats = int64(now / l.interval)
		for _, r := range l.readers {
			if written[r.name] {
				r.kept = store.Rows{}
				r.kept.Append(now, nans(len(r.list)))
			}
		}
	}
}

// Began returns when the first reading was taken.
func (e *Engine) Began() time.Time { return e.began }

// Rows returns all readings of the sources.
func (e *Engine) Rows() []store.Rows {
	var all []store.Rows
	for _, l := range e.lanes {
		for _, r := range l.readers {
			if len(r.list) > 0 {
				r.kept.Header = r.header
				all = append(all, r.kept)
			}
		}
	}
	return all
}

// Processes calls yield for each process of the target that was seen. It returns the time of the last look at them.
func (e *Engine) Processes(yield func(sensors.Process)) (looked time.Time) {
	for _, l := range e.lanes {
		for _, r := range l.readers {
			if lister, ok := r.source.(sensors.ProcessLister); ok {
				looked = lister.Processes(yield)
			}
		}
	}
	return looked
}

// HandOver returns all readings and what the sampler needs to go on. The engine must be paused. It still owns the files.
func (e *Engine) HandOver() (*Takeover, error) {
	monotonic, err := toMonotonic(e.began)
	if err != nil {
		return nil, err
	}
	t := &Takeover{Monotonic: monotonic, Wall: e.wall, Marks: e.Marks()}
	for _, l := range e.lanes {
		for _, r := range l.readers {
			h := Handed{Name: r.name, At: r.kept.At, Beats: l.beats, Stats: r.stats, Gone: r.gone}
			for _, s := range r.list {
				h.Sensors = append(h.Sensors, s.ID)
			}
			h.Values = make([]byte, 0, 8*len(r.kept.Values))
			for _, v := range r.kept.Values {
				h.Values = binary.LittleEndian.AppendUint64(h.Values, math.Float64bits(v))
			}
			if c, ok := r.source.(sensors.Continuer); ok {
				given := c.HandOver()
				h.Numbers, h.files, h.Files = given.Numbers, given.Files, len(given.Files)
			}
			t.Sources = append(t.Sources, h)
		}
	}
	return t, nil
}
