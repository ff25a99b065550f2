package backend

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// simulatedStat imitates /proc/stat of processors with a known load. At times the kernel counts an idle time twice and takes
// it back at the next reading.
type simulatedStat struct {
	user, idle []float64 // in ticks
	twice      []float64 // what idle has too much now
}

func (p *simulatedStat) text() string {
	var each strings.Builder
	var user, idle int
	for i := range p.user {
		u, d := int(p.user[i]), int(p.idle[i]+p.twice[i])
		user, idle = user+u, idle+d
		fmt.Fprintf(&each, "cpu%d %d 0 0 %d 0 0 0 0 0 0\n", i, u, d)
	}
	return fmt.Sprintf("cpu  %d 0 0 %d 0 0 0 0 0 0\n%sintr 1\n", user, idle, each.String())
}

// TestUtilizationAfterIdleStepsBack checks with random loads and steps back of 0.1 to 0.3 s that no utilization is above the truth by
// more than ticks explain.
func TestUtilizationAfterIdleStepsBack(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 29))
	steps, worst := 0, 0.0
	for range 200 {
		n := 1 + r.IntN(4)
		k := simulatedStat{make([]float64, n), make([]float64, n), make([]float64, n)}
		c := &cpuSource{modes: nModes, cpus: make([]processor, n+1)}
		for i := range n {
			c.slot = append(c.slot, i+1)
			k.user[i], k.idle[i] = float64(r.IntN(1e6)), 1000+float64(r.IntN(1e6))
		}
		dst := make([]float64, (n+1)*perCPU+1)
		var at time.Duration
		for beat := range 100 {
			dt := 100*time.Millisecond + time.Duration(r.IntN(1000))*time.Millisecond
			at += dt
			ticks := dt.Seconds() * userHZ
			truth := make([]float64, n+1)
			for i := range n {
				load := r.Float64() * r.Float64()
				k.user[i], k.idle[i] = k.user[i]+load*ticks, k.idle[i]+(1-load)*ticks
				truth[i+1], truth[0] = load, truth[0]+load/float64(n)
				if k.twice[i] > 0 {
					steps++
				}
				k.twice[i] = 0
				if beat > 0 && r.IntN(10) == 0 { // nothing shows that the first reading is too large
					k.twice[i] = float64(10 + r.IntN(20))
				}
			}
			c.parse([]byte(k.text()), at, dst)
			for i, want := range truth {
				got := dst[i*perCPU+nModes]
				if math.IsNaN(got) {
					if beat > 0 {
						t.Fatalf("no utilization of %d at beat %d", i, beat)
					}
					continue
				}
				above := got - want
				worst = max(worst, above)
				// Each of a processor's times is rounded to a tick at both ends.
				if above > 3/ticks {
					t.Fatalf("beat %d of %v: the utilization of %d is %.3f, want %.3f", beat, dt, i-1, got, want)
				}
			}
		}
	}
	t.Logf("%d steps back, at most %.3f above the truth", steps, worst)
	if steps < 1000 {
		t.Errorf("only %d steps back", steps)
	}
}

// TestIdleKeepsItsValue checks that the counter of idle does not step back by less than a second.
func TestIdleKeepsItsValue(t *testing.T) {
	c := &cpuSource{modes: nModes, slot: []int{1}, cpus: make([]processor, 2)}
	dst := make([]float64, 2*perCPU+1)
	for i, step := range []struct {
		idle int
		want float64
	}{{1000, 10}, {980, 10}, {990, 10}, {1005, 10.05}, {800, 8}} {
		c.parse(fmt.Appendf(nil, "cpu  0 0 0 %d 0 0 0 0\ncpu0 0 0 0 %d 0 0 0 0\n", step.idle, step.idle), time.Duration(i)*time.Second, dst)
		if got := dst[perCPU+idle]; got != step.want {
			t.Errorf("reading %d: idle is %v, want %v", i, got, step.want)
		}
	}
}
