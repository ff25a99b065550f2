//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// terminal is the master side of a pseudo-terminal: what a person types and sees.
type terminal struct {
	*os.File
	cmd  *exec.Cmd
	mu   sync.Mutex
	text []byte // all output so far
	read int    // how much of it has been matched
	more chan struct{}
	over chan struct{} // closed when no process has the terminal open
}

// openTerminal runs a command in its own session with a new terminal of 80 by 24.
func openTerminal(t *testing.T, c *exec.Cmd) *terminal {
	t.Helper()
	c.Env = append(c.Env, "TERM=xterm", "PS1=$ ", "PS2=> ", "HISTFILE=")
	blocking, err := pty.StartWithSize(c, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(blocking.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	_ = blocking.Close()
	_ = unix.SetNonblock(fd, true) // or Close would wait for a Read to return
	f := os.NewFile(uintptr(fd), "terminal")
	m := &terminal{File: f, cmd: c, more: make(chan struct{}, 1), over: make(chan struct{})}
	t.Cleanup(func() {
		_ = f.Close()
		_ = c.Wait()
	})
	go func() {
		defer close(m.over)
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			m.mu.Lock()
			m.text = append(m.text, buf[:n]...)
			m.mu.Unlock()
			select {
			case m.more <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return m
}

// all returns all output so far.
func (m *terminal) all() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.text)
}

// keys types the text.
func (m *terminal) keys(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(m, text); err != nil {
		t.Fatal(err)
	}
}

// see waits for a pattern in the output after the last match and returns its groups.
func (m *terminal) see(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	for {
		m.mu.Lock()
		at := re.FindSubmatchIndex(m.text[m.read:])
		if at != nil {
			var groups []string
			for i := 0; i < len(at); i += 2 {
				groups = append(groups, string(m.text[m.read+at[i]:m.read+at[i+1]]))
			}
			m.read += at[1]
			m.mu.Unlock()
			return groups
		}
		m.mu.Unlock()
		select {
		case <-m.more:
		case <-deadline:
			t.Fatalf("no %q in %q; all: %q", pattern, m.all()[m.read:], m.all())
		}
	}
}

// bash starts an interactive bash with job control.
func bash(t *testing.T, mark string, env ...string) *terminal {
	t.Helper()
	path, err := exec.LookPath("bash")
	if err != nil {
		testenv.Lacks(t, testenv.Bash, err)
	}
	c := command(t, mark, path, "--norc", "--noprofile", "--noediting", "-i")
	c.Env = append(c.Env, env...)
	m := openTerminal(t, c)
	m.see(t, `\$ $`)
	return m
}

// The job control tests also run without ergon, which checks the tests themselves.
func wrappers(t *testing.T, test func(t *testing.T, wrapper string, env ...string)) {
	t.Helper()
	for name, w := range map[string]struct {
		wrapper string
		env     []string
	}{
		"alone": {"", nil}, "held": {"ergon -q --no-save ", ways["held"]}, "direct": {"ergon -q --no-save ", ways["direct"]},
		"shown": {"ergon --no-save --progress off ", nil}, "nested": {"ergon -q --no-save ergon -q --no-save ", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w.wrapper, w.env...)
		})
	}
}

// TestStopAndGoOn stops a command with Ctrl-Z and sends it to the background, where the terminal stops it when it reads. Then it
// brings the command back and ends it with Ctrl-D.
func TestStopAndGoOn(t *testing.T) {
	t.Parallel()
	wrappers(t, func(t *testing.T, wrapper string, env ...string) {
		mark := newMark()
		m := bash(t, mark, env...)
		m.keys(t, wrapper+"cat\n")
		m.see(t, "cat\r\n")
		m.keys(t, "one\n")
		m.see(t, "one\r\none\r\n")
		m.keys(t, "\x1a")
		m.see(t, `Stopped .*cat\r\n\$ $`)
		// The shell sees only its own child stop. cat may still be about to stop, and read one more line.
		eventually(t, "cat stopped", func() bool { return running(mark, "cat\x00", "T") })
		m.keys(t, "jobs; echo rc $?\n")
		m.see(t, `\[1\]\+  Stopped .*cat\r\nrc 0\r\n\$ $`)
		m.keys(t, "bg\n")
		m.see(t, `\[1\]\+ .*cat &`)
		// A read in the background causes SIGTTIN.
		for seen, began := false, time.Now(); !seen; {
			if time.Since(began) > patience/2 {
				t.Fatalf("not stopped within %v: %s", patience/2, states(mark))
			}
			m.keys(t, "jobs; echo rc $?\n")
			state := m.see(t, `\[1\]\+  (Stopped|Running) .*cat.*\r\n(?:[^$]*\r\n)?rc 0\r\n`)
			seen = state[1] == "Stopped"
		}
		m.keys(t, "fg\n")
		m.see(t, "cat\r\n")
		m.keys(t, "two\n")
		m.see(t, "two\r\ntwo\r\n")
		m.keys(t, "\x04")
		m.keys(t, "echo rc $?\n")
		m.see(t, `rc 0\r\n`)
		m.keys(t, "exit\n")
		noneLeft(t, mark)
	})
}

