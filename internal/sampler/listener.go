package sampler

import (
	"fmt"
	"slices"
	"sync"
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
	done chan error

	mu      sync.Mutex
	reading bool             // marks have the counters read
	kept    []datamodel.Mark // the marks, in the runner
	spool   *store.MarkSpool // nil in the runner
	count   int              // of marks
	lost    int64            // marks beyond store.MostMarks, or that could not be written
	failed  error            // why they could not be written
	broken  error            // why the socket could not be read
	next    time.Duration    // when a mark may have the counters read again
}

// listen receives marks of the command from the first reading on.
func (e *Engine) listen(socket *marks.Socket) {
	l := &listener{engine: e, socket: socket}
	l.Has, l.Take = e.belongs(), l.take
	if !e.local && e.subject.Spool != nil {
		l.spool = store.NewMarkSpool(e.subject.Spool, e.subject.Part)
	}
	e.listener = l
}

// start begins to receive, and to read at marks.
func (l *listener) start() {
	if l == nil || l.done != nil {
		return
	}
	l.done = make(chan error, 1)
	l.socket.Again()
	l.resume()
	go func() { l.done <- l.Receive(l.socket, l.engine.began) }()
}

// stop takes the marks that have arrived, and ends to receive. A second call does nothing.
func (l *listener) stop() {
	if l == nil || l.done == nil {
		return
	}
	l.socket.Stop()
	l.broken = <-l.done
	l.done = nil
	if l.spool != nil {
		if err := l.spool.Close(); l.failed == nil {
			l.failed = err
		}
	}
}

// warnings tells which marks are missing. The listener has stopped.
func (l *listener) warnings() (list []datamodel.Warning) {
	if l == nil || l.done != nil {
		return nil
	}
	w := func(format string, args ...any) {
		list = append(list, datamodel.Warning{Subject: "marks", Text: fmt.Sprintf(format, args...)})
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
	return list
}

// take keeps marks, and has the counters read.
func (l *listener) take(list []datamodel.Mark, _ []byte) {
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
	if !l.reading || !slices.ContainsFunc(list, bounds) {
		return
	}
	began := time.Since(l.engine.began)
	if began < l.next {
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

// pause ends the readings at marks. Marks are still received.
func (l *listener) pause() {
	if l != nil {
		l.mu.Lock()
		l.reading = false
		l.mu.Unlock()
	}
}

// resume begins the readings at marks again.
func (l *listener) resume() {
	if l != nil {
		l.mu.Lock()
		l.reading = true
		l.mu.Unlock()
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
