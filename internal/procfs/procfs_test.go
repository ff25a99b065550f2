//go:build linux

package procfs

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestOwnProc(t *testing.T) {
	d, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	own, err := d.ReadFile("self/comm")
	if want, _ := os.ReadFile("/proc/self/comm"); err != nil || string(own) != string(want) {
		t.Errorf("comm: %q, %v; want %q", own, err, want)
	}
	if _, err := d.ReadFile("self/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestWhatIsNotProc(t *testing.T) {
	if _, err := OpenAt(t.TempDir()); !errors.Is(err, ErrNotProc) {
		t.Errorf("a plain folder: %v", err)
	}
	if _, err := OpenAt(t.TempDir() + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
}

// TestForeignProc runs this test's program as the first process of a PID namespace with its parent's /proc.
func TestForeignProc(t *testing.T) {
	if os.Getenv("ERGON_TEST_PROC") != "" {
		if err := Check(); !errors.Is(err, ErrForeign) {
			t.Errorf("the parent's /proc: %v", err)
		}
		return
	}
	c := exec.Command("/proc/self/exe", "-test.run=^TestForeignProc$")
	c.Env = append(os.Environ(), "ERGON_TEST_PROC=1")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Getuid() != 0 {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	out, err := c.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("no PID namespace may be made here: %v", err)
	}
	if err != nil || strings.Contains(string(out), "no tests") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestNumbers(t *testing.T) {
	for status, want := range map[string]int{
		"Name:\tx\nPid:\t4711\nNSpid:\t4711\nNSpgid:\t1\n":          1,
		"Name:\tx\nPid:\t4711\nNSpid:\t4711\t2\nNSpgid:\t1\n":       2,
		"Name:\tx\nPid:\t4711\nNSpid:\t4711\t12\t4711\nNSpgid:\t\n": 3,
		"Name:\tx\n": 1,
	} {
		if got := numbers([]byte(status)); got != want {
			t.Errorf("%q: %d, want %d", status, got, want)
		}
	}
}
