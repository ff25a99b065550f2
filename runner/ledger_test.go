package runner

import (
	"math"
	"testing"
	"time"
)

// The launcher's CPU time is not part of the command's, in whichever mode the kernel counted it.
func TestSinceStart(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		user, system, before time.Duration
		wantUser, wantSystem float64
	}{
		{30 * ms, 10 * ms, 0, 0.03, 0.01},
		{30 * ms, 10 * ms, 4 * ms, 0.027, 0.009},
		{ms, 0, 100 * time.Microsecond, 0.0009, 0},
		{0, 0, ms, 0, 0},
		{ms, ms, 3 * ms, 0, 0},
	} {
		user, system := sinceStart(c.user, c.system, c.before)
		if math.Abs(*user-c.wantUser) > 1e-12 || math.Abs(*system-c.wantSystem) > 1e-12 {
			t.Errorf("%+v: %v, %v", c, *user, *system)
		}
	}
}
