package launch

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	// wrote is what the command of TestIOOfWhatMayNotBeRead writes, in bytes.
	wrote = 3 << 20
	// role says which part of the test a process plays.
	role = "ERGON_TEST_ROLE"
)

// TestIOOfWhatMayNotBeRead measures a command that may not be dumped, as an ordinary user. The kernel does not show the
// bytes of such a command.
func TestIOOfWhatMayNotBeRead(t *testing.T) {
	switch os.Getenv(role) {
	case "command":
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		write(t, os.Getenv("ERGON_TEST_FILE"))
		return
	case "runner":
		measureUnreadable(t)
		return
	}
	dir := t.TempDir()
	c := exec.Command("/proc/self/exe", "-test.run=^TestIOOfWhatMayNotBeRead$", "-test.v")
	if os.Getuid() == 0 {
		const nobody = 65534
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		for d := dir; d != os.TempDir() && len(d) > 1; d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o777); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.Env = append(os.Environ(), role+"=runner", "ERGON_TEST_FILE="+filepath.Join(dir, "file"))
	out, err := c.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) {
		t.Skipf("an ordinary user cannot execute the test: %v", err)
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func write(t *testing.T, path string) {
	f, err := os.Create(path)
	if err == nil {
		_, err = f.Write(make([]byte, wrote))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func measureUnreadable(t *testing.T) {
	before := ioOf(os.Getpid())
	if before == nil {
		t.Skip("no task accounting in this kernel")
	}
	t.Setenv(role, "command")
	d := hold(t, "/proc/self/exe", "-test.run=^TestIOOfWhatMayNotBeRead$")
	if err := errors.Join(d.Start(), d.Exited()); err != nil {
		t.Fatal(err)
	}
	s, err := d.Reap()
	if err != nil || s.ExitCode != 0 {
		t.Fatal(s, err)
	}
	if s.IO == nil || !s.IO.StorageOnly {
		t.Fatalf("the kernel showed the bytes: %+v", s.IO)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(os.Getenv("ERGON_TEST_FILE")), &st); err == nil && st.Type == unix.TMPFS_MAGIC {
		t.Skip("the folder is in memory, so that nothing is written to storage")
	}
	// A file system may write whole pages of its own beside those of the file.
	if s.IO.Written < wrote || s.IO.Written > wrote+1<<20 {
		t.Errorf("%d bytes written, want %d", s.IO.Written, wrote)
	}
}
