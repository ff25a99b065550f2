package sampler

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// ticking has counters that move at fixed times, each with its own period. A counter with the period 0 never moves.
type ticking struct {
	began   time.Time
	periods []time.Duration
	moved   []time.Duration // when each counter had last moved at the last reading
}

func (s *ticking) Sensors() []sensors.Sensor {
	list := make([]sensors.Sensor, len(s.periods))
	for i, p := range s.periods {
		list[i] = sensors.Sensor{
			ID: "test/" + string(rune('a'+i)), Family: "test", Name: "energy", Unit: units.Joule, Kind: sensors.Counter, Update: p,
		}
	}
	list[len(list)-1].Kind = sensors.Gauge
	return list
}

func (s *ticking) Read(dst []float64) error {
	now := time.Since(s.began)
	for i, p := range s.periods {
		dst[i] = 7
		if p > 0 {
			s.moved[i] = now.Truncate(p)
			dst[i] = 1 + s.moved[i].Seconds()
		}
	}
	return nil
}

func (s *ticking) Close() error { return nil }

func aligning(periods ...time.Duration) (*reader, *ticking) {
	s := &ticking{began: time.Now(), periods: append(periods, 1), moved: make([]time.Duration, len(periods)+1)}
	r := &reader{name: "test", source: s, list: s.Sensors()}
	r.row = make([]float64, len(r.list))
	r.edges = energyCounters(r.list)
	return r, s
}

// TestAlign checks that a counter's value in the row is never older than its edge says, and that align does not wait for the
// gauge.
func TestAlign(t *testing.T) {
	machine := testenv.Begin(t)
	r, s := aligning(time.Millisecond, 3*time.Millisecond)
	if !slices.Equal(r.edges, []int{0, 1}) || !r.aligned() {
		t.Fatalf("edges %v", r.edges)
	}
	for _, last := range []bool{false, true} {
		r.align(s.began, last)
		for i, e := range r.stats.Edges {
			said := e.First
			if last {
				said = e.Last
			}
			if said == nil {
				machine.Errorf("no edge of %s was seen", e.Sensor)
				continue
			}
			if e.Sensor != r.list[i].ID {
				t.Errorf("edge of %s", e.Sensor)
			}
			if age := (r.at - s.moved[i]).Seconds(); age > *said || *said <= 0 {
				t.Errorf("%s: its value is %v s old, but the edge says %v s", e.Sensor, age, *said)
			}
		}
	}
	if r.stats.Readings != 2 || len(r.unaligned) != 0 {
		t.Errorf("%+v, %v", r.stats, r.unaligned)
	}
}

// The wait for a counter that does not move has a limit. Then the warning names the counter.
func TestAlignStuck(t *testing.T) {
	r, s := aligning(time.Millisecond, 0)
	if d := r.edgeLimit(); d != mostEdge {
		t.Errorf("%v if the period is unknown", d)
	}
	r.list[1].Update = 4 * time.Millisecond
	if d := r.edgeLimit(); d != 20*time.Millisecond {
		t.Errorf("%v", d)
	}
	r.align(s.began, true)
	if e := r.stats.Edges; e[1].First != nil || e[1].Last != nil || e[0].Last == nil {
		t.Errorf("%+v", e)
	}
	if len(r.unaligned) != 1 || !strings.Contains(r.unaligned[0], "within 20 ms at the end: test/b") || r.at < 20*time.Millisecond {
		t.Errorf("%v at %v", r.unaligned, r.at)
	}
	r.gone = true
	r.align(s.began, true)
	if r.stats.Readings != 1 {
		t.Errorf("a source that has gone is read")
	}
}
