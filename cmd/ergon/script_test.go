//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ergon-energy/ergon/internal/fakerapl"
	"github.com/ergon-energy/ergon/internal/marks"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// subject is a program to measure. Its first word says what it does.
func subject() {
	os.Exit(subjectMain(os.Args[1:]))
}

func subjectMain(args []string) int {
	switch args[0] {
	case "exit": // exit N: exits with that code
		n, _ := strconv.Atoi(args[1])
		return n
	case "die": // die N: dies of that signal
		n, _ := strconv.Atoi(args[1])
		_ = syscall.Kill(os.Getpid(), syscall.Signal(n))
		select {}
	case "burn": // burn DURATION: uses that much CPU time
		d, _ := time.ParseDuration(args[1])
		for start := cpuTime(); cpuTime()-start < d; {
		}
	case "marks": // marks [DURATION]: tells of numbered events for that time, or until stdin ends; prints how many the socket took
		d, pause, taken, ended := time.Duration(math.MaxInt64), time.Duration(0), 0, make(chan struct{})
		if len(args) > 1 {
			d, _ = time.ParseDuration(args[1])
		} else {
			_, _ = fmt.Fprintln(os.Stdout, "up")
			pause = 200 * time.Microsecond // a run keeps so many marks only
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin)
				close(ended)
			}()
		}
		for start := time.Now(); time.Since(start) < d; time.Sleep(pause) {
			select {
			case <-ended:
				d = 0
				continue
			default:
			}
			if marks.Send(os.Getenv(marks.Variable), fmt.Appendf(nil, "ERGON_EVENT=%d", taken)) == nil {
				taken++
			}
		}
		_, _ = fmt.Fprintln(os.Stdout, taken)
	case "send": // send N: tells of N events as fast as it can; prints how many the socket took and the CPU time in s
		n, _ := strconv.Atoi(args[1])
		taken, start := 0, cpuTime()
		for i := range n {
			if marks.Send(os.Getenv(marks.Variable), fmt.Appendf(nil, "ERGON_EVENT=%d", i)) == nil {
				taken++
			}
		}
		_, _ = fmt.Fprintln(os.Stdout, taken, (cpuTime() - start).Seconds())
	case "garbage": // garbage N: sends N random datagrams and one event; prints how many of them a receiver must refuse
		n, _ := strconv.Atoi(args[1])
		random, refused := rand.New(rand.NewPCG(1, 2)), 0
		for i := range n {
			b := make([]byte, random.IntN(300))
			for j := range b {
				b[j] = byte(random.IntN(256))
			}
			switch i % 4 {
			case 0: // with a key of ours, and a name that nobody can show
				b = slices.Concat([]byte("ERGON_BEGIN=\x01"), b)
				refused++
			case 1:
				b = slices.Concat([]byte("ERGON_TIME=x"), b)
				refused++
			case 2: // too long
				b = make([]byte, 10_000)
				refused++
			}
			for errors.Is(marks.Send(os.Getenv(marks.Variable), b), marks.ErrFull) {
				runtime.Gosched()
			}
		}
		for errors.Is(marks.Send(os.Getenv(marks.Variable), []byte("ERGON_EVENT=after all")), marks.ErrFull) {
			runtime.Gosched()
		}
		_, _ = fmt.Fprintln(os.Stdout, refused)
	case "hold": // hold BYTES DURATION: touches that much memory and keeps it for that time
		n, _ := strconv.Atoi(args[1])
		d, _ := time.ParseDuration(args[2])
		b := make([]byte, n)
		for i := 0; i < n; i += 4096 {
			b[i] = 1
		}
		<-time.After(d)
		runtime.KeepAlive(b)
	case "spike": // spike BYTES: touches that much memory and gives it back at once
		n, _ := strconv.Atoi(args[1])
		b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
		if err != nil {
			return 1
		}
		for i := 0; i < n; i += 4096 {
			b[i] = 1
		}
		_ = syscall.Munmap(b)
	case "large": // large BYTES COMMAND...: runs the command while it holds that much memory
		n, _ := strconv.Atoi(args[1])
		b := make([]byte, n)
		for i := 0; i < n; i += 4096 {
			b[i] = 1
		}
		c := exec.Command(args[2], args[3:]...)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if c.Run() != nil {
			return 1
		}
		runtime.KeepAlive(b)
	case "without-clone3": // without-clone3 COMMAND: executes it under a filter of system calls
		fmt.Fprintln(os.Stderr, refuseClone3(args[1:]))
		return 99
	case "survive": // survive SIGNAL: prints ready, waits for the signal, prints its number and exits with code 7
		n, _ := strconv.Atoi(args[1])
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.Signal(n))
		fmt.Fprintln(os.Stdout, "ready")
		<-c
		fmt.Fprintln(os.Stdout, "got", n)
		return 7
	}
	return 0
}

