//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// patience is how long a test waits for an event that must come. Only a failure uses it up.
const patience = 60 * time.Second

// markName is an environment variable that the processes of a test have, and no others.
const markName = "ERGON_TEST_MARK"

var madeMarks atomic.Int64

// newMark returns a unique value for the variable.
func newMark() string {
	return fmt.Sprintf("%d-%d-%d", os.Getpid(), time.Now().UnixNano(), madeMarks.Add(1))
}

// same is the mark of processes that must have the same environment.
const same = "same"

// command is a program with a mark. It is killed if the test takes too long. At the end of the test all processes with its mark
// are killed.
func command(t *testing.T, mark string, words ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(func() {
		cancel()
		if mark == same {
			return // there are others
		}
		for _, pid := range marked(mark) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Env = append(os.Environ(), markName+"="+mark, "LC_ALL=C", "GORACE=atexit_sleep_ms=0") // the default is 1 s at each exit
	c.WaitDelay = patience
	return c
}

// marked lists the living processes that have the mark.
func marked(mark string) (found []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		environ, err := os.ReadFile("/proc/" + e.Name() + "/environ") // empty for a zombie
		if err == nil && bytes.Contains(environ, []byte(markName+"="+mark+"\x00")) {
			var pid int
			if _, err := fmt.Sscan(e.Name(), &pid); err == nil {
				found = append(found, pid)
			}
		}
	}
	return found
}

// eventually waits until a condition holds, and fails the test after patience.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// noneLeft waits until no process has the mark.
func noneLeft(t *testing.T, mark string) {
	t.Helper()
	eventually(t, "all processes gone", func() bool { return len(marked(mark)) == 0 })
}

// statusOf returns how a process ended.
func statusOf(t *testing.T, err error) syscall.WaitStatus {
	t.Helper()
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return exit.Sys().(syscall.WaitStatus)
}

// seen is what a command wrote and how it ended. Parts that differ between runs are replaced.
type seen struct {
	out, err, nine string
	status         syscall.WaitStatus
}

func (s seen) String() string {
	return fmt.Sprintf("status %#x, stdout %q, stderr %q, 9 %q", s.status, s.out, s.err, s.nine)
}

var (
	numbers        = regexp.MustCompile(`\d{3,}`)
	socketVariable = regexp.MustCompile(`ERGON_SOCKET=[^\x00]*\x00`)
	ownWord        = regexp.MustCompile(`(?m)^_=.*\n`) // set by the shell, different for each command
)

// observe runs `sh -c 'PROLOGUE; exec WORDS'` with files as stdin, stdout, stderr and descriptor 9.
func observe(t *testing.T, prologue string, env []string, words ...string) seen {
	t.Helper()
	dir := t.TempDir()
	c := command(t, same, append([]string{"/bin/sh", "-c", prologue + "\n" + `exec "$@"`, "sh"}, words...)...)
	c.Env = append(c.Env, env...)
	open := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	in, out, stderr, nine := open("in"), open("out"), open("err"), open("nine")
	if _, err := in.WriteAt([]byte("line\n"), 0); err != nil {
		t.Fatal(err)
	}
	c.Stdin, c.Stdout, c.Stderr = in, out, stderr
	c.ExtraFiles = make([]*os.File, 7)
	c.ExtraFiles[6] = nine // 9
	c.WaitDelay = 0
	s := seen{status: statusOf(t, c.Run())}
	read := func(f *os.File) string {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(b), dir, "DIR")
		return ownWord.ReplaceAllString(text, "")
	}
	s.out, s.err, s.nine = read(out), read(stderr), read(nine)
	return s
}

// The ways ergon can start a target.
var ways = map[string][]string{"held": nil, "direct": {"ERGON_EARLY=off"}}

