//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// another runs ergon with the same name. It returns its stderr, and how it ended.
func another(t *testing.T, mark, name string, env []string, words ...string) (said string, status syscall.WaitStatus) {
	t.Helper()
	var text strings.Builder
	c := command(t, mark, append([]string{"ergon", "-q", "--no-save", "--exclusive", name}, words...)...)
	c.Env = append(c.Env, env...)
	c.Stderr = &text
	status = statusOf(t, c.Run())
	return text.String(), status
}

// waiting is a command that ends with code 7 when its stdin ends.
var waiting = []string{"sh", "-c", "echo up; read -r x; exit 7"}

// holding starts ergon with a name and a command that waits. letGo ends the command.
func holding(t *testing.T, mark, dir, name string, env []string) (k *talk, letGo io.Closer) {
	t.Helper()
	c := command(t, mark, append([]string{"ergon", "-q", "-o", dir, "--exclusive", name}, waiting...)...)
	c.Env = append(c.Env, env...)
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	k, _ = start(t, c)
	return k, stdin
}

// TestExclusive holds a name against a second ergon, which touches nothing. Afterwards the name is free.
func TestExclusive(t *testing.T) {
	t.Parallel()
	for way, env := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			mark, dir := newMark(), t.TempDir()
			summary, made := filepath.Join(dir, "summary"), filepath.Join(dir, "made")
			if err := os.WriteFile(summary, []byte("of the first"), 0o600); err != nil {
				t.Fatal(err)
			}
			k, letGo := holding(t, mark, filepath.Join(dir, "results"), mark, env)
			runs, err := history.History{Results: filepath.Join(dir, "results")}.List()
			if err != nil || len(runs) != 1 {
				t.Fatalf("%v, %v", runs, err)
			}
			want := fmt.Sprintf("ergon: --exclusive: another ergon holds %q: process %d, run %s (wait for its end, or choose another name)\n", mark, k.Process.Pid, runs[0].Run.ID)
			said, status := another(t, mark, mark, env, "--summary-to", summary, "touch", made)
			if status.ExitStatus() != 125 || said != want {
				t.Errorf("code %d, %q, want %q", status.ExitStatus(), said, want)
			}
			if text, err := os.ReadFile(summary); err != nil || string(text) != "of the first" {
				t.Errorf("the summary of the first: %q, %v", text, err)
			}
			if _, err := os.Stat(made); err == nil {
				t.Error("the command was started")
			}
			if said, status := another(t, mark, "other-"+mark, env, "true"); status != 0 {
				t.Errorf("another name: %#x %q", status, said)
			}
			if err := letGo.Close(); err != nil {
				t.Error(err)
			}
			if _, status := k.end(t); status.ExitStatus() != 7 {
				t.Errorf("the first: %#x", status)
			}
			if said, status := another(t, mark, mark, env, "true"); status != 0 {
				t.Errorf("afterwards: %#x %q", status, said)
			}
		})
	}
}

// TestExclusiveKilled kills the first process of an ergon that holds a name. The name is free, although the command lives on.
func TestExclusiveKilled(t *testing.T) {
	t.Parallel()
	for way, env := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			mark := newMark()
			k, letGo := holding(t, mark, t.TempDir(), mark, env)
			if err := k.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_, _ = k.Process.Wait()                         // the command keeps its stderr open
			eventually(t, "the name is free", func() bool { // the runner dies with the launcher, a moment later
				_, status := another(t, mark, mark, env, "true")
				return status == 0
			})
			if len(marked(mark)) == 0 {
				t.Error("the command has ended, so nothing is proven")
			}
			_ = letGo.Close()
		})
	}
}

// TestExclusiveRunnerKilled kills the runner. What the caller waits for goes on, and holds the name until the command ends.
func TestExclusiveRunnerKilled(t *testing.T) {
	t.Parallel()
	mark := newMark()
	k, letGo := holding(t, mark, t.TempDir(), mark, nil)
	runner := 0
	for _, pid := range childrenOf(t, k.Process.Pid) {
		if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.HasPrefix(string(line), "ergon\x00") {
			runner = pid
		}
	}
	if runner == 0 {
		t.Skip("this build has no launcher")
	}
	if err := syscall.Kill(runner, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the runner has gone", func() bool { return !slices.Contains(childrenOf(t, k.Process.Pid), runner) })
	said, status := another(t, mark, mark, nil, "true")
	if status.ExitStatus() != 125 || !strings.Contains(said, fmt.Sprintf("process %d, run ", k.Process.Pid)) {
		t.Errorf("code %d, %q", status.ExitStatus(), said)
	}
	if err := letGo.Close(); err != nil {
		t.Error(err)
	}
	if _, status := k.end(t); status.ExitStatus() != 7 {
		t.Errorf("the first: %#x", status)
	}
	if said, status := another(t, mark, mark, nil, "true"); status != 0 {
		t.Errorf("afterwards: %#x %q", status, said)
	}
}

// childrenOf lists the children of a process.
func childrenOf(t *testing.T, pid int) (list []int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(string(text)) {
		child, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, child)
	}
	return list
}

// TestExclusiveLeft leaves a process of the command behind. It does not hold the name.
func TestExclusiveLeft(t *testing.T) {
	t.Parallel()
	for way, env := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			mark := newMark()
			for range 2 {
				if said, status := another(t, mark, mark, env, "sh", "-c", "sleep 1000 >/dev/null 2>&1 &"); status != 0 {
					t.Fatalf("%#x %q", status, said)
				}
			}
			if len(marked(mark)) < 2 {
				t.Error("no process was left behind, so nothing is proven")
			}
		})
	}
}

// TestExclusiveLimits starts ergon where Go cannot start. Without the lock the command does not run.
func TestExclusiveLimits(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("bash"); err != nil {
		testenv.Lacks(t, testenv.Bash, "other shells do not set all limits")
	}
	made := filepath.Join(t.TempDir(), "made")
	var text strings.Builder
	c := command(t, newMark(), "bash", "-c", `ulimit -v 150000; exec ergon --exclusive "$0" touch "$1"`, newMark(), made)
	c.Env = append(c.Env, "ERGON_TRACE=")
	c.Stderr = &text
	status := statusOf(t, c.Run())
	if _, err := os.Stat(made); err == nil || status.ExitStatus() != 125 {
		t.Errorf("code %d, the command ran: %v, %q", status.ExitStatus(), err == nil, text.String())
	}
	if strings.Count(text.String(), "\n") != 1 || !strings.Contains(text.String(), "the command cannot be run exclusively: ") {
		t.Errorf("%q", text.String())
	}
}
