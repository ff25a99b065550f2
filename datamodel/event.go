package datamodel

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/units"
)

// Event is what happened at a moment of a run.
type Event struct {
	Time time.Time
	// Elapsed is the time on the run's clock.
	Elapsed time.Duration
	Kind    EventKind
	// Name is the name that the command gave. It is empty for progress.
	Name string
	// Level is how bad it is, from 0 on. It is below 0 if it has none.
	Level int
	// Value is NaN if there is none. Unit is its unit.
	Value float64
	Unit  units.Unit
	Text  string
	// PID is the process that told of it; 0 is unknown. Rank is its rank in a parallel job, below 0 if it gave none.
	PID, Rank int
}

// EventKind is what an event is. The words are stored.
type EventKind string

// The kinds of events.
const (
	// ToldEvent is something that the command told of.
	ToldEvent EventKind = "event"
	// ProgressEvent is how much of the work is done. Its value is the part, from 0 to 1.
	ProgressEvent EventKind = "progress"
)

// EventsOf returns the events among marks. anchor is the wall-clock time of moment 0 of the run's clock.
func EventsOf(marks []Mark, anchor time.Time) (list []Event) {
	for _, m := range marks {
		e := Event{Time: anchor.Add(m.At).UTC(), Elapsed: m.At, Name: m.Name, Level: -1, Value: math.NaN(), PID: m.PID, Rank: m.Rank}
		switch m.Kind {
		case EventMark:
			e.Kind = ToldEvent
		case ProgressMark:
			e.Kind, e.Value, e.Unit = ProgressEvent, m.Value, units.Ratio
		case BeginMark, EndMark, MetricMark:
			continue
		}
		list = append(list, e)
	}
	return list
}
