package runner_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// held counts the seconds since the moment that is written in its file. Each opening writes a new moment, as each perf event
// has its own zero. Only a process that is handed the file continues the count.
type held struct {
	file  *os.File
	reads *atomic.Int64 // counts the readings in this process; may be nil
}

func openHeld(reads *atomic.Int64) (sensors.Source, []sensors.Absence, error) {
	f, err := os.CreateTemp("", "zero")
	if err == nil {
		err = os.Remove(f.Name())
	}
	if err == nil {
		_, err = f.Write(binary.LittleEndian.AppendUint64(nil, uint64(monotonic())))
	}
	return &held{f, reads}, nil, err
}

func monotonic() int64 {
	var spec unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &spec) // on an error it reads 0, and the tests fail
	return spec.Nano()
}

func (h *held) Sensors() []sensors.Sensor {
	return []sensors.Sensor{{ID: "held/time", Family: "held", Name: "time", Unit: units.Second, Kind: sensors.Counter, Source: "a fake"}}
}

func (h *held) Read(dst []float64) error {
	if h.reads != nil {
		h.reads.Add(1)
	}
	var b [8]byte
	if _, err := h.file.ReadAt(b[:], 0); err != nil {
		return err
	}
	dst[0] = float64(monotonic()-int64(binary.LittleEndian.Uint64(b[:]))) / 1e9
	if n, _ := strconv.Atoi(os.Getenv("ERGON_TEST_DIES")); n > 0 && os.Args[len(os.Args)-1] == "sample" && dst[0] > float64(n)/1e3 {
		os.Exit(3)
	}
	return nil
}

func (h *held) Close() error { return h.file.Close() }

func (h *held) HandOver() sensors.Handover { return sensors.Handover{Files: []int{int(h.file.Fd())}} }

func (h *held) TakeOver(given sensors.Handover) error {
	switch os.Getenv(behaviour) {
	case "dies at take-over":
		os.Exit(3)
	case "hangs at take-over":
		select {}
	case "refuses to take over":
		return errors.New("not today")
	}
	if len(given.Files) != 1 {
		return fmt.Errorf("handed %d files", len(given.Files))
	}
	h.file = os.NewFile(uintptr(given.Files[0]), "handed")
	return nil
}

// joinable lists backends with which the runner takes the first readings.
func joinable() []sensors.Backend { return counted(nil) }

// counted is like joinable, and counts the readings that this process takes.
func counted(reads *atomic.Int64) []sensors.Backend {
	late := ramp("late", nil)
	late.First = sensors.AtBeat
	open := func(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
		return openHeld(reads)
	}
	return []sensors.Backend{{Name: "held", First: sensors.AtStart, Open: open}, late}
}

// joining makes the options of a session in which the sampler joins. how is the sampler's behaviour. samplers counts the
// samplers that are started.
func joining(t *testing.T, how string, samplers *int) runner.Options {
	t.Helper()
	t.Setenv(behaviour, how)
	return runner.Options{
		Project: "p", Results: filepath.Join(t.TempDir(), "results"), Launcher: launch.Direct{}, Backends: joinable(),
		Config: sampler.Config{Setup: sensors.Setup{Proc: "/proc", Sys: "/sys"}, Interval: 10 * time.Millisecond},
		Sampler: func() (*sampler.Client, error) {
			*samplers++
			if how == "cannot start" {
				return nil, errors.New("no more processes")
			}
			self, err := os.Executable()
			if err != nil {
				return nil, err
			}
			c, err := sampler.Spawn(self, os.Stderr)
			if err == nil && strings.HasPrefix(how, "hangs") {
				c.Limits.Answer, c.Limits.Close = 50*time.Millisecond, 100*time.Millisecond
				if how == "hangs at once" {
					c.Limits.Ready = 50 * time.Millisecond
				}
			}
			return c, err
		},
	}
}

