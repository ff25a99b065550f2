//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/units"
)

// counting is a target that prints each SIGNAL it gets, and exits with code 7 on END. A shell handles all pending signals before
// it goes on, so an extra SIGNAL before END shows. END kills the child that the shell waits for: END may arrive after the shell
// has looked at the variable and before it waits.
const counting = `trap 'echo got' SIGNAL; trap 'end=1; kill -KILL $!' END
` + napping + `
echo up $$ $PPID
while [ -z "$end" ]; do wait $! 2>/dev/null; done
echo end; exit 7`

// napping starts a child that can be killed: before its execve it would still catch what the shell catches.
const napping = `sleep 1000 & while read -r name </proc/$!/comm; [ "$name" != sleep ]; do :; done`

func countingOf(signal, end string) string {
	return strings.NewReplacer("SIGNAL", signal, "END", end).Replace(counting)
}

// talk is a started command whose output is read line by line.
type talk struct {
	*exec.Cmd
	lines  *bufio.Reader
	stderr bytes.Buffer
}

// start runs a command, waits for its first line and returns it.
func start(t *testing.T, c *exec.Cmd) (*talk, string) {
	t.Helper()
	k := &talk{Cmd: c}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	k.lines = bufio.NewReader(r)
	c.Stdout = w
	if c.Stderr == nil {
		c.Stderr = &k.stderr
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	return k, k.line(t)
}

func (k *talk) line(t *testing.T) string {
	t.Helper()
	line, err := k.lines.ReadString('\n')
	if err != nil {
		t.Fatalf("stdout ends: %v; stderr %q", err, k.stderr.String())
	}
	return strings.TrimSuffix(line, "\n")
}

// end reads the rest of stdout and waits for the end.
func (k *talk) end(t *testing.T) (rest string, status syscall.WaitStatus) {
	t.Helper()
	b, err := io.ReadAll(k.lines)
	if err != nil {
		t.Error(err)
	}
	return string(b), statusOf(t, k.Wait())
}

func signalOf(name string) syscall.Signal { return unix.SignalNum("SIG" + name) }

// TestPassedOn sends each signal to ergon alone. The target gets it once, and the report is written.
func TestPassedOn(t *testing.T) {
	t.Parallel()
	for way, env := range ways {
		for _, name := range []string{"TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "CONT", "WINCH"} {
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				last := "USR2"
				if name == last {
					last = "USR1"
				}
				dir, mark := t.TempDir(), newMark()
				c := command(t, mark, "ergon", "-q", "-o", dir, "sh", "-c", countingOf(name, last))
				c.Env = append(c.Env, env...)
				k, _ := start(t, c)
				for range 2 { // one after the other; a second TERM or INT would end the whole tree
					_ = k.Process.Signal(signalOf(name))
					if line := k.line(t); line != "got" {
						t.Errorf("got %q", line)
					}
					if name == "TERM" || name == "INT" {
						break
					}
				}
				_ = k.Process.Signal(signalOf(last))
				rest, status := k.end(t)
				if rest != "end\n" || status.ExitStatus() != 7 {
					t.Errorf("then %q, status %#x", rest, status)
				}
				run := onlyRun(t, dir)
				want := datamodel.Cancelled
				if strings.Contains("USR1 USR2 CONT WINCH", name) {
					want = datamodel.TargetFailed
				}
				if run.Outcome != want || run.ExitCode == nil || *run.ExitCode != 7 {
					t.Errorf("%+v, want %v with code 7", run, want)
				}
				noneLeft(t, mark)
				noGroup(t, run.ID)
			})
		}
	}
}