// TestSame compares what a target sees of itself with and without ergon.
func TestSame(t *testing.T) {
	t.Parallel()
	probes := map[string][]string{
		"signals": {"grep", "-E", "^(Umask|Sig(Blk|Ign|Pnd)|ShdPnd|Cap...|NoNewPrivs|Seccomp|Uid|Gid|Groups|Cpus_allowed|Mems_allowed|NStgid):?", "/proc/self/status"},
		// pgrp, session, tty, foreground group; priority, nice; real-time priority, policy
		"stat":        {"cut", "-d ", "-f5-8,18,19,40,41", "/proc/self/stat"},
		"limits":      {"cat", "/proc/self/limits"},
		"ulimit":      {"sh", "-c", "ulimit -a; ulimit -Sa; ulimit -Ha"},
		"descriptors": {"find", "/proc/self/fd", "-printf", "%f %l\n"},
		"environment": {"cat", "/proc/self/environ"},
		"command":     {"cat", "/proc/self/cmdline", "/proc/self/comm"},
		"place":       {"sh", "-c", "pwd; readlink /proc/$$/cwd /proc/$$/root /proc/$$/exe; cat /proc/$$/oom_score_adj /proc/$$/timerslack_ns /proc/$$/personality"},
		"words":       {"sh", "-c", `printf '<%s>' "$0" "$@"`, "", "--", "-q", "a b", "\xff\n", "*"},
	}
	prologues := map[string]string{
		"plain":   "",
		"ignored": "trap '' TERM USR1 USR2 PIPE HUP INT QUIT CHLD ALRM TSTP TTIN TTOU WINCH CONT",
		"limited": "umask 037; ulimit -Sn 333; ulimit -c 0; ulimit -Ss 4096; cd /; exec 7</dev/zero 5>&9; export X='a=b' Y=",
		"low":     "exec nice -n 5 \"$@\"",
		"closed":  "exec 9>&-",
	}
	for probe, words := range probes {
		for name, prologue := range prologues {
			t.Run(probe+"/"+name, func(t *testing.T) {
				t.Parallel()
				for way, env := range ways {
					want := observe(t, prologue, env, words...)
					if want.out == "" || want.status != 0 {
						t.Fatalf("the probe itself fails: %+v", want)
					}
					if way == "direct" && name == "ignored" && probe == "signals" {
						continue // a limit of launch.Direct, see its doc
					}
					got := observe(t, prologue, env, append([]string{"ergon", "-q", "--no-save"}, words...)...)
					if probe == "environment" { // the one variable that ergon adds
						told := socketVariable.FindAllString(got.out, -1)
						if len(told) != 1 {
							t.Errorf("%s: %d variables for the socket", way, len(told))
						}
						got.out = socketVariable.ReplaceAllString(got.out, "")
						bare := observe(t, prologue, env, append([]string{"ergon", "-q", "--no-save", "--no-marks"}, words...)...)
						differ(t, way+" without marks", stable(probe, bare), stable(probe, want))
					}
					differ(t, way, stable(probe, got), stable(probe, want))
				}
			})
		}
	}
}

// stable replaces process ids that a probe shows, and the shell's last word in an environment.
func stable(probe string, s seen) seen {
	switch probe {
	case "descriptors":
		s.out = numbers.ReplaceAllString(s.out, "N")
	case "environment":
		words := slices.DeleteFunc(strings.Split(s.out, "\x00"), func(w string) bool { return strings.HasPrefix(w, "_=") })
		s.out = strings.Join(words, "\x00")
	case "signals":
		s.out = regexp.MustCompile(`(?m)^NStgid.*\n`).ReplaceAllString(s.out, "")
	}
	return s
}

func differ(t *testing.T, way string, got, want seen) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\ngot  %s\nwant %s", way, got, want)
	}
}

