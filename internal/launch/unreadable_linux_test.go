package launch

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
		tellOwn(t, os.Getenv("ERGON_TEST_FILE")+".own")
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

// tellOwn writes to a file how many bytes this process has written to storage so far, as the kernel counts them. They may be
// more than those of its files. If another process syncs while a large folio is being filled, the whole folio counts again.
func tellOwn(t *testing.T, path string) {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	own := ioOf(os.Getpid())
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if own == nil {
		t.Fatal("a process cannot read its own counts")
	}
	if err := os.WriteFile(path, strconv.AppendInt(nil, int64(own.Written), 10), 0o600); err != nil {
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
	text, err := os.ReadFile(os.Getenv("ERGON_TEST_FILE") + ".own")
	if err != nil {
		t.Fatal(err)
	}
	own, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || own < wrote {
		t.Fatalf("the command counted %q bytes, want %d at least: %v", text, wrote, err)
	}
	// After its own reading the command still writes that reading, with the metadata of the file system.
	if got := int64(s.IO.Written); got < own || got > own+1<<18 {
		t.Errorf("%d bytes written, the command itself counted %d", got, own)
	}
}