// whole checks that the counter was read at both ends of the round. It counts seconds, and its first and last readings enclose
// the command. So its value is at least the wall time.
func whole(t *testing.T, rep runner.Report) {
	t.Helper()
	m, wall := sensor(t, rep, "held/time"), *rep.Run.WallTime
	if !(m.Value >= wall && m.Value < wall+1) {
		t.Errorf("the counter came to %v s in %v s, with %d readings and %d gaps", m.Value, wall, m.Count, m.Gaps)
	}
	for _, w := range rep.Run.Warnings {
		if strings.Contains(w.Text, "back") {
			t.Errorf("warning %+v", w)
		}
	}
}

// TestShort checks that a command that ends before the first beat needs neither a sampler nor a spool.
func TestShort(t *testing.T) {
	samplers := 0
	o := joining(t, "", &samplers)
	o.Config.Interval = time.Minute
	rep, err := runner.Run(t.Context(), o, []string{"true"})
	if err != nil || rep.Run.Outcome != datamodel.Done || samplers != 0 {
		t.Fatal(err, rep.Run.Outcome, samplers)
	}
	whole(t, rep)
	if m := sensor(t, rep, "held/time"); m.Count != 2 {
		t.Errorf("%d readings", m.Count)
	}
	if stored, err := store.Load(rep.Dir); err != nil || len(stored.Run.Missing) != 1 || stored.Run.Missing[0].ID != "late" {
		t.Errorf("missing %+v, %v", stored.Run.Missing, err)
	}
	if files, _ := filepath.Glob(filepath.Join(rep.Dir, "*")); len(files) != 5 {
		t.Errorf("kept: %v", files)
	}
}

// TestUnread checks that a result that is neither read nor kept is not made and leaves no files.
func TestUnread(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for _, script := range []string{"exit 3", "sleep 0.1; exit 3"} {
		samplers := 0
		o := joining(t, "", &samplers)
		o.Unread, o.Results = true, ""
		rep, err := runner.Run(t.Context(), o, []string{"sh", "-c", script})
		if err != nil || rep.State.ExitCode != 3 || rep.Run.Outcome != datamodel.TargetFailed || rep.Tree != nil {
			t.Errorf("%s: %v, %+v, outcome %s, tree %v", script, err, rep.State, rep.Run.Outcome, rep.Tree)
		}
		if left, _ := os.ReadDir(tmp); len(left) > 0 {
			t.Errorf("%s: left behind: %v", script, left)
		}
		o.Results = t.TempDir()
		if rep, err := runner.Run(t.Context(), o, []string{"sh", "-c", script}); err != nil || rep.Tree == nil {
			t.Errorf("%s: a run that is kept has no result, %v", script, err)
		}
	}
}

// TestJoin checks that the sampler continues the runner's counters and reads the sources that the runner does not read.
func TestJoin(t *testing.T) {
	for _, interval := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond} {
		samplers := 0
		o := joining(t, "", &samplers)
		o.Config.Interval = interval
		rep, err := runner.Run(t.Context(), o, []string{"sleep", "0.4"})
		if err != nil || rep.Run.Outcome != datamodel.Done || samplers != 1 {
			t.Fatal(interval, err, rep.Run.Outcome, rep.Run.Reason, samplers)
		}
		whole(t, rep)
		if m := sensor(t, rep, "late/ticks"); m.Count < 2 {
			t.Errorf("%v: %d readings of the gauge", interval, m.Count)
		}
		for _, s := range rep.Run.Sources {
			due := int64(400*time.Millisecond/interval) - 3 // the sampler's first reading and the last may count for one each
			if s.Name == "held" && (s.Readings+s.Missed < due || s.Readings < 4) {
				t.Errorf("%v: %+v, %d beats were due", interval, s, due)
			}
		}
	}
}

