package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/fakerapl"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestMarksAtTheSeam checks that each mark that the socket took is kept once: those before the sampler joins, those while it
// takes over, and those after.
func TestMarksAtTheSeam(t *testing.T) {
	t.Parallel()
	for _, interval := range []string{"10ms", "100ms"} {
		dir := t.TempDir()
		c := command(t, newMark(), "ergon", "-q", "-o", dir, "--interval", interval, "subject", "marks", "400ms")
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		taken, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil || taken < 20 {
			t.Fatalf("%s: %v", out, err)
		}
		result, err := store.Load(filepath.Dir(onlyManifest(t, dir)))
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Events) != taken {
			t.Errorf("interval %s: %d of %d marks were kept", interval, len(result.Events), taken)
		}
		var names []int
		for _, e := range result.Events {
			n, err := strconv.Atoi(e.Name)
			if err != nil || e.Kind != datamodel.ToldEvent {
				t.Fatalf("%+v", e)
			}
			names = append(names, n)
		}
		if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Errorf("interval %s: a mark was kept twice", interval)
		}
		for _, w := range result.Run.Warnings {
			if w.Subject == "marks" {
				t.Errorf("%+v", w)
			}
		}
	}
}

// TestSocketIsGone checks that the folder of the socket goes with the run, also if the command could not be started.
func TestSocketIsGone(t *testing.T) {
	t.Parallel()
	for _, words := range [][]string{{"true"}, {"/nonexistent"}, {"sh", "-c", "kill -9 $$"}} {
		temp := t.TempDir()
		c := command(t, newMark(), append([]string{"ergon", "-q", "--no-save"}, words...)...)
		c.Env = append(c.Env, "TMPDIR="+temp, "XDG_RUNTIME_DIR=")
		_ = c.Run() // the exit code is the command's
		left, err := os.ReadDir(temp)
		if err != nil || len(left) > 0 {
			t.Errorf("%q: %v, %v", words, left, err)
		}
	}
}

// TestSocketOfLongPath checks that the socket is elsewhere if the path of the usual folder is too long.
func TestSocketOfLongPath(t *testing.T) {
	t.Parallel()
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	c := command(t, newMark(), "ergon", "-q", "--no-save", "sh", "-c", "echo ${ERGON_SOCKET-none}")
	c.Env = append(c.Env, "TMPDIR="+long, "XDG_RUNTIME_DIR="+long)
	out, err := c.Output()
	// /tmp has a short path, so there is a socket after all.
	if err != nil || !strings.HasPrefix(string(out), "/tmp/ergon-") {
		t.Errorf("%v: %s", err, out)
	}
}

// marksAlone returns a run's manifest, events and regions, and the warnings about marks.
func marksAlone(t *testing.T, dir string) (result datamodel.Result, warnings []string) {
	t.Helper()
	result, err := store.Load(filepath.Dir(onlyManifest(t, dir)))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range result.Run.Warnings {
		if w.Subject == "marks" {
			warnings = append(warnings, w.Text)
		}
	}
	return result, warnings
}

// called returns the processes of a started ergon that have a name.
func called(mark, name string) []int {
	return slices.DeleteFunc(marked(mark), func(pid int) bool {
		comm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
		return err != nil || string(comm) != name+"\n"
	})
}