// TestIgnored sends signals that were ignored on entry. Neither ergon nor the target gets them.
func TestIgnored(t *testing.T) {
	t.Parallel()
	dir, mark := t.TempDir(), newMark()
	c := command(t, mark, "sh", "-c", `trap '' TERM INT QUIT HUP USR1; exec "$@"`, "sh",
		"ergon", "-q", "-o", dir, "sh", "-c", countingOf("WINCH", "USR2"))
	k, _ := start(t, c)
	for _, name := range []string{"TERM", "INT", "QUIT", "HUP", "USR1", "TERM", "WINCH"} {
		_ = k.Process.Signal(signalOf(name))
	}
	if line := k.line(t); line != "got" {
		t.Errorf("got %q", line)
	}
	_ = k.Process.Signal(syscall.SIGUSR2)
	if rest, status := k.end(t); rest != "end\n" || status.ExitStatus() != 7 || k.stderr.Len() > 0 {
		t.Errorf("%q, %#x, %q", rest, status, k.stderr.String())
	}
	if run := onlyRun(t, dir); run.Outcome != datamodel.TargetFailed {
		t.Errorf("outcome %v: %s", run.Outcome, run.Reason)
	}
	noneLeft(t, mark)
}

// TestSecond sends SIGTERM or SIGINT twice. The whole tree ends, whatever it ignores.
func TestSecond(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"TERM", "INT"} {
		for _, groups := range []bool{true, false} {
			t.Run(fmt.Sprint(name, groups), func(t *testing.T) {
				t.Parallel()
				dir, mark := t.TempDir(), newMark()
				c := command(t, mark, "ergon", "-q", "-o", dir, "sh", "-c", `trap '' TERM INT
sleep 1000 & (setsid sleep 1000 &) ; (sleep 1000; sleep 1000) &
trap 'echo got' `+name+`; echo up; while :; do wait; done`)
				if !groups && !hideGroups(c) {
					testenv.Lacks(t, testenv.Root, "only root can hide the cgroups")
				}
				if c.SysProcAttr == nil {
					c.SysProcAttr = &syscall.SysProcAttr{}
				}
				c.SysProcAttr.Setpgid = true // otherwise we may lead its group, and a quick second signal from its leader does not count
				k, _ := start(t, c)
				_ = k.Process.Signal(signalOf(name))
				if line := k.line(t); line != "got" {
					t.Errorf("got %q", line)
				}
				_ = k.Process.Signal(signalOf(name))
				_, status := k.end(t)
				if !status.Signaled() || status.Signal() != syscall.SIGKILL {
					t.Errorf("status %#x", status)
				}
				noneLeft(t, mark)
				if run := onlyRun(t, dir); run.Outcome != datamodel.Cancelled || run.Signal != "SIGKILL" {
					t.Errorf("%v by %s", run.Outcome, run.Signal)
				}
			})
		}
	}
}

// hideGroups starts the command where it cannot make cgroups: in a mount namespace with /sys/fs/cgroup covered.
func hideGroups(c *exec.Cmd) bool {
	if os.Geteuid() != 0 {
		return false
	}
	c.Args = append([]string{"sh", "-c", `mount -t tmpfs none /sys/fs/cgroup && exec "$@"`, "sh"}, c.Args...)
	c.Path = "/bin/sh"
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	probe := exec.Command("sh", "-c", "mount -t tmpfs none /sys/fs/cgroup")
	probe.SysProcAttr = c.SysProcAttr
	return probe.Run() == nil
}

// TestTimeout lets timeout(1) end ergon. timeout sends two signals, but the command is asked to end, not killed.
func TestTimeout(t *testing.T) {
	t.Parallel()
	mark := newMark()
	c := command(t, mark, "timeout", "-s", "TERM", "0.5", "ergon", "-q", "--no-save", "sh", "-c",
		`trap 'trap "" TERM; echo got; sleep 0.1; echo done; exit 7' TERM; echo up; while :; do sleep 0.01; done`)
	k, _ := start(t, c)
	if rest, status := k.end(t); rest != "got\ndone\n" || status.ExitStatus() != 124 {
		t.Errorf("%q, %#x", rest, status)
	}
	noneLeft(t, mark)
}