// TestBadJoin checks that a sampler that fails before or after the take-over costs neither the first nor the last reading. One
// that dies is started again, twice at most.
func TestBadJoin(t *testing.T) {
	for _, how := range []string{
		"cannot start", "dies at once", "hangs at once", "talks nonsense", "dies at take-over", "hangs at take-over", "refuses to take over", "dies later",
	} {
		t.Run(how, func(t *testing.T) {
			if how == "dies later" {
				t.Setenv("ERGON_TEST_DIES", "150")
			}
			samplers, due := 0, 3
			if how == "cannot start" || strings.HasPrefix(how, "hangs") {
				due = 1
			}
			o := joining(t, how, &samplers)
			// The command goes on for 30 beats after the runner has dropped the sampler, or after the sampler has died.
			gone, start := filepath.Join(t.TempDir(), "gone"), o.Sampler
			var reads, before atomic.Int64
			o.Backends = counted(&reads)
			o.Sampler = func() (*sampler.Client, error) {
				c, err := start()
				last := samplers == due
				go func() {
					if how == "dies later" {
						awaitEnd(c.PID())
					} else if c != nil {
						c.Wait()
					}
					if !last {
						return
					}
					before.Store(reads.Load())
					if err := os.WriteFile(gone, nil, 0o600); err != nil {
						t.Error(err)
					}
				}()
				return c, err
			}
			rep, err := runner.Run(t.Context(), o, []string{"sh", "-c", "until [ -e " + gone + " ]; do sleep 0.01; done; sleep 0.3; exit 4"})
			if err != nil || rep.Run.Outcome != datamodel.SamplerFailed || rep.State.ExitCode != 4 || samplers != due {
				t.Fatalf("%v, outcome %s (%s), exit code %d, %d samplers", err, rep.Run.Outcome, rep.Run.Reason, rep.State.ExitCode, samplers)
			}
			whole(t, rep)
			if n := reads.Load() - before.Load(); n < 1 || n > 15 { // the last reading, and those before the runner stopped
				t.Errorf("%d readings after the sampler was gone", n)
			}
			if _, err := os.Stat(filepath.Join(rep.Dir, store.SpoolFolder)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("spool: %v, want it removed", err)
			}
		})
	}
}

// TestSamplerRestart lets the first sampler die. Another one reads on, in a new part. The counter loses nothing, and the gap
// is told.
func TestSamplerRestart(t *testing.T) {
	for _, kept := range []bool{true, false} {
		t.Setenv("ERGON_TEST_DIES", "250")
		samplers := 0
		o := joining(t, "dies later", &samplers)
		if !kept {
			o.Results = ""
		}
		start, again := o.Sampler, filepath.Join(t.TempDir(), "again")
		o.Sampler = func() (*sampler.Client, error) {
			if samplers == 1 {
				t.Setenv("ERGON_TEST_DIES", "")
				if err := os.WriteFile(again, nil, 0o600); err != nil {
					t.Error(err)
				}
			}
			return start()
		}
		rep, err := runner.Run(t.Context(), o, []string{"sh", "-c", "until [ -e " + again + " ]; do sleep 0.01; done; sleep 1.5; exit 4"})
		if err != nil || rep.Run.Outcome != datamodel.TargetFailed || rep.State.ExitCode != 4 || samplers != 2 {
			t.Fatalf("%v, outcome %s (%s), exit code %d, %d samplers", err, rep.Run.Outcome, rep.Run.Reason, rep.State.ExitCode, samplers)
		}
		m := sensor(t, rep, "held/time") // it counts seconds from the start
		if wall := *rep.Run.WallTime; math.Abs(m.Value-wall) > 0.1 {
			t.Errorf("the counter came to %v s in %v s", m.Value, wall)
		}
		if m.Gaps != 1 {
			t.Errorf("%d gaps, want 1", m.Gaps)
		}
		if late := sensor(t, rep, "late/ticks"); late.Count < 100 {
			t.Errorf("the gauge has %d readings", late.Count)
		}
		told := slices.ContainsFunc(rep.Run.Warnings, func(w datamodel.Warning) bool {
			return w.Subject == "sampler" && strings.Contains(w.Text, "was started again: no readings from ")
		})
		if !told {
			t.Errorf("warnings: %v", rep.Run.Warnings)
		}
	}
}

