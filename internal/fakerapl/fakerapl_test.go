package fakerapl

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-energy/ergon/units"
)

func TestCurve(t *testing.T) {
	f := func(text string, at time.Duration, power units.Power, energy units.Energy) {
		t.Helper()
		c, err := ParseCurve(text)
		if err != nil {
			t.Fatal(err)
		}
		if p, e := c.Power(at), c.Energy(at); math.Abs(float64(p-power)) > 1e-9 || math.Abs(float64(e-energy)) > 1e-9 {
			t.Errorf("%s after %v: %v W, %v J; want %v and %v", text, at, p, e, power, energy)
		}
	}
	f("const:100", 0, 100, 0)
	f("const:42.5", 3*time.Second, 42.5, 127.5)
	f("ramp:50:200:2s", 0, 50, 0)
	f("ramp:50:200:2s", time.Second, 125, 87.5)
	f("ramp:50:200:2s", 2*time.Second, 200, 250)
	f("ramp:50:200:2s", 3*time.Second, 200, 450)
	f("ramp:200:0:500ms", 250*time.Millisecond, 100, 37.5)
	for _, bad := range []string{
		"", "const", "const:", "const:-1", "const:NaN", "const:1e9", "ramp:1:2", "ramp:1:2:3", "ramp:1:2:-1s", "ramp:1:2:1s:4", "step:1",
	} {
		if c, err := ParseCurve(bad); err == nil || !strings.Contains(err.Error(), "curve") {
			t.Errorf("%q is taken for %+v, %v", bad, c, err)
		}
	}
}

// The energy of a curve never falls, and is the integral of its power.
func FuzzCurve(f *testing.F) {
	f.Add("ramp:50:200:2s", int64(time.Second))
	f.Add("const:100", int64(1))
	f.Fuzz(func(t *testing.T, text string, at int64) {
		c, err := ParseCurve(text)
		if err != nil || at < 0 || at > int64(time.Hour) || c.Rise > 100*time.Hour {
			return
		}
		d := time.Duration(at)
		before, after := c.Energy(d), c.Energy(d+time.Second)
		if before < 0 || after < before {
			t.Fatalf("%s: %v J at %v, %v J a second later", text, before, d, after)
		}
		low, high := min(c.From, c.To), max(c.From, c.To)
		if spent := after - before; spent < low.Times(time.Second)*(1-1e-6)-1e-3 || spent > high.Times(time.Second)*(1+1e-6)+1e-3 {
			t.Fatalf("%s: %v J in a second at %v to %v W", text, spent, low, high)
		}
	})
}

// counters reads the tree as a reader of powercap does, through the links of the class.
func counters(t *testing.T, dir string) map[string]uint64 {
	t.Helper()
	links, err := filepath.Glob(filepath.Join(dir, "class", "powercap", "*:*"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]uint64{}
	for _, link := range links {
		name, err := os.ReadFile(filepath.Join(link, "name"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(link, "energy_uj"))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		if err != nil || len(text) != width+1 {
			t.Fatalf("%s: %q, %v", link, text, err)
		}
		all[strings.TrimSpace(string(name))] = n
	}
	return all
}

// A whole run in bubble time: the counters pass the wrap point, stand at the curve's energy at the end, and go on from
// there in the next run.
func TestDrive(t *testing.T) {
	dir := t.TempDir()
	if err := Create(dir); err != nil {
		t.Fatal(err)
	}
	want := func(packages, core, psys uint64) {
		t.Helper()
		got := counters(t, dir)
		if len(got) != 3 || got["package-0"] != packages || got["core"] != core || got["psys"] != psys {
			t.Errorf("counters %v, want %d, %d, %d", got, packages, core, psys)
		}
	}
	want(Range-100e6, 5e6, 0)
	synctest.Test(t, func(t *testing.T) {
		if err := Command(t.Context(), []string{"drive", dir, "ramp:50:200:2s", "2s"}, nil); err != nil {
			t.Fatal(err)
		}
		want(150e6, 155e6, 350e6)

		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		err := Command(ctx, []string{"drive", dir, "const:100", "2s"}, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cut short: %v", err)
		}
		want(250e6, 215e6, 490e6)
	})
}

// In between, the counters stand where the curve is.
func TestDriveTicks(t *testing.T) {
	dir := t.TempDir()
	if err := Create(dir); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- Command(t.Context(), []string{"serve", dir, "ramp:0:100:1s"}, in) }()
		time.Sleep(500*time.Millisecond + tick/2) // bubble time: nothing waits.
		if got, want := counters(t, dir)["psys"], uint64(1.4*12.5e6); got != want {
			t.Errorf("psys stands at %d after half the ramp, want %d", got, want)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

func TestCommandRefuses(t *testing.T) {
	dir := t.TempDir()
	f := func(want string, args ...string) {
		t.Helper()
		if err := Command(t.Context(), args, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
	f("usage")
	f("usage", "drive", dir)
	f("energy_uj", "drive", dir, "const:1", "1s")
	if err := Create(dir); err != nil {
		t.Fatal(err)
	}
	f("curve", "drive", dir, "1", "1s")
	f("duration", "drive", dir, "const:1", "1")
	path := filepath.Join(dir, "class", "powercap", "intel-rapl:0", "energy_uj")
	if err := os.WriteFile(path, []byte("7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f("none of our counters", "drive", dir, "const:1", "1s")
}
