package lineage

import (
	"os"
	"os/exec"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestLineage checks which processes belong to the target. A descendant does. An orphan is recognized only by its cgroup, or
// by the runner that adopted it.
func TestLineage(t *testing.T) {
	shell, child, orphan := testenv.Parentage(t)
	l := New(shell, 0)
	f := func(pid int, member, known bool) {
		t.Helper()
		if m, k := l.Has(pid); m != member || k != known {
			t.Errorf("process %d: member %v, known %v", pid, m, k)
		}
	}
	f(shell, true, true)
	f(child, true, true)
	f(orphan, false, true)
	f(os.Getpid(), false, true)
	f(1, false, true)
	f(0, false, false)
	f(1<<30, false, false)

	// The runner is this process. Its earlier children and the sampler do not belong to the target.
	s, ok := statOf(orphan)
	if !ok {
		t.Fatal("the orphan has ended")
	}
	l = New(shell, s.parent)
	f(child, true, true)
	if l.others = nil; s.parent > 1 {
		l.known = map[int]kin{}
		f(orphan, true, true)
	}
	// The answer for a known process stays the same after its end.
	c := exec.CommandContext(t.Context(), "sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	l = New(c.Process.Pid, 0)
	f(c.Process.Pid, true, true)
	_ = c.Process.Kill()
	_ = c.Wait()
	f(c.Process.Pid, true, true)
	// The target's group includes the groups below it.
	for line, in := range map[string]bool{"4:cpu:/a": true, "4:cpu:/a/b": true, "4:cpu:/ab": false, "5:cpu:/a": false} {
		l.groups = []string{"4:cpu:/a"}
		if got := l.within(line); got != in {
			t.Errorf("%s is in the group: %v", line, got)
		}
	}
}
