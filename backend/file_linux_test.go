package backend

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOpenQuick checks that only files of procfs are read by calls that bypass the scheduler, whatever the root is called.
func TestOpenQuick(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "stat"), []byte("cpu 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "proc")
	if err := os.Symlink("/proc", link); err != nil {
		t.Fatal(err)
	}
	isQuick := func(root string, want bool) {
		t.Helper()
		f, err := openQuick(root, "stat")
		if err != nil {
			t.Fatal(err)
		}
		if f.quick != want {
			t.Errorf("%s/stat: quick is %t, want %t", root, f.quick, want)
		}
		if b, err := f.read(); err != nil || len(b) < len("cpu 1") {
			t.Errorf("%s/stat: %q, %v", root, b, err)
		}
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}
	isQuick("/proc", true)
	isQuick(link, true)
	isQuick(dir, false)
}

// TestOpenQuickMounted checks that a file which is mounted over a file of procfs, as by lxcfs, is read through the scheduler.
func TestOpenQuickMounted(t *testing.T) {
	const there = "ERGON_TEST_MOUNTED"
	if os.Getenv(there) == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.CommandContext(t.Context(), self, "-test.run=^TestOpenQuickMounted$", "-test.v")
		c.Env = append(os.Environ(), there+"=1")
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		out, err := c.CombinedOutput()
		var exit *exec.ExitError
		switch {
		case err != nil && !errors.As(err, &exit):
			t.Skipf("cannot make a mount namespace: %v", err)
		case exit != nil && exit.ExitCode() == cannotMount:
			t.Skip("cannot mount a file over /proc/stat")
		case err != nil:
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	stat := filepath.Join(t.TempDir(), "stat")
	if err := os.WriteFile(stat, []byte("cpu 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(stat, "/proc/stat", "", unix.MS_BIND, ""); err != nil {
		os.Exit(cannotMount)
	}
	for name, want := range map[string]bool{"stat": false, "meminfo": true} {
		f, err := openQuick("/proc", name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := f.read()
		if err != nil || f.quick != want || (string(b) == "cpu 1\n") == want {
			t.Errorf("/proc/%s: quick is %t, want %t; %v, %.40q", name, f.quick, want, err, b)
		}
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}
}

// cannotMount is the exit code of the child of TestOpenQuickMounted if it may not mount.
const cannotMount = 77
