package sampler

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// zeroed counts the seconds since it was opened, like a perf event.
type zeroed struct{ zero time.Time }

func (z *zeroed) Sensors() []sensors.Sensor {
	return []sensors.Sensor{{ID: "zeroed/time", Family: "zeroed", Name: "time", Unit: units.Second, Kind: sensors.Counter, Source: "a fake"}}
}

func (z *zeroed) Read(dst []float64) error {
	dst[0] = time.Since(z.zero).Seconds()
	return nil
}

func (z *zeroed) Close() error { return nil }

func (z *zeroed) HandOver() sensors.Handover {
	at, _ := toMonotonic(z.zero)
	return sensors.Handover{Numbers: []int64{at}}
}

func (z *zeroed) TakeOver(h sensors.Handover) (err error) {
	z.zero, err = fromMonotonic(h.Numbers[0])
	return err
}

// seam lists a counter that both processes read and a gauge that only the sampler reads.
func seam() []sensors.Backend {
	open := func(s sensors.Source) func(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
		return func(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) { return s, nil, nil }
	}
	return []sensors.Backend{
		{Name: "zeroed", First: sensors.AtStart, Open: func(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
			return &zeroed{time.Now()}, nil, nil
		}},
		{Name: "fake", First: sensors.AtBeat, Open: open(&counting{})},
	}
}

// TestTakeOver checks that nothing is lost when the sampler takes over from the runner. The counter keeps its zero, time goes
// on, and every beat was read or is counted as missed.
func TestTakeOver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("on this system the sampler takes the first readings itself")
	}
	for _, interval := range []time.Duration{time.Millisecond, 10 * time.Millisecond, time.Hour} {
		config := Config{Setup: sensors.Setup{Proc: "/proc", Sys: "/sys"}, Node: "here", Interval: interval}
		if NeedsSampler(config, seam()) {
			t.Fatal("the runner must not read")
		}
		dir := t.TempDir()
		subject := Subject{SpoolPath: dir}
		local := NewLocal(config, seam())
		local.Open()
		if _, err := local.Attach(Subject{}); err != nil {
			t.Fatal(err)
		}
		local.ReadFirst()
		if err := local.Beat(); err != nil {
			t.Fatal(err)
		}
		toChild, in := io.Pipe()
		out, fromChild := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- Serve(toChild, fromChild, seam()) }()
		orders, answers := json.NewEncoder(in), json.NewDecoder(out)
		order := func(r request, answered bool) (got reply) {
			t.Helper()
			err := orders.Encode(r)
			if err == nil && answered {
				err = answers.Decode(&got)
			}
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		order(request{Op: opConfig, Config: &config}, false)
		order(request{Op: opSubject, Subject: &subject}, true)
		time.Sleep(30 * time.Millisecond) // the runner reads
		if err := local.Pause(); err != nil {
			t.Fatal(err)
		}
		handed, err := local.HandOver()
		if err != nil {
			t.Fatal(err)
		}
		before := len(local.Rows()[0].At)
		order(request{Op: opBegin, Takeover: handed}, true)
		time.Sleep(30 * time.Millisecond) // the sampler reads
		ended := order(request{Op: opEnd}, true).Ended
		_ = in.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}

		at, values := spooled(t, filepath.Join(dir, "zeroed.arrows"))
		stats := ended.Sources[0]
		if int64(len(at)) != stats.Readings || len(at) < before+2 {
			t.Errorf("%v: %d rows, %d of them the runner's; %+v", interval, len(at), before, stats)
		}
		zero := values[0] - at[0].Seconds()
		for i := range at {
			if i > 0 && at[i] <= at[i-1] {
				t.Errorf("%v: row %d at %v comes after %v", interval, i, at[i], at[i-1])
			}
			// A reading is taken just after its time was noted, unless this process had to wait.
			if d := values[i] - at[i].Seconds() - zero; math.Abs(d) > 0.02 {
				t.Errorf("%v: row %d at %v is off by %v s", interval, i, at[i], d)
			}
		}
		// The first reading, the sampler's first and the last are not beats. The latter two may each count for one. The last
		// beat need not be due yet.
		due := at[len(at)-1].Seconds() / interval.Seconds()
		if got := float64(stats.Readings - 3 + stats.Missed); got > due+1 || got < due-3 {
			t.Errorf("%v: %v beats were read or missed, %v were due; %+v", interval, got, due, stats)
		}
		if gauge, _ := spooled(t, filepath.Join(dir, "fake.arrows")); len(gauge) < 2 || gauge[0] < at[before-1] {
			t.Errorf("%v: the gauge was read at %v, the runner's last at %v", interval, gauge, at[before-1])
		}
	}
}

