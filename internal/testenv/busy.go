package testenv

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// mostPressure is the largest part of the time in which some process may wait for a processor. Twice as many busy
	// processes as processors give 0.7 and more.
	mostPressure = 0.6
	// mostSteal is the largest part of the processors' time that a hypervisor may give to others.
	mostSteal = 0.05
)

// Watch looks at the machine while a test measures something that depends on how busy the machine is.
type Watch struct {
	t     testing.TB
	sys   string // "/proc", or a copy of it
	began time.Time
	first load
}

// load has counts of the kernel since the boot.
type load struct {
	waited        time.Duration // /proc/pressure/cpu, "some": the time in which a process waited for a processor
	stolen, ticks float64       // /proc/stat, line "cpu": the steal time and the sum of all columns, in clock ticks
	known         bool          // whether /proc/pressure/cpu is there
}

// Begin starts to watch.
func Begin(t testing.TB) *Watch {
	t.Helper()
	return begin(t, "/proc")
}

func begin(t testing.TB, proc string) *Watch {
	t.Helper()
	return &Watch{t: t, sys: proc, began: time.Now(), first: read(proc)}
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
	return busy(w.first, read(w.sys), time.Since(w.began))
}

// busy compares the load at two times.
func busy(first, last load, d time.Duration) string {
	if first.known && last.known && d > 0 {
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
		line, _, _ := strings.Cut(string(text), "\n")
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