// poison is a source that crashes every sampler that reads it.
func poison() sensors.Backend {
	b := ramp("poison", nil)
	b.First = sensors.InSampler
	open := b.Open
	b.There = func(sensors.Setup) error {
		if os.Getenv(behaviour) != "poison" {
			return errors.New("not in this test")
		}
		return nil
	}
	b.Open = func(ctx context.Context, s sensors.Setup) (sensors.Source, []sensors.Absence, error) {
		if err := b.There(s); err != nil {
			return nil, nil, err
		}
		src, absences, err := open(ctx, s)
		return &source{src.Sensors(), func([]float64) error { os.Exit(3); return nil }}, absences, err
	}
	return b
}

// TestPoisonousSource has a source that crashes the sampler at each start. The last sampler leaves it out, and the others are
// measured.
func TestPoisonousSource(t *testing.T) {
	samplers := 0
	o := joining(t, "poison", &samplers)
	o.Backends = append(o.Backends, poison())
	rep, err := runner.Run(t.Context(), o, []string{"sleep", "1"})
	if err != nil || rep.Run.Outcome != datamodel.Done || samplers != 3 {
		t.Fatalf("%v, outcome %s (%s), %d samplers", err, rep.Run.Outcome, rep.Run.Reason, samplers)
	}
	if m := sensor(t, rep, "late/ticks"); m.Count < 20 {
		t.Errorf("%d readings of another source", m.Count)
	}
	if !slices.ContainsFunc(rep.Run.Missing, func(a sensors.Absence) bool { return a.ID == "poison" && strings.Contains(a.Reason, "died twice") }) {
		t.Errorf("missing: %+v", rep.Run.Missing)
	}
}

// awaitEnd returns when a child of this process has ended, even if it has not been waited for.
func awaitEnd(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// TestRounds checks that all rounds of a session use one sampler and open a source of the machine once, and that round 20 is
// like round 1. A command that ends while the sampler joins ends the sampler, too.
func TestRounds(t *testing.T) {
	samplers, opened := 0, 0
	o := joining(t, "", &samplers)
	open := o.Backends[0].Open
	o.Backends[0].Open = func(ctx context.Context, s sensors.Setup) (sensors.Source, []sensors.Absence, error) {
		opened++
		return open(ctx, s)
	}
	s, err := runner.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const alone = 0.005 // s: half an interval, in which no sampler is needed
	lives := false      // a sampler
	for round := range 20 {
		before, long := samplers, round%4 == 3
		command, readings := []string{"true"}, int64(2)
		if long { // until the sampler has joined
			wait := "until ls " + o.Results + "/project=p/*/*/spool/*.arrows >/dev/null 2>&1; do sleep 0.01; done; sleep 0.1"
			command, readings = []string{"sh", "-c", wait}, 4
		}
		rep, err := s.Round(t.Context(), launch.Command{Argv: command}, nil)
		if err != nil || rep.Run.Outcome != datamodel.Done {
			t.Fatal(round, err, rep.Run.Outcome, rep.Run.Reason)
		}
		whole(t, rep)
		if m := sensor(t, rep, "held/time"); m.Count < readings {
			t.Errorf("round %d: %d readings", round, m.Count)
		}
		short := *rep.Run.WallTime < alone
		if started := samplers - before; started > 1 || started > 0 && (short || lives) {
			t.Errorf("round %d: %d samplers were started; one lived before: %t; wall time %v s", round, started, lives, *rep.Run.WallTime)
		}
		lives = long || lives && short
	}
	for _, c := range []struct {
		command string
		outcome datamodel.Outcome
	}{{"/nonexistent", datamodel.NotFound}, {"/", datamodel.NotExecutable}, {"true", datamodel.Done}} {
		if rep, err := s.Round(t.Context(), launch.Command{Argv: []string{c.command}}, nil); err != nil || rep.Run.Outcome != c.outcome {
			t.Errorf("%s: %v, outcome %s", c.command, err, rep.Run.Outcome)
		}
	}
	if opened != 1 {
		t.Errorf("the source was opened %d times", opened)
	}
}

// TestAlone checks that a command has readings at its ends only if no sampler may join yet, and is measured whole.
func TestAlone(t *testing.T) {
	samplers := 0
	o := joining(t, "", &samplers)
	o.Alone = time.Hour
	rep, err := runner.Run(t.Context(), o, []string{"sleep", "0.2"})
	if err != nil || samplers != 0 {
		t.Fatal(err, samplers)
	}
	whole(t, rep)
	if m := sensor(t, rep, "held/time"); m.Count != 2 {
		t.Errorf("%d readings", m.Count)
	}
}

// TestCancel checks that a target is asked to end when the context is done, and that the result is made.
func TestCancel(t *testing.T) {
	samplers := 0
	o := joining(t, "", &samplers)
	ctx, cancel := context.WithCancel(t.Context())
	sampled := o.Sampler
	o.Sampler = func() (*sampler.Client, error) {
		defer cancel() // while the sampler tries to join
		return sampled()
	}
	rep, err := runner.Run(ctx, o, []string{"sleep", "60"})
	if err != nil || rep.Run.Outcome != datamodel.Cancelled || rep.State.Signal != int(unix.SIGTERM) {
		t.Fatal(err, rep.Run.Outcome, rep.Run.Reason, rep.State)
	}
	whole(t, rep)
}

// TestKilledRunner kills the runner at many moments around the take-over: what it leaves behind can be recovered, and counts on.
func TestKilledRunner(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	recovered := 0
	for after := 5 * time.Millisecond; after < 200*time.Millisecond; after += 15 * time.Millisecond {
		results := t.TempDir()
		cmd := exec.Command(self, "runner", results)
		cmd.Env = append(os.Environ(), behaviour+"=")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 3)); err != nil { // the command has started
			t.Fatal(err)
		}
		time.Sleep(after) // the moment that is tried
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed; the pipe is the command's too, so this is not its end
		runs, err := history.History{Results: results}.List()
		if err != nil || len(runs) != 1 {
			t.Fatal(runs, err)
		}
		result, err := recoverLater(t, runs[0].Dir)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) { // killed before the manifest was written
				t.Errorf("%v: %v", after, err)
			}
			continue
		}
		node := leaf(result.Tree, "held/time")
		if node == nil || math.IsNaN(node.Metric("time").Value) {
			continue // before the sampler took over, which it does later on a busy machine
		}
		m := node.Metric("time")
		recovered++
		if m.Value < 0 || m.Value > 5 || m.Gaps > 0 {
			t.Errorf("%v: the counter came to %v s with %d gaps", after, m.Value, m.Gaps)
		}
	}
	if recovered < 3 {
		t.Errorf("%d runs were recovered", recovered)
	}
}

