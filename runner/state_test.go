package runner

import "testing"

// TestSteps holds the whole matrix: each of the 25 steps is taken or refused.
func TestSteps(t *testing.T) {
	allowed := map[[2]State]bool{
		{Setup, Ready}: true, {Setup, Closed}: true,
		{Ready, Running}: true, {Ready, Closed}: true,
		{Running, Processing}: true, {Running, Closed}: true,
		{Processing, Ready}: true, {Processing, Closed}: true,
	}
	for from := Setup; from <= Closed; from++ {
		for to := Setup; to <= Closed; to++ {
			var seen [][2]State
			m := machine{state: from, observe: func(from, to State) { seen = append(seen, [2]State{from, to}) }}
			took := func() (ok bool) {
				defer func() { ok = recover() == nil }()
				m.become(to)
				return true
			}()
			if want := allowed[[2]State{from, to}]; took != want {
				t.Errorf("%v to %v: taken %v, want %v", from, to, took, want)
			}
			if took && (m.state != to || len(seen) != 1 || seen[0] != [2]State{from, to}) {
				t.Errorf("%v to %v: state %v, observer saw %v", from, to, m.state, seen)
			}
			if !took && (m.state != from || seen != nil) {
				t.Errorf("%v to %v was refused, but state is %v and the observer saw %v", from, to, m.state, seen)
			}
		}
	}
}

func TestStateString(t *testing.T) {
	for s, want := range map[State]string{
		Setup: "setup", Ready: "ready", Running: "running", Processing: "processing", Closed: "closed", 9: "state(9)",
	} {
		if s.String() != want {
			t.Errorf("State(%d) is %q, want %q", uint8(s), s, want)
		}
	}
}
