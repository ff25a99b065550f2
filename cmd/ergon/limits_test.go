//go:build linux && cgo

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// goes matches what a crash of the Go runtime writes.
var goes = regexp.MustCompile(`goroutine|runtime\.|SIGABRT|\.go:\d+`)

// TestLimits measures under limits that leave Go too little, on every level. The command always runs exactly once, with its own
// exit code and output. What ergon has to say is one line.
func TestLimits(t *testing.T) {
	t.Parallel()
	dir, program := openToAll(t)
	if _, err := exec.LookPath("bash"); err != nil {
		testenv.Lacks(t, testenv.Bash, "other shells do not set all limits")
	}
	if err := os.Chmod(dir, 0o777); err != nil { // for the results of an ordinary user
		t.Fatal(err)
	}
	// The caller of the tests may have left descriptors open, as flock does. With 4 of them, the loader cannot open libc.
	const alone = `for f in /proc/$$/fd/*; do f=${f##*/}; [ "$f" -le 2 ] || eval "exec $f>&-"; done; `
	type limit struct {
		flag   string
		values []string
	}
	for _, l := range []limit{
		{"-v", []string{"150000", "300000", "500000", "700000", "1000000", "1200000", "1500000", "2000000", "4000000"}},
		{"-d", []string{"50000", "100000", "200000", "500000", "1000000"}},
		{"-f", []string{"0", "1", "8", "100"}},
		{"-n", []string{"4", "12", "20", "32", "47", "48", "64"}},
		{"-Sn", []string{"4", "10", "20"}},
		{"-Sv", []string{"300000"}},
		{"-t", []string{"1", "2"}},
		{"-s", []string{"256", "1000000"}},
		{"-u", []string{"1", "2", "4", "8", "16"}},
	} {
		t.Run(l.flag, func(t *testing.T) {
			t.Parallel()
			for i, value := range l.values {
				if testenv.RaceDetector && value == "4" && strings.HasSuffix(l.flag, "n") {
					continue // ld.so needs a fifth descriptor for the libraries of the race detector
				}
				for _, kept := range []bool{false, true} {
					results := filepath.Join(dir, fmt.Sprint("results", l.flag, i))
					options := []string{"-q", "--no-save"}
					if kept {
						options = []string{"-q", "-o", results}
					}
					words := append([]string{"-c", alone + "ulimit " + l.flag + " " + value + ` && exec "$@"`, "sh", program}, options...)
					c := exec.CommandContext(t.Context(), "bash", append(words, "sh", "-c", "echo ran; exit 3")...)
					c.Env = append(os.Environ(), "ERGON_EARLY=ergon", "ERGON_TRACE=")
					c.Dir = dir
					if l.flag == "-u" && os.Getuid() == 0 { // the limit is not for root
						c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
					}
					unharmed(t, l.flag+" "+value+" "+strings.Join(options[:2], " "), c)
				}
			}
		})
	}
}

// unharmed runs ergon with a command that prints "ran" and exits with code 3.
func unharmed(t *testing.T, name string, c *exec.Cmd) {
	t.Helper()
	var out, said strings.Builder
	c.Stdout, c.Stderr = &out, &said
	err := c.Run()
	if status := statusOf(t, err); status.ExitStatus() != 3 || out.String() != "ran\n" {
		t.Errorf("%s: %v, stdout %q, stderr %q", name, err, out.String(), said.String())
	}
	if text := said.String(); goes.MatchString(text) && strings.Count(text, "\n") > 1 || strings.Count(text, "\n") > 2 {
		t.Errorf("%s: stderr %q", name, text)
	}
}

// pidsGroup makes a cgroup that limits the number of processes. A command joins it by the file that is returned.
func pidsGroup(t *testing.T, most int) (join string) {
	t.Helper()
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to make a cgroup")
	}
	root := "/sys/fs/cgroup/pids"
	if _, err := os.Stat(root); err != nil {
		root = "/sys/fs/cgroup"
	}
	group := filepath.Join(root, fmt.Sprintf("ergon-test-%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-")))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skipf("no cgroup can be made: %v", err)
	}
	t.Cleanup(func() {
		eventually(t, "the cgroup is empty", func() bool {
			err := os.Remove(group)
			return err == nil
		})
	})
	if err := os.WriteFile(filepath.Join(group, "pids.max"), []byte(strconv.Itoa(most)), 0o644); err != nil {
		t.Skipf("the number of processes cannot be limited here: %v", err)
	}
	return filepath.Join(group, "cgroup.procs")
}

// inGroup executes words in the cgroup.
func inGroup(t *testing.T, join string, words ...string) *exec.Cmd {
	c := command(t, newMark(), append([]string{"sh", "-c", "echo $$ >" + join + ` && exec "$@"`, "sh"}, words...)...)
	c.Env = append(c.Env, "ERGON_TRACE=")
	return c
}

// TestFewProcesses measures where few processes and threads are allowed.
func TestFewProcesses(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20} {
		t.Run(strconv.Itoa(most), func(t *testing.T) {
			t.Parallel()
			join := pidsGroup(t, most)
			for range 3 {
				unharmed(t, t.Name(), inGroup(t, join, "ergon", "-q", "-o", t.TempDir(), "sh", "-c", "echo ran; exit 3"))
			}
		})
	}
}

