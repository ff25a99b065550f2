package idle

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// written makes a machine whose files hold the given counters, in a folder of the test.
func written(t *testing.T, stat, temperature string) Machine {
	t.Helper()
	dir := t.TempDir()
	zone := filepath.Join(dir, "class/thermal/thermal_zone0")
	if err := os.MkdirAll(zone, 0o755); err != nil {
		t.Fatal(err)
	}
	m := Machine{Proc: dir, Sys: dir, Window: time.Millisecond}
	m.write(t, "stat", stat)
	if temperature != "" {
		m.write(t, "class/thermal/thermal_zone0/temp", temperature)
	}
	return m
}

func (m Machine) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.Proc, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const still = "cpu  100 1 50 9000 10 2 3 4 0 0\ncpu0 1 2 3\n"

func TestMeasure(t *testing.T) {
	m := written(t, still, "45300\n")
	if got, err := m.Count(); err != nil || got.busy != 156 || got.stolen != 4 {
		t.Errorf("%+v, %v", got, err)
	}
	s, err := m.Measure(t.Context())
	if err != nil || s != (State{0, 0, 45.3}) {
		t.Errorf("%+v, %v", s, err)
	}
	m.write(t, "stat", "cpu no numbers\n")
	if _, err := m.Measure(t.Context()); err == nil || !strings.Contains(err.Error(), "not the counters of the processors") {
		t.Errorf("a file without counters: %v", err)
	}
	if got := written(t, still, "").temperature(); !math.IsNaN(got) {
		t.Errorf("without a thermal zone: %v", got)
	}
}

func TestLike(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		first, now State
		want       bool
	}{
		{State{0.5, 0, 50}, State{0.55, 0, 51}, true},
		{State{0.5, 0, 50}, State{0.7, 0, 51}, false},
		{State{0.5, 0, 50}, State{0.1, 0, 60}, false},
		{State{0.5, 0, nan}, State{0.1, 0, 60}, true},
		{State{0.5, 0, 50}, State{0.1, 0, nan}, true},
	} {
		if got := c.now.like(c.first); got != c.want {
			t.Errorf("%+v after %+v: %v", c.now, c.first, got)
		}
	}
}

// TestWait lets the machine be hot until its limit, cools it, and ends a wait from outside.
func TestWait(t *testing.T) {
	m := written(t, still, "70000")
	first := State{Temperature: 50}
	if calm, err := m.Wait(t.Context(), first, 0); calm || err != nil {
		t.Errorf("a hot machine: %v, %v", calm, err)
	}
	done := make(chan error)
	go func() {
		calm, err := m.Wait(context.Background(), first, time.Hour)
		if !calm && err == nil {
			err = errors.New("the limit of an hour was reached")
		}
		done <- err
	}()
	m.write(t, "class/thermal/thermal_zone0/temp", "51000")
	if err := <-done; err != nil {
		t.Error(err)
	}
	m.write(t, "class/thermal/thermal_zone0/temp", "70000")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := m.Wait(ctx, first, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that was ended: %v", err)
	}
}