// TestLoop ends a loop of commands with one Ctrl-C. A shell ends the loop only if it sees the command die of SIGINT.
func TestLoop(t *testing.T) {
	t.Parallel()
	wrappers(t, func(t *testing.T, wrapper string, env ...string) {
		mark := newMark()
		m := bash(t, mark, env...)
		m.keys(t, "for i in 1 2 3; do "+wrapper+"sh -c 'echo run$0 no; exec sleep 1000' $i; done; echo o'v'er\n")
		m.see(t, `run1 no\r\n`)
		m.keys(t, "\x03")
		m.see(t, `\$ $`)
		m.keys(t, "echo rc $?\n")
		m.see(t, `rc 130\r\n`)
		if text := m.all(); strings.Contains(text, "run2") || strings.Contains(text, "over\r\n") {
			t.Errorf("the loop went on: %q", text)
		}
		m.keys(t, wrapper+"sleep 1000\n")
		eventually(t, "a sleep", func() bool { return running(mark, "sleep\x001000\x00", "S") })
		m.keys(t, "\x1c")
		m.see(t, `Quit.*\r\n\$ $`)
		m.keys(t, "echo rc $?\n")
		m.see(t, `rc 131\r\n`)
		m.keys(t, "exit\n")
		noneLeft(t, mark)
	})
}

// running reports whether a process with the mark has this command line and state.
func running(mark, cmdline, state string) bool {
	for _, pid := range marked(mark) {
		words, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if string(words) == cmdline && strings.Contains(string(stat), ") "+state+" ") {
			return true
		}
	}
	return false
}

// states returns the states of all threads of the processes with the mark.
func states(mark string) string {
	var b strings.Builder
	for _, pid := range marked(mark) {
		words, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		fmt.Fprintf(&b, "\n%q", words)
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, task := range tasks {
			stat, _ := os.ReadFile(task)
			fmt.Fprintf(&b, "\n\t%.40s", stat)
		}
	}
	return b.String()
}

// TestTyped types Ctrl-C and Ctrl-\ to a command that catches them. The command gets each once, and the report is written.
func TestTyped(t *testing.T) {
	t.Parallel()
	for key, name := range map[string]string{"\x03": "INT", "\x1c": "QUIT"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, mark := t.TempDir(), newMark()
			c := command(t, mark, "ergon", "-q", "-o", dir, "--progress", "off", "sh", "-c", countingOf(name, "USR2"))
			m := openTerminal(t, c)
			m.see(t, `up \d+ \d+\r\n`)
			for range 3 { // it may be typed repeatedly: only signals sent to ergon count
				m.keys(t, key)
				m.see(t, "got\r\n")
			}
			_ = c.Process.Signal(syscall.SIGUSR2)
			m.see(t, "end\r\n")
			if status := statusOf(t, c.Wait()); status.ExitStatus() != 7 {
				t.Errorf("status %#x", status)
			}
			<-m.over
			if n := strings.Count(m.all(), "got"); n != 3 {
				t.Errorf("%d times, want 3: %q", n, m.all())
			}
			if run := onlyRun(t, dir); run.Outcome != datamodel.Cancelled {
				t.Errorf("outcome %v", run.Outcome)
			}
			noneLeft(t, mark)
		})
	}
}

// TestHangUp closes the terminal of an ergon that leads the session. Only ergon gets SIGHUP, and passes it on.
func TestHangUp(t *testing.T) {
	t.Parallel()
	dir, mark := t.TempDir(), newMark()
	c := command(t, mark, "ergon", "-q", "-o", dir+"/results", "sh", "-c",
		`trap 'echo got >>`+dir+`/got; [ -e `+dir+`/go ] && exit 7' HUP; echo up; while :; do sleep 0.01; done 2>/dev/null`)
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := openTerminal(t, c)
	m.see(t, "up\r\n")
	_ = m.Close()
	if status := statusOf(t, c.Wait()); status.ExitStatus() != 7 {
		t.Errorf("status %#x", status)
	}
	if got, _ := os.ReadFile(dir + "/got"); string(got) != "got\n" {
		t.Errorf("%q", got)
	}
	if run := onlyRun(t, dir+"/results"); run.Outcome != datamodel.Cancelled {
		t.Errorf("outcome %v", run.Outcome)
	}
	noneLeft(t, mark)
}

