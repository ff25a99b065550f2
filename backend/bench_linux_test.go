package backend

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/sensors"
)

// BenchmarkAgainstC compares the CPU time of a tick with that of testdata/cloop/loop.c. Our tick reads and parses the files
// of the cpu, memory, disk and network families. The C program reads each file once and parses nothing.
//
// The two take turns, so that a busy machine affects both. The results are medians over the rounds, and their ratios. x-C
// is for the whole process, in which a thread of the Go runtime wakes up with every tick. thread-x-C is for the reading
// thread only.
func BenchmarkAgainstC(b *testing.B) {
	program := filepath.Join(b.TempDir(), "loop")
	source := filepath.Join(fixture.Root(b), "testdata", "cloop", "loop.c")
	if out, err := exec.CommandContext(b.Context(), "cc", "-O2", "-o", program, source).CombinedOutput(); err != nil {
		b.Skipf("no C compiler: %v: %s", err, out)
	}
	var sources []sensors.Source
	var rows [][]float64
	for _, backend := range []sensors.Backend{cpu(), memory(), disk(), network()} {
		s, _, err := backend.Open(b.Context(), sensors.Setup{Proc: "/proc", Sys: "/sys"})
		if err != nil {
			b.Skip(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		sources, rows = append(sources, s), append(rows, make([]float64, len(s.Sensors())))
	}
	files := []string{"/proc/stat", "/proc/meminfo", "/proc/diskstats", "/proc/net/dev"}
	for _, c := range []struct {
		name                string
		rate, ticks, rounds int
	}{
		{"full speed", 0, 5000, 15},
		{"100 Hz", 100, 100, 7},
		{"10 Hz", 10, 20, 5},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				var plain, ours, thread []float64
				for range c.rounds {
					plain = append(plain, loopInC(b, program, c.rate, c.ticks, files))
					o, t := loop(b, c.rate, c.ticks, sources, rows)
					ours, thread = append(ours, o), append(thread, t)
				}
				p, o, t := median(plain), median(ours), median(thread)
				b.ReportMetric(p/1e3, "C-us/tick")
				b.ReportMetric(o/1e3, "us/tick")
				b.ReportMetric(o/p, "x-C")
				b.ReportMetric(t/p, "thread-x-C")
			}
		})
	}
}

// median returns the median of v. It sorts v.
func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// loopInC returns the CPU time of a tick of the C program, in ns.
func loopInC(b *testing.B, program string, rate, ticks int, files []string) float64 {
	b.Helper()
	args := append([]string{strconv.Itoa(rate), strconv.Itoa(ticks)}, files...)
	out, err := exec.CommandContext(b.Context(), program, args...).Output()
	if err != nil {
		b.Fatal(err)
	}
	ns, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		b.Fatal(err)
	}
	return ns / float64(ticks)
}

// loop returns the CPU time of one of our ticks, in ns: of the process, including the Go runtime's threads, and of the
// reading thread only. It uses one P, as the sampler does.
func loop(b *testing.B, rate, ticks int, from []sensors.Source, rows [][]float64) (process, thread float64) {
	b.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	clock := func(id int32) int64 {
		var t unix.Timespec
		if err := unix.ClockGettime(id, &t); err != nil {
			b.Fatal(os.NewSyscallError("clock_gettime", err))
		}
		return t.Nano()
	}
	startProcess, startThread := clock(unix.CLOCK_PROCESS_CPUTIME_ID), clock(unix.CLOCK_THREAD_CPUTIME_ID)
	beat := clock(unix.CLOCK_MONOTONIC)
	for range ticks {
		for i, s := range from {
			if err := s.Read(rows[i]); err != nil {
				b.Fatal(err)
			}
		}
		if rate > 0 {
			beat += int64(time.Second) / int64(rate)
			at := unix.NsecToTimespec(beat)
			for errors.Is(unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil), unix.EINTR) {
			}
		}
	}
	process = float64(clock(unix.CLOCK_PROCESS_CPUTIME_ID)-startProcess) / float64(ticks)
	thread = float64(clock(unix.CLOCK_THREAD_CPUTIME_ID)-startThread) / float64(ticks)
	return process, thread
}
