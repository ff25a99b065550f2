package runner_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// behaviour is the environment variable that tells the re-executed test binary how to behave as a sampler.
const behaviour = "ERGON_TEST_SAMPLER"

// TestMain lets this test binary run as the sampler process, good or bad, and as the runner that a test kills.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "sample" {
		os.Exit(badSampler())
	}
	if len(os.Args) == 3 && os.Args[1] == "runner" {
		os.Exit(killable(os.Args[2]))
	}
	if len(os.Args) == 4 && os.Args[1] == "attack" {
		os.Exit(attack(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

// badSampler behaves as the environment says.
func badSampler() int {
	switch os.Getenv(behaviour) {
	case "dies at once":
		return 3
	case "hangs at once":
		select {}
	case "talks nonsense":
		_, _ = os.Stdout.WriteString("hello\n")
		select {}
	}
	if err := sampler.Serve(os.Stdin, os.Stdout, append(append(fakes(), joinable()...), poison())); err != nil {
		return 1
	}
	return 0
}

// fakes are sources that only the sampler reads.
func fakes() []sensors.Backend {
	return []sensors.Backend{ramp("steady", nil), ramp("hanging", os.Getenv), failing(), vanishing(), stepping(), holding()}
}

// source is a fake source. It replaces missing hardware.
type source struct {
	list []sensors.Sensor
	read func([]float64) error
}

func (s *source) Sensors() []sensors.Sensor { return s.list }
func (s *source) Read(dst []float64) error  { return s.read(dst) }
func (s *source) Close() error              { return nil }

// ramp counts one joule a reading. If env says so, it hangs: "hangs at first" in its first reading, "hangs later" in its third.
func ramp(name string, env func(string) string) sensors.Backend {
	return sensors.Backend{
		Name: name, Doc: "a fake", Alone: true,
		Open: func(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
			if env != nil && env(behaviour) == "hangs in open" {
				select {}
			}
			n := 0.0
			return &source{
				list: []sensors.Sensor{{
					ID: name + "/ticks", Family: name, Name: "ticks", Unit: units.Operations, Kind: sensors.Counter, Source: "a fake",
				}},
				read: func(dst []float64) error {
					n++
					if env != nil && (env(behaviour) == "hangs at first" || env(behaviour) == "hangs later" && n == 3) {
						select {}
					}
					dst[0] = n
					return nil
				},
			}, nil, nil
		},
	}
}

// failing has no reading after its first.
func failing() sensors.Backend {
	return sensors.Backend{
		Name: "failing", Doc: "a fake",
		Open: func(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
			n := 0
			return &source{
				list: []sensors.Sensor{{ID: "failing/level", Family: "failing", Name: "level", Unit: units.Byte, Source: "a fake"}},
				read: func(dst []float64) error {
					if n++; n > 1 {
						return errors.New("read: input/output error")
					}
					dst[0] = 7
					return nil
				},
			}, nil, nil
		},
	}
}

// vanishing has two readings and is then gone.
func vanishing() sensors.Backend {
	return sensors.Backend{
		Name: "vanishing", Doc: "a fake",
		Open: func(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
			n := 0
			return &source{
				list: []sensors.Sensor{{ID: "vanishing/level", Family: "vanishing", Name: "level", Unit: units.Byte, Source: "a fake"}},
				read: func(dst []float64) error {
					if n++; n > 2 {
						return sensors.ErrGone
					}
					dst[0] = 7
					return nil
				},
			}, nil, nil
		},
	}
}

// stepping is a wall clock that is set forward by an hour after the first reading, if the environment says so.
func stepping() sensors.Backend {
	return sensors.Backend{
		Name: "profiler", Doc: "a fake",
		Open: func(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
			if os.Getenv(behaviour) != "sets the clock" {
				return nil, nil, &sensors.UnavailableError{Cause: sensors.Unsupported, Reason: "nobody sets the clock"}
			}
			now := 0.0
			return &source{
				list: []sensors.Sensor{{
					ID: "profiler/clock_offset", Use: sensors.ClockOffset, Family: "profiler", Name: "clock_offset", Unit: units.Second, Source: "a fake",
				}},
				read: func(dst []float64) error {
					dst[0], now = now, 3600
					return nil
				},
			}, nil, nil
		},
	}
}

// holding reports that the target has 12 MiB of memory.
func holding() sensors.Backend {
	return sensors.Backend{
		Name: "holding", Doc: "a fake",
		Open: func(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
			return &source{
				list: []sensors.Sensor{{ID: "target/memory", Use: sensors.TargetMemory, Family: "target", Name: "memory", Unit: units.Byte, Source: "a fake"}},
				read: func(dst []float64) error {
					dst[0] = 12 << 20
					return nil
				},
			}, nil, nil
		},
	}
}

// TestStatus checks that the figures during a run are those that the sampler has written by then. The target runs until they
// are shown.
func TestStatus(t *testing.T) {
	shown := filepath.Join(t.TempDir(), "shown")
	var last datamodel.Now
	rep, err := measure(t, "", "until [ -e "+shown+" ]; do sleep 0.05; done", func(r *runner.Options) {
		r.Results = ""
		r.Timeout = time.Minute
		r.OnStatus = func(_ time.Duration, now datamodel.Now) {
			last = now
			if !math.IsNaN(now.Memory) {
				_ = os.WriteFile(shown, nil, 0o600)
			}
		}
	})
	if err != nil || rep.Run.Outcome != datamodel.Done {
		t.Fatal(rep.Run.Outcome, err)
	}
	if last.Memory != 12<<20 || !math.IsNaN(last.Power) {
		t.Errorf("%+v", last)
	}
}

// TestClockStep checks that a step of the wall clock is reported and changes no time.
func TestClockStep(t *testing.T) {
	rep, err := measure(t, "sets the clock", "true", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(rep.Run.Warnings, func(w datamodel.Warning) bool {
		return w.Subject == "clock" && strings.Contains(w.Text, "set forward by 1 h")
	}) {
		t.Errorf("%+v", rep.Run.Warnings)
	}
	if rep.Run.WallTime == nil || *rep.Run.WallTime > 60 {
		t.Errorf("wall time %v", rep.Run.WallTime)
	}
}

// measure runs a shell command with a sampler that behaves as how says.
func measure(t *testing.T, how, script string, change func(*runner.Options)) (runner.Report, error) {
	t.Helper()
	t.Setenv(behaviour, how)
	o := runner.Options{
		Project: "p", Results: filepath.Join(t.TempDir(), "results"), Launcher: launch.Direct{}, Backends: fakes(),
		Sampler: func() (*sampler.Client, error) {
			self, err := os.Executable()
			if err != nil {
				return nil, err
			}
			c, err := sampler.Spawn(self, os.Stderr)
			if err == nil {
				c.Limits = sampler.Limits{Ready: 20 * time.Second, Answer: 20 * time.Second, Close: time.Second}
				if strings.HasPrefix(how, "hangs at once") || how == "talks nonsense" {
					c.Limits = sampler.Limits{Ready: 200 * time.Millisecond, Answer: 200 * time.Millisecond, Close: 100 * time.Millisecond}
				}
			}
			return c, err
		},
		Config: sampler.Config{Setup: sensors.Setup{Proc: "/proc", Sys: "/sys"}, Interval: 10 * time.Millisecond},
	}
	if change != nil {
		change(&o)
	}
	return runner.Run(t.Context(), o, []string{"sh", "-c", script})
}

// sensor returns the metric of a sensor. A missing sensor ends the test.
func sensor(t *testing.T, rep runner.Report, id string) datamodel.Metric {
	t.Helper()
	found := leaf(rep.Tree, id)
	if found == nil {
		t.Fatalf("no sensor %s in the tree", id)
	}
	return found.Metric(found.Sensor.Name)
}

// leaf returns the node of a sensor, or nil if there is none.
func leaf(n *datamodel.Node, id string) *datamodel.Node {
	if n.Sensor != nil && n.Sensor.ID == id {
		return n
	}
	for _, c := range n.Children {
		if found := leaf(c, id); found != nil {
			return found
		}
	}
	return nil
}

func TestRun(t *testing.T) {
	rep, err := measure(t, "", "sleep 0.1; exit 3", nil)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Run.Outcome != datamodel.TargetFailed || rep.State.ExitCode != 3 {
		t.Errorf("outcome %s, exit code %d", rep.Run.Outcome, rep.State.ExitCode)
	}
	if m := sensor(t, rep, "steady/ticks"); m.Value < 2 || m.Count < 3 {
		t.Errorf("steady/ticks: %v in %d readings", m.Value, m.Count)
	}
	if m := sensor(t, rep, "failing/level"); m.Gaps == 0 || m.Value == 0 {
		t.Errorf("failing/level: %v with %d gaps, want one reading and gaps", m.Value, m.Gaps)
	}
	stored, err := store.Load(rep.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if stored.Run.Outcome != rep.Run.Outcome || *stored.Run.ExitCode != 3 {
		t.Errorf("stored: %s %v", stored.Run.Outcome, stored.Run.ExitCode)
	}
	if _, err := os.Stat(filepath.Join(rep.Dir, store.SpoolFolder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("spool: %v, want it removed", err)
	}
	if _, err := runner.Recover(rep.Dir, false); err == nil || !strings.Contains(err.Error(), "nothing to recover") {
		t.Errorf("recover a finished run: %v", err)
	}
}

// TestBadSampler checks that a bad sampler does not harm the target, does not hang the run, and does not lose what the runner
// knows itself.
func TestBadSampler(t *testing.T) {
	for _, how := range []string{"dies at once", "hangs at once", "talks nonsense"} {
		t.Run(how, func(t *testing.T) {
			rep, err := measure(t, how, "sleep 0.05; exit 4", nil)
			if err != nil {
				t.Fatal(err)
			}
			if rep.Run.Outcome != datamodel.SamplerFailed || rep.Run.Reason == "" || rep.State.ExitCode != 4 {
				t.Errorf("outcome %s (%s), exit code %d", rep.Run.Outcome, rep.Run.Reason, rep.State.ExitCode)
			}
			if w := rep.Tree.First(datamodel.RunLevel).Metric("wall_time"); !(w.Value >= 0.05 && w.Value < 5) {
				t.Errorf("wall time %v", w.Value)
			}
			if m := rep.Tree.First(datamodel.RunLevel).Metric("energy"); !math.IsNaN(m.Value) || m.Reason == "" {
				t.Errorf("energy %v, reason %q; want none, with a reason", m.Value, m.Reason)
			}
		})
	}
	t.Run("of the baseline", func(t *testing.T) {
		for _, how := range []string{"dies at once", "hangs at once", "talks nonsense"} {
			rep, err := measure(t, how, "exit 6", func(r *runner.Options) {
				r.Baseline = runner.Baseline{Duration: runner.MinBaseline, Sampler: r.Sampler}
				r.Sampler = func() (*sampler.Client, error) {
					t.Setenv(behaviour, "")
					self, err := os.Executable()
					if err != nil {
						return nil, err
					}
					c, err := sampler.Spawn(self, os.Stderr)
					t.Setenv(behaviour, how)
					return c, err
				}
			})
			if err != nil || rep.State.ExitCode != 6 || rep.Run.Outcome != datamodel.TargetFailed {
				t.Errorf("%s: %v, outcome %s, exit code %d", how, err, rep.Run.Outcome, rep.State.ExitCode)
			}
			if b := rep.Run.Baseline; b == nil || !strings.Contains(b.Reason, "the sampler") || b.Power != 0 {
				t.Errorf("%s: %+v", how, b)
			}
		}
	})
	t.Run("cannot start", func(t *testing.T) {
		rep, err := measure(t, "", "exit 5", func(r *runner.Options) {
			r.Sampler = func() (*sampler.Client, error) { return sampler.Spawn("/nonexistent", os.Stderr) }
		})
		if err != nil || rep.Run.Outcome != datamodel.SamplerFailed || rep.State.ExitCode != 5 {
			t.Errorf("%v, outcome %s, exit code %d", err, rep.Run.Outcome, rep.State.ExitCode)
		}
	})
}

// TestHangingSource checks that a source that hangs, in open or in a reading, delays neither the others nor the end.
func TestHangingSource(t *testing.T) {
	testenv.Long(t)
	for how, word := range map[string]string{
		"hangs in open":  "did not open",
		"hangs at first": "no first reading",
		"hangs later":    "no last reading",
	} {
		t.Run(how, func(t *testing.T) {
			rep, err := measure(t, how, "sleep 0.3", nil)
			if err != nil {
				t.Fatal(err)
			}
			if rep.Run.Outcome != datamodel.Done {
				t.Errorf("outcome %s (%s)", rep.Run.Outcome, rep.Run.Reason)
			}
			if m := sensor(t, rep, "steady/ticks"); m.Count < 10 {
				t.Errorf("the steady source has %d readings in 0.3 s at 10 ms", m.Count)
			}
			said := fmt.Sprint(rep.Run.Warnings, rep.Run.Missing)
			if !strings.Contains(said, word) || !strings.Contains(said, "hanging") {
				t.Errorf("warnings and missing %s: want %q about hanging", said, word)
			}
			// Every beat from the first reading on was taken or missed.
			for _, s := range rep.Run.Sources {
				taken := map[string]int64{"hangs at first": 0, "hangs later": 2}[how]
				if s.Name == "hanging" && (!s.Hung || s.Readings != taken || s.Missed < 30-taken) {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}

// TestSetupErrors checks that impossible requests are reported before anything starts.
func TestSetupErrors(t *testing.T) {
	made := filepath.Join(t.TempDir(), "made")
	for name, c := range map[string]struct {
		change func(*runner.Options)
		word   string
	}{
		"unknown sensor": {func(r *runner.Options) { r.Config.Select = []string{"-nosuch"} }, `unknown sensor "nosuch"`},
		"no glob":        {func(r *runner.Options) { r.Config.Select = []string{"["} }, "not a glob"},
		"results":        {func(r *runner.Options) { r.Results = "/dev/null/results" }, "--no-save"},
	} {
		t.Run(name, func(t *testing.T) {
			var results string
			_, err := measure(t, "", "touch "+made, func(r *runner.Options) {
				c.change(r)
				results = r.Results
			})
			var setup *runner.SetupError
			if !errors.As(err, &setup) || !strings.Contains(err.Error(), c.word) {
				t.Errorf("error %v, want a SetupError with %q", err, c.word)
			}
			if runs, _ := (history.History{Results: results}).List(); len(runs) > 0 {
				t.Errorf("a run was kept: %v", runs)
			}
			if _, err := os.Stat(made); err == nil {
				t.Error("the target was started")
			}
		})
	}
}

// TestNoSave checks that a run that is not kept leaves no files.
func TestNoSave(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	rep, err := measure(t, "", "true", func(r *runner.Options) { r.Results = "" })
	if err != nil || rep.Dir != "" || rep.Tree == nil {
		t.Fatalf("%v, folder %q, tree %v", err, rep.Dir, rep.Tree)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestSelect switches sensors off, and some on again.
func TestSelect(t *testing.T) {
	rep, err := measure(t, "", "true", func(r *runner.Options) { r.Config.Select = []string{"-*", "+stea*"} })
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Run.Sources) != 1 || rep.Run.Sources[0].Name != "steady" {
		t.Errorf("sources %+v, want steady alone", rep.Run.Sources)
	}
}
