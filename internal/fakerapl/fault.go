package fakerapl

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is something that goes wrong with all counters of a tree at once while the tree is driven.
type Fault struct {
	Kind Fail
	// From and Until are times since the start of the drive. A fault that does not pass has no Until.
	From, Until time.Duration
}

// Fail is a kind of fault.
type Fail string

// The kinds of faults. The first three pass at Until: the counters then have the values that they would have had
// without the fault.
const (
	// Failed readings return nothing: the file is empty.
	Failed Fail = "failed"
	// Junk is a text that is not a number.
	Junk Fail = "junk"
	// Stuck counters keep their values.
	Stuck Fail = "stuck"
	// Reset counters start again from 0, as after the driver was reloaded.
	Reset Fail = "reset"
	// Vanished counters are removed with their files. A reader that has a file open reads nothing.
	Vanished Fail = "vanished"
	// Locked counters may no longer be opened. A reader that has a file open reads on.
	Locked Fail = "locked"
)

// passing lists the kinds that have an end.
func passing() []Fail { return []Fail{Failed, Junk, Stuck} }

// ParseFault parses a fault such as "failed:400ms:600ms" or "reset:400ms".
func ParseFault(text string) (Fault, error) {
	fail := func() (Fault, error) {
		return Fault{}, fmt.Errorf("fault %q: want failed, junk or stuck:FROM:UNTIL, or reset, vanished or locked:FROM", text)
	}
	parts := strings.Split(text, ":")
	f := Fault{Kind: Fail(parts[0])}
	times := []*time.Duration{&f.From}
	switch {
	case slices.Contains(passing(), f.Kind):
		times = append(times, &f.Until)
	case !slices.Contains([]Fail{Reset, Vanished, Locked}, f.Kind):
		return fail()
	}
	if len(parts) != 1+len(times) {
		return fail()
	}
	for i, to := range times {
		d, err := time.ParseDuration(parts[i+1])
		if err != nil || d < 0 {
			return fail()
		}
		*to = d
	}
	return f, nil
}

// on tells whether the fault is active at t.
func (f Fault) on(t time.Duration) bool {
	return t >= f.From && (t < f.Until || !slices.Contains(passing(), f.Kind))
}