// TestClosedDescriptors closes 0, 1 and 2 in every combination. Closed descriptors stay closed for the target, with every
// consequence.
func TestClosedDescriptors(t *testing.T) {
	t.Parallel()
	script := `find /proc/$$/fd -printf "%f %l\n" >&9; echo out; echo out $? >&9; read l; echo in $? $l >&9; echo err >&2; echo err $? >&9; echo last`
	for mask := range 8 {
		prologue := ""
		for bit, text := range []string{"exec <&-", "exec >&-", "exec 2>&-"} {
			if mask&(1<<bit) != 0 {
				prologue += text + "\n"
			}
		}
		t.Run(strings.ReplaceAll(strings.ReplaceAll(prologue, "exec ", ""), "\n", ""), func(t *testing.T) {
			t.Parallel()
			want := observe(t, prologue, nil, "sh", "-c", script)
			if !strings.Contains(want.nine, "err ") || (want.status.ExitStatus() != 0) != (mask&2 != 0) {
				t.Fatalf("the probe itself: %s", want)
			}
			got := observe(t, prologue, nil, "ergon", "-q", "--no-save", "sh", "-c", script)
			want.nine, got.nine = numbers.ReplaceAllString(want.nine, "N"), numbers.ReplaceAllString(got.nine, "N")
			differ(t, "held", got, want)
		})
	}
}

// TestBlockedSignals starts the command from a thread with blocked signals, with and without ergon.
func TestBlockedSignals(t *testing.T) {
	t.Parallel()
	probe := []string{"grep", "SigBlk", "/proc/self/status"}
	blocked := func(words ...string) string {
		text := make(chan string)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with its mask
			var set unix.Sigset_t
			for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGCHLD, 40} {
				set.Val[0] |= 1 << (s - 1)
			}
			if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil); err != nil {
				text <- err.Error()
				return
			}
			out, err := command(t, newMark(), words...).CombinedOutput()
			text <- fmt.Sprint(string(out), err)
		}()
		return <-text
	}
	want := blocked(probe...)
	if want != fmt.Sprintf("SigBlk:\t%016x\n<nil>", 1<<14|1<<11|1<<27|1<<16|uint64(1)<<39) {
		t.Fatalf("the probe itself: %s", want)
	}
	if got := blocked(append([]string{"ergon", "-q", "--no-save"}, probe...)...); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestLookup compares the search for a command with env(1), which also uses execvp(3).
func TestLookup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, file := range map[string]struct {
		mode fs.FileMode
		text string
	}{
		"first/hello": {0o644, "#!/bin/sh\necho not executable\n"}, "second/hello": {0o755, "#!/bin/sh\necho second \"$0\"\n"},
		"second/bare": {0o755, "echo bare \"$@\"\n"}, "first/folder/x": {0o644, ""}, "second/folder": {0o755, "#!/bin/sh\necho file\n"},
		"here": {0o755, "#!/bin/sh\necho here\n"}, "second/badhash": {0o755, "#!/no/such/interpreter\n"}, "first/plain": {0o644, ""},
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(file.text), file.mode); err != nil {
			t.Fatal(err)
		}
	}
	ergon, err := exec.LookPath("ergon")
	if err != nil {
		t.Fatal(err)
	}
	tell := func(path string, wrapper string, words []string) string {
		c := command(t, newMark(), append([]string{wrapper}, words...)...)
		c.Dir = dir
		c.Env = slices.DeleteFunc(c.Env, func(e string) bool { return strings.HasPrefix(e, "PATH=") })
		if path != "unset" {
			c.Env = append(c.Env, "PATH="+path)
		}
		var out bytes.Buffer
		c.Stdout = &out
		return fmt.Sprintf("%d %s", statusOf(t, c.Run()).ExitStatus(), strings.ReplaceAll(out.String(), dir, "DIR"))
	}
	path := dir + "/first:" + dir + "/second:/usr/bin:/bin"
	for _, c := range []struct {
		path, want string
		words      []string
	}{
		{path, "0 second DIR/second/hello\n", []string{"hello"}},
		{path, "0 bare a b\n", []string{"bare", "a", "b"}},
		{path, "0 file\n", []string{"folder"}},
		{path, "126 ", []string{"plain"}},
		{path, "127 ", []string{"here"}},
		{path, "127 ", []string{"badhash"}},
		{path, "126 ", []string{"./first"}},
		{path, "126 ", []string{"./here/below"}},
		{path, "127 ", []string{"./none"}},
		{path, "0 here\n", []string{"./here"}},
		{":" + path, "0 here\n", []string{"here"}},
		{"second:/bin", "0 second second/hello\n", []string{"hello"}},
		{"unset", "0 x\n", []string{"echo", "x"}},
	} {
		t.Run(c.words[0]+"/"+strings.ReplaceAll(c.path[:1], "/", "path"), func(t *testing.T) {
			t.Parallel()
			if direct := tell(c.path, "/usr/bin/env", c.words); direct != c.want {
				t.Errorf("env: %q, want %q", direct, c.want)
			}
			if got := tell(c.path, ergon, append([]string{"-q", "--no-save"}, c.words...)); got != c.want {
				t.Errorf("ergon: %q, want %q", got, c.want)
			}
		})
	}
}

