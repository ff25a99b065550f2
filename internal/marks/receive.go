package marks

import (
	"errors"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
)

// ErrFull says that a mark was not sent, because the receiver does not take datagrams as fast.
var ErrFull = errors.New("the receiver is busy: the mark was not sent")

// Receiver takes marks from a Socket, and counts those that it does not take. Its fields are read after Receive has returned.
type Receiver struct {
	// Has tells whether a process belongs to the command; known is false if it cannot tell. Nil believes every sender.
	Has func(pid int) (member, known bool)
	// Take receives the marks, in the order in which they came.
	Take func(marks []datamodel.Mark)
	// Bad counts datagrams with a wrong line. Foreign counts those of processes that do not belong to the command.
	Bad, Foreign int64
	// Fault is what was wrong with the last bad datagram.
	Fault error
}

// datagram takes one datagram. began is the moment 0 of the run's clock, in ns of the monotonic clock.
func (r *Receiver) datagram(text []byte, from sender, now time.Duration, began int64) {
	m, err := parse(text)
	switch {
	case err != nil:
		r.Bad++
		r.Fault = err
		return
	case len(m.marks) == 0:
		return
	case from.pid > 0 && r.Has != nil:
		// A sender that has ended already, such as a command of a shell script, is believed: only the command knows the path.
		if member, known := r.Has(from.pid); known && !member {
			r.Foreign++
			return
		}
	}
	at := onClock(m.at, began, now)
	for i := range m.marks {
		m.marks[i].At = at
		if m.marks[i].PID == 0 {
			m.marks[i].PID = from.pid
		}
	}
	r.Take(m.marks)
}