// TestDeath lets the target die of each signal. ergon dies of the same signal and prints nothing.
func TestDeath(t *testing.T) {
	t.Parallel()
	for way, env := range ways {
		for _, name := range []string{"INT", "QUIT", "TERM", "KILL", "HUP", "USR1", "ALRM", "PIPE", "ABRT", "SEGV", "FPE", "BUS", "XCPU", "SYS"} {
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				c := command(t, newMark(), "sh", "-c", `ulimit -c unlimited 2>/dev/null; exec "$@"`, "sh",
					"ergon", "-q", "-o", dir, "sh", "-c", "ulimit -c 0; kill -"+name+" $$")
				c.Dir = dir
				c.Env = append(c.Env, env...)
				var out, stderr bytes.Buffer
				c.Stdout, c.Stderr = &out, &stderr
				status := statusOf(t, c.Run())
				if !status.Signaled() || status.Signal() != signalOf(name) || status.CoreDump() {
					t.Errorf("status %#x", status)
				}
				if out.Len()+stderr.Len() > 0 {
					t.Errorf("wrote %q %q", out.String(), stderr.String())
				}
				if cores, _ := filepath.Glob(dir + "/core*"); len(cores) > 0 {
					t.Error(cores)
				}
				if run := onlyRun(t, dir); run.Signal != "SIG"+name || run.Outcome != datamodel.TargetFailed {
					t.Errorf("%v by %s", run.Outcome, run.Signal)
				}
			})
		}
	}
}

// trials runs a trial n times, several in parallel.
func trials(t *testing.T, n int, trial func(t *testing.T, i int)) {
	t.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	for range 6 {
		wg.Go(func() {
			for i := range next {
				t.Run(strconv.Itoa(i), func(t *testing.T) { trial(t, i) })
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// TestTrials ends runs with a signal to ergon alone, 200 times with SIGTERM. The target gets it, the files are written, the exit
// code is the target's, and no process is left.
func TestTrials(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"TERM": 200, "INT": 50, "HUP": 50} {
		if testing.Short() {
			n /= 10
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			trials(t, n, func(t *testing.T, i int) {
				dir, mark := filepath.Join(root, strconv.Itoa(i)), newMark()
				c := command(t, mark, "ergon", "-q", "-o", dir, "sh", "-c",
					`trap 'kill -KILL $!; echo got; exit 9' `+name+"\n"+napping+`; echo up; wait; wait`)
				k, _ := start(t, c)
				_ = k.Process.Signal(signalOf(name))
				if rest, status := k.end(t); rest != "got\n" || status.ExitStatus() != 9 {
					t.Errorf("%q, %#x, %q", rest, status, k.stderr.String())
				}
				run := onlyRun(t, dir)
				if run.Outcome != datamodel.Cancelled {
					t.Errorf("outcome %v: %s", run.Outcome, run.Reason)
				}
				noneLeft(t, mark)
				noGroup(t, run.ID)
			})
		})
	}
}

// TestEarly sends a signal at any time after the start. No orphan is left, and nothing hangs.
func TestEarly(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"TERM": 60, "INT": 40, "HUP": 20, "USR1": 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			trials(t, n, func(t *testing.T, i int) {
				dir, mark := filepath.Join(root, strconv.Itoa(i)), newMark()
				c := command(t, mark, "ergon", "-q", "-o", dir, "sleep", "1000")
				if i%4 == 3 && name != "USR1" { // as launch.Direct says
					c.Env = append(c.Env, ways["direct"]...)
				}
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				spin := time.Duration(i) * 700 * time.Microsecond
				for began := time.Now(); time.Since(began) < spin; {
				}
				_ = c.Process.Signal(signalOf(name))
				if status := statusOf(t, c.Wait()); !status.Signaled() || status.Signal() != signalOf(name) {
					t.Errorf("after %v: status %#x", spin, status)
				}
				noneLeft(t, mark)
				runs, err := history.History{Results: dir}.List()
				if err == nil && len(runs) == 1 { // the signal may come before the folder exists
					if runs[0].Run.Signal != "SIG"+name {
						t.Errorf("after %v: ended by %q", spin, runs[0].Run.Signal)
					}
					noGroup(t, runs[0].Run.ID)
				}
			})
		})
	}
}

