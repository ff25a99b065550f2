package datamodel

import (
	"cmp"
	"slices"
	"time"
)

// Mark is what the command said about itself at a moment: that a part of its work begins or ends, what happened, how far it
// is, or a figure of its own.
type Mark struct {
	Kind MarkKind `json:"kind"`
	// Name is the name of the region, event or metric. It is empty for progress.
	Name string `json:"name,omitempty"`
	// At is the time of the mark on the run's clock, from the first reading on.
	At time.Duration `json:"at"`
	// PID is the process that the mark is about, and Thread the thread. 0 is unknown.
	PID    int `json:"pid,omitempty"`
	Thread int `json:"tid,omitempty"`
	// ID tells apart instances of one region that overlap in a thread. It is empty if the sender gave none.
	ID string `json:"id,omitempty"`
	// Rank is the rank of the sender among the processes of a parallel job. It is below 0 if the sender gave none.
	Rank int `json:"rank"`
	// Value is the value of a metric, or the part of the work that is done: 0.3. It is 0 for other marks.
	Value float64 `json:"value,omitempty"`
}

// OwnFamily is the family of the figures that the command told of.
const OwnFamily = "own"

// MarkKind is what a mark tells. The words are stored.
type MarkKind string

// The kinds of marks.
const (
	BeginMark    MarkKind = "begin"    // a region begins
	EndMark      MarkKind = "end"      // a region ends
	EventMark    MarkKind = "event"    // something happened
	ProgressMark MarkKind = "progress" // a part of the work is done
	MetricMark   MarkKind = "metric"   // the command tells a figure of its own
)

// SortMarks puts marks into the order of their times, and leaves out repetitions of the same mark.
func SortMarks(list []Mark) []Mark {
	slices.SortStableFunc(list, func(a, b Mark) int { return cmp.Compare(a.At, b.At) })
	out := list[:0]
	for _, m := range list {
		known := false
		for i := len(out) - 1; i >= 0 && out[i].At == m.At && !known; i-- {
			known = out[i] == m
		}
		if !known {
			out = append(out, m)
		}
	}
	return out
}