// TestHandedDown gives the target a socket like an MPI launcher: its number is in the environment.
func TestHandedDown(t *testing.T) {
	t.Parallel()
	for way, env := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
			defer func() { _ = ours.Close() }()
			mark := newMark()
			c := command(t, mark, "ergon", "-q", "--no-save", "sh", "-c",
				`echo cmd=init >&$PMI_FD; read -r answer <&$PMI_FD; echo "$answer" $PMI_RANK`)
			c.Env = append(append(c.Env, "PMI_FD=8", "PMI_RANK=3"), env...)
			c.ExtraFiles = []*os.File{5: theirs} // 8
			var out bytes.Buffer
			c.Stdout = &out
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			socket, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", pair[1]))
			if err != nil {
				t.Fatal(err)
			}
			_ = theirs.Close()
			question := make([]byte, 64)
			n, err := ours.Read(question)
			if string(question[:n]) != "cmd=init\n" {
				t.Errorf("got %q, %v", question[:n], err)
			}
			for _, pid := range marked(mark) { // the sampler does not have the socket
				line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				if !strings.Contains(string(line), "\x00sample\x00") || way == "direct" { // in that way the sampler inherits it
					continue
				}
				fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
				for _, fd := range fds {
					if to, _ := os.Readlink(fd); to == socket {
						t.Errorf("the sampler holds %s: %s", fd, to)
					}
				}
			}
			if _, err := ours.Write([]byte("cmd=response_to_init\n")); err != nil {
				t.Fatal(err)
			}
			if err := c.Wait(); err != nil || out.String() != "cmd=response_to_init 3\n" {
				t.Errorf("%q, %v", out.String(), err)
			}
			if n, err := ours.Read(question); !errors.Is(err, io.EOF) {
				t.Errorf("a process still holds the socket: %d bytes, %v", n, err)
			}
			noneLeft(t, mark)
		})
	}
}

// TestBytes passes 50 MB of binary through.
func TestBytes(t *testing.T) {
	t.Parallel()
	data := make([]byte, 50_000_000)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	c := command(t, newMark(), "ergon", "--no-save", "cat")
	c.Stdin = bytes.NewReader(data)
	sum := sha256.New()
	c.Stdout = sum
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(data); !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Error("stdout differs from stdin")
	}
}

// TestNobodyListens closes the other end of stdout and stderr.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	t.Run("head", func(t *testing.T) {
		t.Parallel()
		for _, words := range []string{"yes", "ergon -q yes", "ergon yes"} {
			dir := t.TempDir()
			c := command(t, newMark(), "sh", "-c", "{ "+words+"; echo $? >"+dir+"/code; } | head -1; cat <"+dir+"/fifo")
			c.Env = append(c.Env, "ERGON_RESULTS="+dir+"/results")
			if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			c.Stdout = &out
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, words+" ended", func() bool { b, _ := os.ReadFile(dir + "/code"); return len(b) > 0 })
			fifo, err := os.OpenFile(dir+"/fifo", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_ = fifo.Close()
			if err := c.Wait(); err != nil || out.String() != "y\n" {
				t.Errorf("%s: %q, %v", words, out.String(), err)
			}
			if code, _ := os.ReadFile(dir + "/code"); string(code) != "141\n" {
				t.Errorf("%s: code %s", words, code)
			}
		}
	})
	for _, what := range []string{"exit 7", "kill -USR1 $$"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			want := statusOf(t, command(t, newMark(), "sh", "-c", what).Run())
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			_ = r.Close()
			defer func() { _ = w.Close() }()
			for _, redirect := range []string{"", "2>&-", "2>/dev/full", ">&- 2>&- <&-"} {
				c := command(t, newMark(), "sh", "-c", `exec "$@" `+redirect, "sh", "ergon", "--progress", "plain", "sh", "-c", what)
				c.Env = append(c.Env, "ERGON_RESULTS="+t.TempDir())
				c.Stderr = w
				if got := statusOf(t, c.Run()); got != want {
					t.Errorf("%q: status %#x, want %#x", redirect, got, want)
				}
			}
		})
	}
}