// onlyManifest returns the manifest of the only run in a results folder.
func onlyManifest(t *testing.T, results string) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(results, "*", "*", "*", store.ManifestFile))
	if len(found) != 1 {
		t.Fatalf("manifests: %v", found)
	}
	return found[0]
}

// TestKilled kills ergon itself. The target lives on, the sampler ends, and its readings can be recovered.
func TestKilled(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	dir, mark := t.TempDir(), newMark()
	c := command(t, mark, "ergon", "-q", "-o", dir, "--interval", "10ms", "sh", "-c", "echo up $$; read x; echo went on")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	k, line := start(t, c)
	began := time.Now()
	target, err := strconv.Atoi(strings.TrimPrefix(line, "up "))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "readings in the spool", func() bool {
		spools, _ := filepath.Glob(dir + "/*/*/*/spool/cpu.arrows")
		if len(spools) != 1 {
			return false
		}
		info, err := os.Stat(spools[0])
		return err == nil && info.Size() > 1<<16
	})
	if err := k.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ran := time.Since(began)
	_, _ = k.Process.Wait()
	killed := time.Now()
	eventually(t, "the sampler's end", func() bool { left := marked(mark); return len(left) == 1 && left[0] == target })
	t.Logf("the sampler was gone after %v", time.Since(killed))

	recovered := command(t, newMark(), "ergon", "recover", "-o", dir, "last")
	if out, err := recovered.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := onlyRun(t, dir)
	if run.Outcome != datamodel.ProfilerFailed {
		t.Errorf("outcome %v: %s", run.Outcome, run.Reason)
	}
	result, err := store.Load(filepath.Dir(onlyManifest(t, dir)))
	if err != nil {
		t.Fatal(err)
	}
	// The command runs on, so what is known of it is the least.
	for _, name := range []string{datamodel.WallTime, datamodel.CPUTime, datamodel.PeakMemory} {
		if m := datamodel.Pick(result.Summary, name); m.Reason != "" || m.Bound != datamodel.LowerBound {
			t.Errorf("%+v", m)
		}
	}
	wall := datamodel.Pick(result.Summary, datamodel.WallTime).Value
	if wall < ran.Seconds()-1.2 || wall > ran.Seconds()+1 { // the readings of the last second may be lost
		t.Errorf("wall time is at least %v s, but ergon was killed after %v", wall, ran)
	}
	text, err := command(t, newMark(), "ergon", "report", "-o", dir, "last").Output()
	if err != nil || !strings.Contains(string(text), " >= "+units.Format(wall, units.Second)) {
		t.Errorf("%v, no >= %v s in\n%s", err, wall, text)
	}
	if rows := result.Processes; runtime.GOOS == "linux" && (len(rows) == 0 || rows[0].Name != "sh" || rows[0].PID != int64(target) || !rows[0].End.IsZero()) {
		t.Errorf("the processes are %+v", rows)
	}
	csv, err := command(t, newMark(), "ergon", "export", "-o", dir, "-f", "csv", "last").Output()
	if err != nil {
		t.Fatal(err)
	}
	last, n := 0.0, 0
	lines := strings.Split(strings.TrimSpace(string(csv)), "\n")
	head := strings.Split(lines[0], ",")
	sensor, elapsed := slices.Index(head, "sensor"), slices.Index(head, "elapsed")
	for _, line := range lines[1:] {
		if words := strings.Split(line, ","); words[sensor] == "memory/used" {
			n++
			if last, err = strconv.ParseFloat(words[elapsed], 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	if last < ran.Seconds()-0.2 || n < int(ran.Seconds()/0.010/4) {
		t.Errorf("%d readings up to %.2f s of %v", n, last, ran)
	}
	t.Logf("%d readings up to %.2f s of %v", n, last, ran)

	_, _ = io.WriteString(in, "x\n")
	if line := k.line(t); line != "went on" {
		t.Errorf("the target says %q", line)
	}
	noneLeft(t, mark)
	for _, group := range groupsOf(run.ID) { // only another run could remove the cgroup now
		if err := os.Remove(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}
