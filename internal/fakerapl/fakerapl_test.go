package fakerapl

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
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
	f("square:20:180:100ms", 0, 20, 0)
	f("square:20:180:100ms", 60*time.Millisecond, 180, 2.8)
	f("square:20:180:100ms", time.Second, 20, 100)
	f("square:20:180:100ms", 1075*time.Millisecond, 180, 105.5)
	for _, bad := range []string{
		"", "const", "const:", "const:-1", "const:NaN", "const:1e9", "ramp:1:2", "ramp:1:2:3", "ramp:1:2:-1s", "ramp:1:2:1s:4", "step:1",
	} {
		if c, err := ParseCurve(bad); err == nil || !strings.Contains(err.Error(), "curve") {
			t.Errorf("%q is parsed as %+v, %v", bad, c, err)
		}
	}
}

// FuzzCurve checks that the energy of a curve never falls, and that it grows as the power says.
func FuzzCurve(f *testing.F) {
	f.Add("ramp:50:200:2s", int64(time.Second))
	f.Add("const:100", int64(1))
	f.Add("square:20:180:130ms", int64(time.Second))
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

// TestDrive checks a whole run in bubble time: the counters pass the wrap point, end at the curve's energy, and go on
// from there in the next run.
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

// TestFaults checks that faults start and end at their times. Except for a reset, the counters end where the curve does.
func TestFaults(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not allow the file name intel-rapl:0")
	}
	f := func(m Machine, fault string, during, after string, want map[string]uint64) {
		t.Helper()
		dir := t.TempDir()
		if err := m.Create(dir); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(filepath.Join(dir, "class", "powercap", "intel-rapl:0", "energy_uj"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		reads := func(want string) {
			t.Helper()
			b := make([]byte, 32)
			n, _ := file.ReadAt(b, 0)
			if got := strings.TrimSpace(string(b[:n])); got != want {
				t.Errorf("%s: reads %q, want %q", fault, got, want)
			}
		}
		synctest.Test(t, func(t *testing.T) {
			done := make(chan error, 1)
			go func() { done <- Command(t.Context(), []string{"drive", dir, "const:100", "1s", fault}, nil) }()
			time.Sleep(500*time.Millisecond + tick/2) // bubble time: it passes at once
			reads(during)
			if err := <-done; err != nil {
				t.Errorf("%s: %v", fault, err)
			}
			reads(after)
		})
		if want == nil {
			return
		}
		got := counters(t, dir)
		for name, n := range want {
			if got[name] != n || len(got) != len(want) {
				t.Errorf("%s: counters %v, want %v", fault, got, want)
			}
		}
	}
	small := Machine{Range: 1000e6}
	f(small, "failed:400ms:600ms", "", "000000000000", map[string]uint64{"package-0": 0, "core": 65e6, "psys": 140e6})
	f(small, "junk:400ms:600ms", "<unknown>", "000000000000", nil)
	f(small, "stuck:400ms:600ms", "000939900000", "000000000000", nil)
	f(small, "stuck:400ms:2s", "000939900000", "000939900000", nil)
	f(small, "reset:400ms", "000010000000", "000060000000", map[string]uint64{"package-0": 60e6, "core": 36e6, "psys": 84e6})
	f(small, "vanished:400ms", "", "", nil)
	f(small, "locked:400ms", "000950000000", "000000000000", nil)
	dies := Machine{Range: 40e6, Dies: true}
	f(dies, "locked:0s", "000030000000", "000000000000", nil)
	f(dies, "stuck:1s:2s", "000030000000", "000039900000", nil)

	for _, bad := range []string{"", "failed", "failed:1s", "failed:1s:2s:3s", "reset:1s:2s", "reset:-1s", "burnt:1s", "junk:a:b"} {
		if f, err := ParseFault(bad); err == nil || !strings.Contains(err.Error(), "fault") {
			t.Errorf("%q is parsed as %+v, %v", bad, f, err)
		}
	}
}

// TestDriveTicks checks that the counters follow the curve during the drive.
func TestDriveTicks(t *testing.T) {
	dir := t.TempDir()
	if err := Create(dir); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- Command(t.Context(), []string{"serve", dir, "ramp:0:100:1s"}, in) }()
		time.Sleep(500*time.Millisecond + tick/2) // bubble time: it passes at once
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
	f("not a counter of fakerapl", "drive", dir, "const:1", "1s")
}