// spooled reads a closed spool that has one sensor.
func spooled(t *testing.T, path string) (times []time.Duration, values []float64) {
	t.Helper()
	spool, err := store.OpenSpool(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = spool.Close() }()
	for {
		at, v, err := spool.Next()
		if errors.Is(err, io.EOF) && spool.Complete() {
			return times, values
		}
		if err != nil {
			t.Fatal(err)
		}
		times, values = append(times, at...), append(values, v...)
	}
}

// TestHanded checks that rows find their sensors by id, and that values of the wrong length are refused.
func TestHanded(t *testing.T) {
	list := []sensors.Sensor{{ID: "b"}, {ID: "new"}, {ID: "a"}}
	h := Handed{Sensors: []string{"a", "b"}, At: make([]time.Duration, 2)}
	for _, v := range []uint64{1, 2, 3, 4} {
		bits := math.Float64bits(float64(v))
		for i := range 8 {
			h.Values = append(h.Values, byte(bits>>(8*i)))
		}
	}
	got, err := h.rows(list)
	want := []float64{2, math.NaN(), 1, 4, math.NaN(), 3}
	for i := range want {
		if err != nil || len(got) != len(want) || got[i] != want[i] && !(math.IsNaN(got[i]) && math.IsNaN(want[i])) {
			t.Fatalf("%v, %v, want %v", got, err, want)
		}
	}
	h.Values = h.Values[1:]
	if _, err := h.rows(list); err == nil {
		t.Error("truncated rows are accepted")
	}
}

// TestNeedsSampler checks that only the sampler reads what may block.
func TestNeedsSampler(t *testing.T) {
	plain := Config{Setup: sensors.Setup{Proc: "/proc", Sys: "/sys"}}
	blocking := sensors.Backend{Name: "meter", There: func(sensors.Setup) error { return nil }}
	serves := sensors.Backend{Name: "meter", First: sensors.AtStart, MayBlock: func(sensors.Setup) bool { return true }}
	answers := sensors.Backend{Name: "meter", First: sensors.AtStart, MayBlock: func(sensors.Setup) bool { return false }}
	absent := sensors.Backend{Name: "meter", There: func(sensors.Setup) error { return sensors.ErrUnavailable }}
	for name, c := range map[string]struct {
		change func(*Config)
		add    []sensors.Backend
		want   bool
	}{
		"plain":        {nil, nil, runtime.GOOS != "linux"},
		"redirected":   {func(c *Config) { c.Setup.Sys = "/tmp" }, nil, true},
		"aligned":      {func(c *Config) { c.Align = true }, nil, true},
		"listed":       {func(c *Config) { c.List = true }, nil, true},
		"a meter":      {nil, []sensors.Backend{blocking}, true},
		"no meter":     {nil, []sensors.Backend{absent}, runtime.GOOS != "linux"},
		"may block":    {nil, []sensors.Backend{serves}, true},
		"never blocks": {nil, []sensors.Backend{answers}, runtime.GOOS != "linux"},
		"switched off": {func(c *Config) { c.Select = []string{"-meter"} }, []sensors.Backend{blocking}, runtime.GOOS != "linux"},
	} {
		config := plain
		if c.change != nil {
			c.change(&config)
		}
		if got := NeedsSampler(config, append(seam(), c.add...)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestOneHangCostsItself checks that a source that never opens costs no other source that also has a lane of its own.
func TestOneHangCostsItself(t *testing.T) {
	testenv.Long(t)
	gate := make(chan struct{})
	defer close(gate)
	open := func(wait bool) func(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
		return func(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
			if wait {
				<-gate
			}
			return &counting{}, nil, nil
		}
	}
	backends := []sensors.Backend{{Name: "hangs", Open: open(true), MayBlock: func(sensors.Setup) bool { return true }}}
	for i := range 20 {
		backends = append(backends, sensors.Backend{Name: string(rune('a' + i)), Alone: true, Open: open(false)})
	}
	e := NewEngine(Config{Setup: sensors.Setup{Proc: "/proc", Sys: "/sys"}, Node: "here", Interval: time.Second}, backends)
	e.Open()
	for _, o := range e.opened {
		if hangs := o.backend.Name == "hangs"; hangs == (o.source != nil) || hangs == o.alone || hangs != (len(o.absences) == 1) {
			t.Errorf("%s: source %v, alone %t, absent %+v", o.backend.Name, o.source, o.alone, o.absences)
		}
	}
}