// TestNested wraps a wrapped command. Both report, and no cgroup of either is left.
func TestNested(t *testing.T) {
	t.Parallel()
	dir, mark := t.TempDir(), newMark()
	c := command(t, mark, "ergon", "-q", "-o", dir+"/outer", "ergon", "-q", "-o", dir+"/inner", "sh", "-c",
		"echo out; cat /proc/self/cgroup >&2; exit 5")
	var out, stderr bytes.Buffer
	c.Stdout, c.Stderr = &out, &stderr
	if status := statusOf(t, c.Run()); status.ExitStatus() != 5 || out.String() != "out\n" {
		t.Errorf("status %#x, stdout %q", status, out.String())
	}
	noneLeft(t, mark)
	for _, which := range []string{"outer", "inner"} {
		run := onlyRun(t, dir+"/"+which)
		if run.ExitCode == nil || *run.ExitCode != 5 {
			t.Errorf("%s: %+v", which, run)
		}
		if strings.Contains(stderr.String(), "/ergon-") && !strings.Contains(stderr.String(), "ergon-"+run.ID) {
			t.Errorf("%s: the target was not in its group:\n%s", which, stderr.String())
		}
		noGroup(t, run.ID)
	}
}

// onlyRun returns the manifest of the only run in a results folder. The run must be complete.
func onlyRun(t *testing.T, results string) datamodel.Run {
	t.Helper()
	runs, err := history.History{Results: results}.List()
	if err != nil || len(runs) != 1 {
		t.Fatalf("%d runs in %s, %v; want 1", len(runs), results, err)
	}
	run, err := store.LoadManifest(runs[0].Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{store.SamplesFile, store.NodesFile, store.MetricsFile} {
		if _, err := os.Stat(filepath.Join(runs[0].Dir, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(runs[0].Dir, store.SpoolFolder)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("spool left: %v", err)
	}
	return run
}

// noGroup checks that no cgroup of a run is left.
func noGroup(t *testing.T, id string) {
	t.Helper()
	for _, path := range groupsOf(id) {
		t.Errorf("left behind: %s", path)
	}
}

// groupsOf lists the cgroups of a run.
func groupsOf(id string) (found []string) {
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, e fs.DirEntry, _ error) error {
		if e != nil && e.IsDir() && e.Name() == "ergon-"+id {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// TestChildren looks from within the command at the children of its parent, which is the first process: the runner and the
// command.
func TestChildren(t *testing.T) {
	t.Parallel()
	out, err := command(t, newMark(), "sh", "-c", `echo $$; exec ergon -q --no-save sh -c 'echo $PPID
for p in $(cat /proc/$PPID/task/*/children); do cat /proc/$p/comm; done'`).Output()
	if err != nil {
		t.Fatal(err)
	}
	if words := strings.Fields(string(out)); len(words) != 4 || words[0] != words[1] || words[2] != "ergon" || words[3] != "sh" {
		t.Errorf("%s", out)
	}
}

// TestExitCodes passes every code through.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	for way, env := range ways {
		for _, code := range []int{0, 1, 2, 77, 120, 124, 125, 126, 127, 128, 137, 143, 255} {
			t.Run(fmt.Sprint(way, code), func(t *testing.T) {
				t.Parallel()
				c := command(t, newMark(), "ergon", "-q", "--no-save", "sh", "-c", fmt.Sprint("exit ", code))
				c.Env = append(c.Env, env...)
				if status := statusOf(t, c.Run()); !status.Exited() || status.ExitStatus() != code {
					t.Errorf("became %#x", status)
				}
			})
		}
	}
}