// TestRegionsAfterKill kills ergon while regions are open. They are recovered, and marked as not ended.
func TestRegionsAfterKill(t *testing.T) {
	t.Parallel()
	dir, mark := t.TempDir(), newMark()
	c := command(t, mark, "ergon", "-q", "-o", dir, "--interval", "10ms", "sh", "-c",
		"ergon mark begin train; ergon mark begin epoch; ergon mark end epoch; ergon mark begin epoch; ergon mark event saved; echo up; read x")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	k, _ := start(t, c)
	eventually(t, "marks in the spool", func() bool {
		files, _ := filepath.Glob(dir + "/*/*/*/spool/marks*.jsonl")
		if len(files) != 1 {
			return false
		}
		text, err := os.ReadFile(files[0])
		return err == nil && strings.Contains(string(text), "saved")
	})
	if err := k.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = k.Process.Wait()
	if err := in.Close(); err != nil { // the command ends
		t.Error(err)
	}
	eventually(t, "the end of all processes", func() bool { return len(marked(mark)) == 0 })
	if out, err := command(t, newMark(), "ergon", "recover", "-o", dir, "last").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	result, warnings := marksAlone(t, dir)
	var got []string
	for _, r := range result.Regions.List {
		got = append(got, fmt.Sprintf("%s %v", r.Path, r.Truncated))
	}
	if want := []string{"train true", "train/epoch false", "train/epoch true"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if len(result.Events) != 1 || result.Events[0].Name != "saved" || len(warnings) > 0 {
		t.Errorf("%+v, %q", result.Events, warnings)
	}
}

// TestMarksAfterDeathOfSampler kills the sampler while marks come. All marks that the socket took are kept: those that the
// sampler had received, and those that the runner and the next sampler receive.
func TestMarksAfterDeathOfSampler(t *testing.T) {
	t.Parallel()
	for _, deaths := range []int{1, 3} { // after the third, the runner goes on alone
		dir, mark := t.TempDir(), newMark()
		c := command(t, mark, "ergon", "-q", "-o", dir, "--interval", "20ms", "subject", "marks")
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		k, _ := start(t, c)
		dead := map[int]bool{}
		for range deaths {
			pid := 0
			eventually(t, "a sampler that has received marks", func() bool {
				files, _ := filepath.Glob(fmt.Sprintf("%s/*/*/*/spool/marks*.jsonl", dir))
				for _, p := range called(mark, "ergon-sampler") {
					if !dead[p] {
						pid = p
					}
				}
				return pid != 0 && len(files) > len(dead)
			})
			dead[pid] = true
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the end of the sampler", func() bool { return !slices.Contains(marked(mark), pid) })
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		rest, status := k.end(t)
		words := strings.Fields(rest)
		if status.ExitStatus() != 0 || len(words) == 0 {
			t.Fatalf("%v: %s", status, rest)
		}
		taken, err := strconv.Atoi(words[len(words)-1])
		if err != nil {
			t.Fatalf("%s: %v", rest, err)
		}
		result, warnings := marksAlone(t, dir)
		names := map[string]bool{}
		for _, e := range result.Events {
			names[e.Name] = true
		}
		// A mark is lost if the sampler dies between the receipt and the write.
		if len(names) != len(result.Events) || taken-len(names) > deaths || !names[strconv.Itoa(taken-1)] || len(warnings) > 0 {
			t.Errorf("%d deaths: %d of %d marks, %d of them twice, the last one %v, %q", deaths, len(names), taken,
				len(result.Events)-len(names), names[strconv.Itoa(taken-1)], warnings)
		}
		t.Logf("%d deaths: %d of %d marks", deaths, len(names), taken)
	}
}

// TestGarbage sends random datagrams to the socket. They are counted, and cost nothing else.
func TestGarbage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, err := command(t, newMark(), "ergon", "-q", "-o", dir, "--interval", "20ms", "subject", "garbage", "5000").Output()
	if err != nil {
		t.Fatal(err)
	}
	refused, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || refused < 1000 {
		t.Fatalf("%s: %v", out, err)
	}
	result, warnings := marksAlone(t, dir)
	counted := 0
	for _, w := range warnings { // one of the runner, and one of the sampler
		n := 0
		if _, err := fmt.Sscanf(w, "%d messages of the command to ergon were refused,", &n); err != nil || len(w) > 400 {
			t.Errorf("%q: %v", w, err)
		}
		counted += n
	}
	if counted != refused {
		t.Errorf("%d counted, want %d refused: %q", counted, refused, warnings)
	}
	if len(result.Events) != 1 || result.Events[0].Name != "after all" || result.Run.Outcome != datamodel.Done {
		t.Errorf("%+v, %v", result.Events, result.Run.Outcome)
	}
}

// TestRegionEnergies measures regions in which a fake counter moves by known amounts, with the real program.
func TestRegionEnergies(t *testing.T) {
	t.Parallel()
	sysfs, dir := t.TempDir(), t.TempDir()
	if err := fakerapl.Create(sysfs); err != nil {
		t.Fatal(err)
	}
	machine := testenv.Begin(t)
	runErgon(t, dir, "-q", "-o", dir, "--path.sysfs", sysfs, "--interval", "20ms", "sh", "-c", strings.NewReplacer("DRIVE", "fakerapl drive "+sysfs).Replace(
		`ergon mark begin work; ergon mark begin low; DRIVE const:100 400ms; ergon mark end low
		DRIVE const:50 200ms
		ergon mark begin high; DRIVE const:300 400ms; ergon mark end high; ergon mark end work`))
	result, _ := marksAlone(t, dir)
	energy := result.Regions.Figure(datamodel.Energy)
	want := map[string]float64{"work": 40 + 10 + 120, "work/low": 40, "work/high": 120}
	if len(result.Regions.List) != len(want) || energy.Reason != "" {
		t.Fatalf("%+v, %s", result.Regions.List, energy.Reason)
	}
	for i, r := range result.Regions.List {
		got, bound := energy.Values[i], energy.Uncertainty[i]
		t.Logf("%v to %v %s: %.2f J ± %.2g J of %.0f J", r.Start, r.End, r.Path, got, bound, want[r.Path])
		if !(math.Abs(got-want[r.Path]) <= bound) {
			t.Errorf("%s: %.2f J ± %.2g J, want %.0f J", r.Path, got, bound, want[r.Path])
		}
		if bound > want[r.Path]/2 {
			machine.Errorf("%s: the bound is %.2g J of %.0f J", r.Path, bound, want[r.Path])
		}
	}
	if own := energy.Own[0]; math.Abs(own-(energy.Values[0]-energy.Values[1]-energy.Values[2])) > 1e-6 {
		t.Errorf("%.3f J of work outside the regions within it; %v", own, energy.Values)
	}
}

// TestStoppedErgonDelaysNobody stops runner and sampler, and has a program send marks. The program does not wait: it loses them.
func TestStoppedErgonDelaysNobody(t *testing.T) {
	t.Parallel()
	dir, mark := t.TempDir(), newMark()
	c := command(t, mark, "ergon", "-q", "-o", dir, "--interval", "20ms", "sh", "-c", "echo up; read x; exec subject send 5000")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	k, _ := start(t, c)
	eventually(t, "a sampler", func() bool { return len(called(mark, "ergon-sampler")) == 1 })
	stopped := append(called(mark, "ergon"), called(mark, "ergon-sampler")...)
	for _, pid := range stopped {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all of ergon stopped", func() bool { // a signal takes its time
		return !slices.ContainsFunc(stopped, func(pid int) bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err == nil && !strings.Contains(string(stat), ") T ")
		})
	})
	if _, err := io.WriteString(in, "go\n"); err != nil {
		t.Fatal(err)
	}
	line := k.line(t)
	for _, pid := range stopped {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}
	var cpu float64
	var taken int
	if n, err := fmt.Sscan(line, &taken, &cpu); n != 2 || err != nil || taken > 100 || cpu > 0.1 {
		t.Errorf("%s (marks that were taken, CPU time in s of 5000 marks)", line)
	}
	if _, status := k.end(t); status.ExitStatus() != 0 {
		t.Error(status)
	}
	t.Log(line)
}
