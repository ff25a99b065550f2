package sampler

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/marks"
	"github.com/ergon-energy/ergon/sensors"
)

const (
	// markPause is the shortest time between two readings at marks. markShare is the part of a processor that these readings
	// may take.
	markPause = time.Millisecond
	markShare = 0.05
)

// listener receives the marks of the command, and has the counters read at each.
type listener struct {
	engine *Engine
	socket *marks.Socket
	marks.Receiver
	done   chan error
	hangs  bool             // a reading at a mark hangs: the listener was given up
	broken error            // why the socket could not be read
	outer  *marks.Forwarder // to the ergon around this one; nil if there is none
	missed int              // marks that the ergon around this one did not take

	reading atomic.Bool   // marks have the counters read
	turn    chan struct{} // has an element during a reading at a mark
	next    time.Duration // when a mark may have the counters read again

	mu     sync.Mutex       // guards what follows while the listener receives
	kept   []datamodel.Mark // the marks, in the runner
	spool  *store.MarkSpool // nil in the runner
	count  int              // of marks
	lost   int64            // marks beyond store.MostMarks, or that could not be written
	failed error            // why they could not be written
}

// listen receives marks of the command from the first reading on.
func (e *Engine) listen(socket *marks.Socket) {
	l := &listener{engine: e, socket: socket, turn: make(chan struct{}, 1)}
	l.Has, l.Take = e.belongs(), l.take
	if !e.local && e.subject.Spool != nil {
		l.spool = store.NewMarkSpool(e.subject.Spool, e.subject.Part)
	}
	e.listener = l
}

// start begins to receive. read says whether marks have the counters read. If the listener receives already, start does nothing.
func (l *listener) start(read bool) {
	if l == nil || l.done != nil {
		return
	}
	l.socket.Again()
	l.reading.Store(read)
	if path := l.engine.subject.Outer; path != "" {
		l.outer, _ = marks.Forward(path, l.engine.began) // the ergon around this one may have ended
	}
	done := make(chan error, 1)
	l.done = done
	go func() { done <- l.Receive(l.socket, l.engine.began) }()
}

// stop takes the marks that have arrived, and ends to receive. A second call does nothing. If a reading at a mark hangs, stop
// gives the listener up.
func (l *listener) stop() {
	if l == nil || l.done == nil || l.hangs {
		return
	}
	l.socket.Stop()
	broken, ok := received(l.done, time.Now().Add(readTimeout))
	if !ok {
		l.hangs = true
		return
	}
	l.broken, l.done = broken, nil
	l.missed += l.outer.Close()
	l.outer = nil
	if l.spool != nil {
		if err := l.spool.Close(); l.failed == nil {
			l.failed = err
		}
	}
}

// warnings tells which marks are missing. The listener has stopped.
func (l *listener) warnings() (list []datamodel.Warning) {
	if l == nil || l.done != nil && !l.hangs {
		return nil
	}
	w := func(format string, args ...any) {
		list = append(list, datamodel.Warning{Subject: "marks", Text: fmt.Sprintf(format, args...)})
	}
	if l.hangs {
		w("not all marks of the command were received: a reading at a mark hangs")
		return list // the rest is still written
	}
	if l.broken != nil {
		w("not all marks of the command were received: %v", l.broken)
	}
	if l.Bad > 0 {
		w("%d messages of the command to ergon were refused, the last because of %v", l.Bad, l.Fault)
	}
	if l.Foreign > 0 {
		w("%d marks of processes that do not belong to the command were refused", l.Foreign)
	}
	switch {
	case l.failed != nil:
		w("%d marks of the command were lost: %v", l.lost, l.failed)
	case l.lost > 0:
		w("%d marks of the command were left out: a run keeps %d", l.lost, store.MostMarks)
	}
	if l.missed > 0 {
		w("%d marks were not handed on: the ergon around this one did not take them", l.missed)
	}
	return list
}

// take keeps marks, hands them on, and has the counters read.
func (l *listener) take(list []datamodel.Mark) {
	l.keep(list)
	l.outer.Put(list)
	if slices.ContainsFunc(list, bounds) {
		l.read()
	}
}

// keep keeps marks in memory or in the spool.
func (l *listener) keep(list []datamodel.Mark) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count += len(list)
	switch {
	case l.count > store.MostMarks:
		l.lost += int64(len(list))
	case l.spool == nil:
		l.kept = append(l.kept, list...)
	default:
		l.put(list)
	}
}

// read has the counters read, unless that was done just now.
func (l *listener) read() {
	began := time.Since(l.engine.began)
	if began < l.next {
		return
	}
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if !l.reading.Load() {
		return
	}
	l.engine.readAtMark()
	took := time.Since(l.engine.began) - began
	l.next = began + max(markPause, time.Duration(float64(took)/markShare))
}

// write writes the marks that the runner has handed over.
func (l *listener) write(list []datamodel.Mark) {
	if l == nil || len(list) == 0 {
		return
	}
	l.count += len(list)
	l.put(list)
}

// put writes marks to the spool.
func (l *listener) put(list []datamodel.Mark) {
	if err := l.spool.Put(list); err != nil {
		l.lost, l.failed = l.lost+int64(len(list)), err
	}
}

// bounds reports whether a mark begins or ends a region.
func bounds(m datamodel.Mark) bool {
	return m.Kind == datamodel.BeginMark || m.Kind == datamodel.EndMark
}

// pause ends the readings at marks. Marks are still received. It reports whether no reading goes on: one may hang.
func (l *listener) pause(deadline time.Time) bool {
	if l == nil {
		return true
	}
	l.reading.Store(false)
	select {
	case l.turn <- struct{}{}:
		<-l.turn
		return true
	case <-time.After(time.Until(deadline)):
		return false
	}
}

// resume begins the readings at marks again.
func (l *listener) resume() {
	if l != nil {
		l.reading.Store(true)
	}
}

// Marks returns the marks that this engine has received and not written to the spool, in the order in which they came.
func (e *Engine) Marks() []datamodel.Mark {
	if e.listener == nil {
		return nil
	}
	e.listener.mu.Lock()
	defer e.listener.mu.Unlock()
	return slices.Clone(e.listener.kept)
}

// Deaf ends to receive marks, because another process does. It returns the warnings about those that came.
func (e *Engine) Deaf() []datamodel.Warning {
	e.listener.stop()
	return e.listener.warnings()
}

// readAtMark reads the energy counters and the counters of the command that answer at once.
func (e *Engine) readAtMark() {
	for _, l := range e.lanes {
		if l.shared {
			l.readAtMark(e.began)
		}
	}
}

// atMarks reports whether a source is read at marks: the energy counters, and the counters of the command.
func atMarks(list []sensors.Sensor) bool {
	return len(energyCounters(list)) > 0 || slices.ContainsFunc(list, func(s sensors.Sensor) bool { return s.Use == sensors.TargetCPU })
}