// recoverLater recovers a run. Its sampler may need a moment to notice that the runner has ended.
func recoverLater(t *testing.T, dir string) (datamodel.Result, error) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		spools, _ := filepath.Glob(filepath.Join(dir, store.SpoolFolder, "*.arrows"))
		open := false
		for _, path := range spools {
			open = open || !complete(path)
		}
		if open && time.Now().Before(deadline) {
			continue
		}
		result, err := runner.Recover(dir, false)
		if err == nil || errors.Is(err, os.ErrNotExist) || time.Now().After(deadline) {
			return result, err
		} // else a child that was forked but not yet executed may still hold the lock
	}
}

// complete reports whether a spool was closed.
func complete(path string) bool {
	s, err := store.OpenSpool(path)
	if err != nil {
		return false
	}
	defer func() { _ = s.Close() }()
	for err == nil {
		_, _, err = s.Next()
	}
	return s.Complete()
}

// killable is the runner that TestKilledRunner kills.
func killable(results string) int {
	self, err := os.Executable()
	if err != nil {
		return 1
	}
	_, err = runner.Run(context.Background(), runner.Options{
		Project: "p", Results: results, Launcher: launch.Direct{}, Backends: joinable(),
		Config:  sampler.Config{Setup: sensors.Setup{Proc: "/proc", Sys: "/sys"}, Interval: 5 * time.Millisecond},
		Sampler: func() (*sampler.Client, error) { return sampler.Spawn(self, os.Stderr) },
	}, []string{"sh", "-c", "echo up; exec sleep 2"})
	if err != nil {
		return 1
	}
	return 0
}
