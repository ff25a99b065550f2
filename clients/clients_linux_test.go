// Package clients_test checks the files that programs copy to tell ergon what they do.
package clients_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/marks"
)

// received runs a program with a socket, and returns the marks that it sent, as "kind name value" each.
func received(t *testing.T, program *exec.Cmd) []string {
	t.Helper()
	socket, err := marks.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	var got []string
	threads := 0
	r := marks.Receiver{Take: func(list []datamodel.Mark) {
		for _, m := range list {
			text := strings.TrimSpace(fmt.Sprintf("%s %s", m.Kind, m.Name))
			if m.Value != 0 {
				text += fmt.Sprintf(" %g", m.Value)
			}
			if m.ID != "" {
				text += " id " + m.ID
			}
			if m.Thread > 0 {
				threads++
			}
			got = append(got, text)
		}
	}}
	done := make(chan error, 1)
	go func() { done <- r.Receive(socket, time.Now()) }()
	program.Env = append(os.Environ(), marks.Variable+"="+socket.Path())
	if out, err := program.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	socket.Stop()
	if err := <-done; err != nil || r.Bad != 0 || threads != len(got) {
		t.Errorf("%v, %d bad (%v), %d of %d with a thread", err, r.Bad, r.Fault, threads, len(got))
	}
	return got
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("%q, want %q", got, want)
	}
}

const python = `
import os, sys, time
sys.path.insert(0, sys.argv[1])
import ergon_marks as marks

@marks.region("load")
def load():
    return 42

assert load() == 42
with marks.region("train", id=7):
    marks.progress(3, 10)
try:
    with marks.region("fails"):
        raise ValueError("passed on")
except ValueError:
    pass
marks.metric("loss", 0.25)
if os.fork() == 0:
    marks.event("child")
    os._exit(0)
os.wait()
`

func TestPython(t *testing.T) {
	program, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 (apt-get install python3)")
	}
	same(t, received(t, exec.CommandContext(t.Context(), program, "-c", python, ".")),
		"begin load", "end load", "begin train id 7", "progress 0.3", "end train id 7", "begin fails", "end fails", "metric loss 0.25", "event child")
	// Without ergon, and with a socket that is gone, it does nothing.
	for _, env := range [][]string{nil, {marks.Variable + "=/nonexistent/marks"}} {
		c := exec.CommandContext(t.Context(), program, "-c", python, ".")
		c.Env = append(without(os.Environ()), env...)
		if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%q: %v: %s", env, err, out)
		}
	}
}

func without(environ []string) (list []string) {
	for _, v := range environ {
		if !strings.HasPrefix(v, marks.Variable+"=") {
			list = append(list, v)
		}
	}
	return list
}

// TestPythonNeverWaits sends to a receiver that takes nothing.
func TestPythonNeverWaits(t *testing.T) {
	program, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 (apt-get install python3)")
	}
	socket, err := marks.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	c := exec.CommandContext(t.Context(), program, "-c", `
import sys, time
sys.path.insert(0, sys.argv[1])
import ergon_marks as marks
before = time.process_time()
for i in range(5000):
    marks.event("x")
print("sent", time.process_time() - before)
`, ".")
	c.Env = append(os.Environ(), marks.Variable+"="+socket.Path())
	out, err := c.CombinedOutput()
	var seconds float64
	if _, scan := fmt.Sscanf(string(out), "sent %f", &seconds); err != nil || scan != nil || seconds > 0.5 {
		t.Errorf("%v: %s (5000 marks that nobody takes)", err, out)
	}
}

func TestC(t *testing.T) {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler (apt-get install gcc)")
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	source, program := filepath.Join(t.TempDir(), "a.c"), filepath.Join(t.TempDir(), "a.out")
	if err := os.WriteFile(source, []byte(`#include "ergon_marks.h"
int main(void) {
	ergon_begin("solve");
	ergon_progress(1, 4);
	ergon_metric("residual", 1e-3);
	ergon_event("saved");
	ergon_end("solve");
	return 0;
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), compiler, "-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-I", here, "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	same(t, received(t, exec.CommandContext(t.Context(), program)), "begin solve", "progress 0.25", "metric residual 0.001", "event saved", "end solve")
	c := exec.CommandContext(t.Context(), program)
	c.Env = without(os.Environ())
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("without ergon: %v: %s", err, out)
	}
}

// TestShell checks that the function calls `ergon mark` if there is an ergon around the script, and nothing without one.
func TestShell(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ergon"), []byte("#!/bin/sh\nprintf '<%s>' \"$@\"\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	f := func(want string, env ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "sh", "-euc", `. ./ergon_marks.sh; ergon_mark begin "a b"; ergon_mark end x`)
		c.Env = append(without(os.Environ()), env...)
		out, err := c.CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("%q: %v: %s; want %s", env, err, out, want)
		}
	}
	f("")
	f("<mark><begin><a b><mark><end><x>", marks.Variable+"=/x", "PATH="+dir+":"+os.Getenv("PATH"))
	f("", "PATH="+dir+":"+os.Getenv("PATH"))
	f("", marks.Variable+"=/x", "PATH=/nonexistent")
}
