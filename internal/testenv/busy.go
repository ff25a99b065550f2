package testenv

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// mostPressure is the largest part of the time in which some process may wait for a processor. Twice as many busy
	// processes as processors give 0.7 and more.
	mostPressure = 0.6
	// leastPressed is the shortest time for which the pressure is used. The kernel brings its total up to date every 2 s.
	leastPressed = 10 * time.Second
	// mostRunnable is the largest mean number of runnable threads per processor. At twice the number of processors, each
	// thread waits half of the time.
	mostRunnable = 1.75
	// mostSteal is the largest part of the processors' time that a hypervisor may give to others.
	mostSteal = 0.05
	// pause is the time between two looks at the number of runnable threads.
	pause = 20 * time.Millisecond
)

// Watch looks at the machine while a test measures something that depends on how busy the machine is.
type Watch struct {
	t     testing.TB
	sys   string // "/proc", or a copy of it
	began time.Time
	first load
	mu    sync.Mutex
	// looks is how often the number of runnable threads was read, runnable is the sum of the numbers without the reader.
	looks, runnable float64
}

// load has counts of the kernel since the boot.
type load struct {
	waited        time.Duration // /proc/pressure/cpu, "some": the time in which a process waited for a processor
	stolen, ticks float64       // /proc/stat, line "cpu": the steal time and the sum of all columns, in clock ticks
	runnable      float64       // /proc/stat, line "procs_running": the threads that run or wait for a processor now
	known         bool          // whether /proc/pressure/cpu is there
}

// Begin starts to watch. The watch ends with the test.
func Begin(t testing.TB) *Watch {
	t.Helper()
	return begin(t, "/proc")
}

func begin(t testing.TB, proc string) *Watch {
	t.Helper()
	w := &Watch{t: t, sys: proc, began: time.Now(), first: read(proc)}
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go w.count(done)
	return w
}

// count reads the number of runnable threads until done is closed.
func (w *Watch) count(done <-chan struct{}) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			w.look()
		}
	}
}

// look reads the number of runnable threads once.
func (w *Watch) look() {
	if l := read(w.sys); l.runnable > 0 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.looks++
		w.runnable += l.runnable - 1
	}
}

// Errorf fails the test. If the machine has been too busy since Begin, it skips the test instead and says why.
func (w *Watch) Errorf(format string, args ...any) {
	w.t.Helper()
	if reason := w.Busy(); reason != "" {
		note(w.t, "busy", reason)
		w.t.Skipf("the machine was busy: %s; "+format, append([]any{reason}, args...)...)
	}
	w.t.Errorf(format, args...)
}

// Busy returns why the machine has been too busy since Begin. It returns "" if it has not, or if that is unknown.
func (w *Watch) Busy() string {
	w.mu.Lock()
	mean := w.runnable / max(w.looks, 1)
	w.mu.Unlock()
	if n := runtime.NumCPU(); mean > mostRunnable*float64(n) {
		return fmt.Sprintf("%.1f threads wanted to run on %d processors", mean, n)
	}
	return busy(w.first, read(w.sys), time.Since(w.began))
}

// busy compares the load at two times.
func busy(first, last load, d time.Duration) string {
	if first.known && last.known && d >= leastPressed {
		if part := float64(last.waited-first.waited) / float64(d); part > mostPressure {
			return fmt.Sprintf("for %.0f %% of %v a process waited for a processor", 100*min(part, 1), d.Round(time.Millisecond))
		}
	}
	if ticks := last.ticks - first.ticks; ticks > 0 {
		if part := (last.stolen - first.stolen) / ticks; part > mostSteal {
			return fmt.Sprintf("the hypervisor took %.0f %% of the processors' time", 100*part)
		}
	}
	return ""
}

// read reads the load. If a file is missing, its part stays zero.
func read(proc string) (l load) {
	if text, err := os.ReadFile(proc + "/pressure/cpu"); err == nil {
		// some avg10=0.27 avg60=0.65 avg300=13.46 total=767982702
		line, _, _ := strings.Cut(string(text), "\n")
		if _, total, ok := strings.Cut(line, " total="); ok {
			if us, err := strconv.ParseInt(total, 10, 64); err == nil {
				l.waited, l.known = time.Duration(us)*time.Microsecond, true
			}
		}
	}
	if text, err := os.ReadFile(proc + "/stat"); err == nil {
		// cpu  user nice system idle iowait irq softirq steal guest guest_nice; the last two are part of the first two
		line, rest, _ := strings.Cut(string(text), "\n")
		if _, n, ok := strings.Cut(rest, "\nprocs_running "); ok {
			n, _, _ = strings.Cut(n, "\n")
			l.runnable, _ = strconv.ParseFloat(n, 64)
		}
		for i, field := range strings.Fields(line) {
			n, err := strconv.ParseFloat(field, 64)
			if err != nil || i > 8 {
				continue
			}
			l.ticks += n
			if i == 8 {
				l.stolen = n
			}
		}
	}
	return l
}
