package runner

import "testing"

// TestSteps checks all 25 steps: each is taken or refused.
func TestSteps(t *testing.T) {
	allowed := map[[2]State]bool{
		{Setup, Ready}: true, {Setup, Closed}: true,
		{Ready, Running}: true, {Ready, Closed}: true,
		{Running, Processing}: true, {Running, Closed}: true,
		{Processing, Ready}: true, {Processing, Closed}: true,
	}
	for from := Setup; from <= Closed; from++ {
		for to := Setup; to <= Closed; to++ {
			m := machine{state: from}
			took := func() (ok bool) {
				defer func() { ok = recover() == nil }()
				m.become(to)
				return true
			}()
			if want := allowed[[2]State{from, to}]; took != want {
				t.Errorf("%v to %v: taken %v, want %v", from, to, took, want)
			}
			if want := map[bool]State{true: to, false: from}[took]; m.state != want {
				t.Errorf("%v to %v: state %v, want %v", from, to, m.state, want)
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