// fakeRAPL is the program that moves the counters of a fake powercap tree along a curve.
func fakeRAPL() {
	if err := fakerapl.Command(context.Background(), os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// field checks a value in a JSON file: field FILE PATH REGEXP. PATH is words joined by dots; numbers index arrays. Null is
// written null.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: field FILE PATH REGEXP")
	}
	text, err := json.Marshal(valueAt(ts, args[0], args[1]))
	ts.Check(err)
	text = bytes.Trim(text, `"`)
	if match := regexp.MustCompile("^(?:" + args[2] + ")$").Match(text); match == neg {
		ts.Fatalf("%s: %s is %s, want %s (not: %v)", args[0], args[1], text, args[2], neg)
	}
}

// within checks a time in a JSON file that a busy machine stretches: within FILE PATH LEAST MOST.
func within(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 || neg {
		ts.Fatalf("usage: within FILE PATH LEAST MOST")
	}
	number := func(v any) float64 {
		f, err := strconv.ParseFloat(fmt.Sprint(v), 64)
		ts.Check(err)
		return f
	}
	got, least, most := number(valueAt(ts, args[0], args[1])), number(args[2]), number(args[3])
	switch {
	case got < least:
		ts.Fatalf("%s is %v, want at least %v", args[1], got, least)
	case got > most:
		ts.Value(machineKey{}).(*testenv.Watch).Errorf("%s is %v, want at most %v", args[1], got, most)
	}
}

// machineKey is the key of a script's watch on the machine.
type machineKey struct{}

// scriptTB is a script as a test, for the watch on the machine.
type scriptTB struct {
	testing.TB // all scripts
	script     testscript.T
	name       string
	atEnd      func(func()) // adds a function that runs at the end of the script
}

func (s scriptTB) Helper()                           {}
func (s scriptTB) Cleanup(f func())                  { s.atEnd(f) }
func (s scriptTB) Name() string                      { return s.TB.Name() + "/" + s.name }
func (s scriptTB) Skipf(format string, args ...any)  { s.script.Skip(fmt.Sprintf(format, args...)) }
func (s scriptTB) Errorf(format string, args ...any) { s.script.Fatal(fmt.Sprintf(format, args...)) }

// valueAt returns the value at a path in a JSON file.
func valueAt(ts *testscript.TestScript, file, path string) any {
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(file)))
	d.UseNumber()
	ts.Check(d.Decode(&v))
	for word := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			next, ok := in[word]
			if !ok {
				ts.Fatalf("%s: no field %q in %s", file, word, path)
			}
			v = next
		case []any:
			i, err := strconv.Atoi(word)
			if err != nil || i >= len(in) {
				ts.Fatalf("%s: no element %q in %s", file, word, path)
			}
			v = in[i]
		default:
			ts.Fatalf("%s: nothing below %q in %s", file, word, path)
		}
	}
	return v
}

// validate checks a JSON file against the published schema that it names: schema FILE.
func validate(ts *testscript.TestScript, neg bool, args []string) {
	wd, err := os.Getwd() // the package's folder; only the scripts have one of their own
	ts.Check(err)
	name, _ := valueAt(ts, args[0], "schema").(string)
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(wd, "../../report", strings.Replace(name, "/", "-", 1)+".schema.json"))
	ts.Check(err)
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	if err := schema.Validate(v); (err != nil) != neg {
		ts.Fatalf("%s: %v", args[0], err)
	}
}

// sums checks that the processes of a report add up to the command's CPU time and energy: sums FILE.
func sums(ts *testscript.TestScript, _ bool, args []string) {
	type row struct {
		Time   float64 `json:"cpu_time"`
		Energy float64
	}
	var r struct {
		Summary   map[string]struct{ Value float64 } // 0 if there is none
		Processes struct{ Rows, Names []row }
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	cpu, energy := r.Summary["cpu_time"].Value, r.Summary["target_energy"].Value
	for _, list := range [][]row{r.Processes.Rows, r.Processes.Names} {
		s, joules := 0.0, 0.0
		for _, p := range list {
			s, joules = s+p.Time, joules+p.Energy
		}
		if math.Abs(s-cpu) > 1e-9 || math.Abs(joules-energy) > 1e-9*energy || cpu == 0 {
			ts.Fatalf("%s: the processes have %v s of %v s and %v J of %v J", args[0], s, cpu, joules, energy)
		}
	}
}

// unsaved checks that a folder holds no run: unsaved DIR.
func unsaved(ts *testscript.TestScript, _ bool, args []string) {
	found, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "project=*", "date=*", "run=*"))
	ts.Check(err)
	if len(found) > 0 {
		ts.Fatalf("runs in %s: %v", args[0], found)
	}
}
