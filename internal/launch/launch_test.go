//go:build unix

package launch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestDirect(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name         string
		argv         []string
		code, signal int
		asShell      int
	}{
		{"code", []string{"sh", "-c", "exit 3"}, 3, 0, 3},
		{"signal", []string{"sh", "-c", "kill -KILL $$"}, -1, 9, 137},
		{"argument", []string{"sh", "-c", `[ "$0 $*" = "a b c" ]`, "a", "b", "c"}, 0, 0, 0},
		{"no interpreter line", []string{script("bare", "exit $1\n", 0o755), "4"}, 4, 0, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := hold(t, c.argv...)
			if d.PID() != 0 {
				t.Errorf("process %d before the start", d.PID())
			}
			if err := d.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("signal before the start: %v", err)
			}
			if err := d.Start(); err != nil {
				t.Fatal(err)
			}
			if d.PID() <= 0 {
				t.Errorf("process %d", d.PID())
			}
			if err := d.Exited(); err != nil {
				t.Error(err)
			}
			s, err := d.Reap()
			if err != nil || s.ExitCode != c.code || s.Signal != c.signal || s.Code() != c.asShell {
				t.Errorf("%+v, %v", s, err)
			}
			if !s.Rusage || s.User+s.System <= 0 || s.MaxRSS < 100_000 || s.MinorFaults == 0 {
				t.Errorf("%+v", s)
			}
			if err := d.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("signal after the end: %v", err)
			}
			d.Abandon()
		})
	}
	for _, c := range []struct {
		name, command string
		notFound      bool
	}{
		{"no such name", "no-such-command-here", true},
		{"no such file", "./none", true},
		{"not executable", script("plain", "", 0o644), false},
		{"folder", dir, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := hold(t, c.command).Start()
			var e *ExecError
			if !errors.As(err, &e) || e.NotFound() != c.notFound || e.Command != c.command {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestDeadly(t *testing.T) {
	for _, s := range relayed() {
		want := s != syscall.SIGCONT && s != syscall.SIGWINCH
		if got := (Signal{Number: s}).Deadly(); got != want {
			t.Errorf("%v: %v", s, got)
		}
	}
}

// hold is a command, held by Direct.
func hold(t *testing.T, argv ...string) Target {
	t.Helper()
	d, err := Direct{}.Hold(Command{Argv: argv})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestPlaces checks that a command gets its own folder and its own files.
func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	in, out, errs := filepath.Join(dir, "in"), filepath.Join(dir, "out"), filepath.Join(dir, "errors")
	if err := os.WriteFile(in, []byte("given\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, []byte("a longer text of before"), 0o600); err != nil {
		t.Fatal(err)
	}
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(sub, "tell")
	if err := os.WriteFile(script, []byte("#!/bin/sh\npwd; cat; echo wrong >&2\n"), 0o700); err != nil { //nolint:gosec // it is executed
		t.Fatal(err)
	}
	d, err := Direct{}.Hold(Command{Argv: []string{"./tell"}, Dir: sub, Input: in, Output: out, Errors: errs})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Start(), d.Exited()); err != nil {
		t.Fatal(err)
	}
	if s, err := d.Reap(); err != nil || s.ExitCode != 0 {
		t.Fatal(s, err)
	}
	said, _ := os.ReadFile(out)
	wrong, _ := os.ReadFile(errs)
	if string(said) != sub+"\ngiven\n" || string(wrong) != "wrong\n" {
		t.Errorf("got %q and %q", said, wrong)
	}
	if _, err := (Direct{}).Hold(Command{Argv: []string{"true"}, Input: filepath.Join(dir, "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an input that does not exist: %v", err)
	}
}