// TestTerminal compares what a foreground command sees of its terminal with and without ergon.
func TestTerminal(t *testing.T) {
	t.Parallel()
	probe := `tty; stty -a; for f in 0 1 2; do test -t $f && echo tty $f; done; : </dev/tty && echo /dev/tty
read -r pid comm state ppid pgrp session tty tpgid rest </proc/$$/stat; [ $pgrp = $tpgid ] && echo foreground; ` +
		`[ $pgrp = $session ] && echo leader; echo '<'; exit 3`
	show := func(words ...string) string {
		c := command(t, newMark(), words...)
		m := openTerminal(t, c)
		m.see(t, "<\r\n")
		if status := statusOf(t, c.Wait()); status.ExitStatus() != 3 {
			t.Errorf("status %#x", status)
		}
		return regexp.MustCompile(`/dev/pts/\d+`).ReplaceAllString(m.all(), "PTS")
	}
	want := show("sh", "-c", probe)
	if !strings.Contains(want, "tty 2") || !strings.Contains(want, "foreground") {
		t.Fatal(want)
	}
	if got := show("ergon", "-q", "--no-save", "sh", "-c", probe); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// statusLine matches a drawn status line: it is below the cursor, and the cursor does not move.
var statusLine = regexp.MustCompile("\x1b\\[J\x1bD\x1bM\x1b7\x1bD\rergon 0:0[0-9][^\x1b\r\n]*\x1b8")

// TestStatusLine checks the status line while a command runs.
func TestStatusLine(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, script string, options ...string) string {
		t.Helper()
		term, file := "xterm", filepath.Join(t.TempDir(), "out")
		if len(options) > 0 && options[0] == "dumb" {
			term, options = options[0], options[1:]
		}
		words := append(append([]string{"sh", "-c", `exec "$@" >` + file, "sh", "env", "TERM=" + term, "ergon", "--no-save", "-q"}, options...), "sh", "-c", script)
		c := command(t, newMark(), words...)
		m := openTerminal(t, c)
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
		<-m.over
		if out, err := os.ReadFile(file); string(out) != "out\n" {
			t.Errorf("stdout %q, %v", out, err)
		}
		return m.all()
	}
	const long = "sleep 3.3"
	t.Run("auto", func(t *testing.T) {
		t.Parallel()
		text := run(t, "echo out; printf 'name? ' >&2; "+long)
		lines := statusLine.FindAllString(text, -1)
		if len(lines) == 0 || !strings.HasSuffix(lines[0], "\x1b8") || strings.Contains(lines[0], "0:01") || !strings.Contains(lines[0], "cpu") {
			t.Errorf("%q", text)
		}
		if rest := statusLine.ReplaceAllString(text, ""); rest != "name? \x1b[J" {
			t.Errorf("beside the line: %q", rest)
		}
	})
	for name, options := range map[string][]string{"off": {"--progress", "off"}, "plain": {"--progress=plain"}, "dumb": {"dumb"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if text := run(t, "echo out; "+long, options...); text != "" {
				t.Errorf("%q", text)
			}
		})
	}
	t.Run("short", func(t *testing.T) {
		t.Parallel()
		if text := run(t, "echo out; sleep 1.2"); text != "" {
			t.Errorf("%q", text)
		}
	})
	t.Run("raw", func(t *testing.T) { // like less and vim
		t.Parallel()
		if text := run(t, "echo out; stty -icanon; "+long+"; stty icanon"); text != "" {
			t.Errorf("drawn over: %q", text)
		}
	})
	t.Run("background", func(t *testing.T) {
		t.Parallel()
		mark := newMark()
		m := bash(t, mark)
		m.keys(t, "ergon --no-save -q sleep 3.3 &\n")
		m.see(t, `\[1\] \d+\r\n`)
		m.keys(t, "wait; echo rc $?\n")
		m.see(t, `rc 0\r\n`)
		if strings.Contains(m.all(), "ergon 0:") {
			t.Errorf("drawn over: %q", m.all())
		}
		m.keys(t, "exit\n")
		noneLeft(t, mark)
	})
	t.Run("pipe", func(t *testing.T) { // neither a terminal nor CI: no line
		t.Parallel()
		c := command(t, newMark(), "ergon", "--no-save", "-q", "sh", "-c", "echo out; sleep 2.3")
		c.Env = append(c.Env, "CI=")
		var stderr bytes.Buffer
		c.Stderr = &stderr
		if out, err := c.Output(); err != nil || string(out) != "out\n" || stderr.Len() > 0 {
			t.Errorf("%q, %q, %v", out, stderr.String(), err)
		}
	})
}
