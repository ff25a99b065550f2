package sampler

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStartBlocksStops checks that the child starts with the terminal's stop signals blocked, and that this thread has its own
// mask again afterwards.
func TestStartBlocksStops(t *testing.T) {
	t.Parallel()
	blocked := func(status string) uint64 {
		t.Helper()
		_, rest, _ := strings.Cut(status, "SigBlk:\t")
		word, _, _ := strings.Cut(rest, "\n")
		mask, err := strconv.ParseUint(word, 16, 64)
		if err != nil {
			t.Fatalf("%q: %v", status, err)
		}
		return mask
	}
	own := func() uint64 {
		t.Helper()
		b, err := os.ReadFile("/proc/thread-self/status")
		if err != nil {
			t.Fatal(err)
		}
		return blocked(string(b))
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := own()
	var out bytes.Buffer
	cmd := exec.Command("cat", "/proc/self/status")
	cmd.SysProcAttr, cmd.Stdout = detached(), &out
	if err := start(cmd); err != nil {
		t.Fatal(err)
	}
	if after := own(); after != before {
		t.Errorf("this thread blocks %#x, before it blocked %#x", after, before)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	child := blocked(out.String())
	for _, s := range []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
		if child&(1<<(s-1)) == 0 {
			t.Errorf("the child does not block %v: %#x", s, child)
		}
	}
	if child&(1<<(unix.SIGTERM-1)) != 0 {
		t.Errorf("the child blocks SIGTERM: %#x", child)
	}
}