// TestNoMoreProcesses allows a single process. The line that tells why nothing is measured names the limit.
func TestNoMoreProcesses(t *testing.T) {
	t.Parallel()
	c := inGroup(t, pidsGroup(t, 1), "ergon", "-q", "--no-save", "sh", "-c", "exit 3")
	out, err := c.CombinedOutput()
	if status := statusOf(t, err); status.ExitStatus() != 3 || !strings.Contains(string(out), "no more processes may be started (ulimit -u, or pids.max of the cgroup)") {
		t.Errorf("%#x: %s", status, out)
	}
}

// TestAllProcessesTaken lets the command take every process that is left. Whatever becomes of ergon, the command's code counts.
func TestAllProcessesTaken(t *testing.T) {
	t.Parallel()
	join := pidsGroup(t, 60)
	// A shell that cannot fork ends, so an inner one takes them.
	const inner = `sh -c 'while :; do sleep 1000 & done' >/dev/null 2>&1; echo ran; exit 3`
	mark := newMark()
	c := command(t, mark, "sh", "-c", "echo $$ >"+join+` && exec "$@"`, "sh", "ergon", "-q", "-o", t.TempDir(), "--interval", "10ms", "sh", "-c", inner)
	c.Env = append(c.Env, "ERGON_TRACE=")
	var out, said strings.Builder
	c.Stdout, c.Stderr = &out, &said
	if status := statusOf(t, c.Run()); status.ExitStatus() != 3 || out.String() != "ran\n" {
		t.Errorf("%v, stdout %q, stderr %q", status, out.String(), said.String())
	}
	if text := said.String(); strings.Count(text, "\n") > 3 {
		t.Errorf("stderr %q", text)
	}
}

// TestNoClone3 has a filter of system calls that keeps libc from making threads.
func TestNoClone3(t *testing.T) {
	t.Parallel()
	for _, options := range [][]string{{"-q", "--no-save"}, {"-q", "-o", t.TempDir()}} {
		words := append([]string{"subject", "without-clone3", "ergon"}, options...)
		c := command(t, newMark(), append(words, "sh", "-c", "echo ran; exit 3")...)
		c.Env = append(c.Env, "ERGON_TRACE=")
		unharmed(t, "without clone3", c)
	}
}

// TestNoSharedMemory hides /dev/shm, and with it what a temporary file system may be for.
func TestNoSharedMemory(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to unmount")
	}
	if err := exec.CommandContext(t.Context(), "unshare", "-m", "umount", "-l", "/dev/shm").Run(); err != nil {
		t.Skipf("/dev/shm cannot be unmounted here: %v", err)
	}
	for _, options := range []string{"--no-save", "-o " + t.TempDir()} {
		unharmed(t, options, command(t, newMark(), "unshare", "-m", "sh", "-c",
			"umount -l /dev/shm && exec ergon -q "+options+" sh -c 'sleep 0.2; echo ran; exit 3'"))
	}
}

// TestOtherSubcommandsSayWhatIsTooSmall has a limit under which only C code runs.
func TestOtherSubcommandsSayWhatIsTooSmall(t *testing.T) {
	t.Parallel()
	c := command(t, newMark(), "sh", "-c", "ulimit -v 300000; exec ergon ls")
	c.Env = append(c.Env, "ERGON_TRACE=")
	out, err := c.CombinedOutput()
	if status := statusOf(t, err); status.ExitStatus() != 125 || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "(ulimit -v 300000)") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestUnmeasuredAsAnotherUser has a command that cannot be measured, and that must not run as root.
func TestUnmeasuredAsAnotherUser(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"ulimit -v 300000", "ulimit -n 20"} {
		c := command(t, newMark(), "sh", "-c", limit+"; exec ergon --user nobody sh -c 'echo ran'")
		c.Env = append(c.Env, "ERGON_TRACE=")
		out, err := c.CombinedOutput()
		if status := statusOf(t, err); status.ExitStatus() != 125 || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "as another user") {
			t.Errorf("%s: %v: %s", limit, err, out)
		}
	}
}

// TestOtherSubcommandsDie ends a subcommand that measures nothing by a signal. ergon dies of the same signal, without a word.
func TestOtherSubcommandsDie(t *testing.T) {
	t.Parallel()
	const size = 4096 // the least that a pipe can hold, less than the help
	for _, s := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, size); err != nil {
			t.Fatal(err)
		}
		c := command(t, newMark(), "ergon", "help")
		c.Env = append(c.Env, "ERGON_TRACE=")
		var said strings.Builder
		c.Stdout, c.Stderr = w, &said
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		eventually(t, "the first line", func() bool {
			n, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ)
			return err == nil && n > 0
		})
		if s == syscall.SIGPIPE {
			_ = r.Close()
		} else {
			t.Cleanup(func() { _ = r.Close() })
			_ = c.Process.Signal(s)
		}
		if status := statusOf(t, c.Wait()); status.Signal() != s || said.Len() > 0 {
			t.Errorf("%v: became %#x, stderr %q", s, status, said.String())
		}
	}
}
