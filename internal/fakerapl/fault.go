package fakerapl

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is what goes wrong with a tree while it is driven, with all of its counters at once.
type Fault struct {
	Kind Fail
	// From and Until are times since the start of the drive. Of a fault that does not pass only From counts.
	From, Until time.Duration
}

// Fail is a kind of fault.
type Fail string

// The kinds of faults. The first three pass at Until; a counter has then what it would have had without.
const (
	// Failed readings give nothing: the file is empty.
	Failed Fail = "failed"
	// Junk is a text that is no number.
	Junk Fail = "junk"
	// Stuck counters stay as they are.
	Stuck Fail = "stuck"
	// Reset counters begin again from 0, as after a driver was loaded anew.
	Reset Fail = "reset"
	// Vanished counters are gone with their files; who has one open reads nothing.
	Vanished Fail = "vanished"
	// Locked counters may no longer be opened; who has one open reads on.
	Locked Fail = "locked"
)

// passing are the kinds that have an end.
func passing() []Fail { return []Fail{Failed, Junk, Stuck} }

// ParseFault reads "failed:400ms:600ms" and "reset:400ms".
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

// on says whether the fault is there at t.
func (f Fault) on(t time.Duration) bool {
	return t >= f.From && (t < f.Until || !slices.Contains(passing(), f.Kind))
}
