package backend

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// userHZ is the number of ticks a second in the times of /proc. Programs always see 100, whatever the kernel's own HZ
// (time(7)). Only Alpha differs, which Go does not support.
const userHZ = 100

// cpuSource reads /proc/stat, which begins
//
//	cpu  7026 0 2962 204201 359 0 58 21 0 0
//	cpu0 3219 0 1160 102906 16 0 13 7 0 0
//	cpu1 3807 0 1802 101294 342 0 44 14 0 0
//	intr 332031 0 0 …
type cpuSource struct {
	stat *file
	list []sensors.Sensor
	// slot is the index in cpus of each processor, by its number. It is negative if the processor was not online when the
	// source was opened. A processor that goes offline later has no line and reads NaN.
	slot []int
	cpus []processor // cpus[0] is the whole machine
	// modes is the number of modes that the kernel counts. Old ones and some imitations count fewer than nModes.
	modes int
	// pressure is the last reading, if the kernel has it.
	pressure pressure
	// began is when the source was opened, and readAt is the time of the last reading since then.
	began  time.Time
	readAt time.Duration
	// all has a reading of every sensor, and keep the places in it of those in the list. Both are nil if the kernel counts
	// everything.
	all  []float64
	keep []int
}

func openCPU(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	stat, err := openQuick(setup.Proc, "stat")
	if err != nil {
		return nil, nil, unreadable(setup.Proc+"/stat", err)
	}
	b, err := stat.read()
	if err != nil {
		return nil, nil, errors.Join(unreadable(stat.path, err), stat.close())
	}
	c := &cpuSource{began: time.Now(), stat: stat, list: inSteps(cpuSensors(-1, stat.path), units.Second, 1.0/userHZ), cpus: make([]processor, 1)}
	whole := b
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		n, times, ok := cpuLine(l)
		if !ok {
			break
		}
		if c.modes == 0 {
			c.modes = numbers(times)
		}
		if n < 0 {
			continue
		}
		for len(c.slot) <= n {
			c.slot = append(c.slot, -1)
		}
		if c.slot[n] < 0 {
			c.slot[n] = len(c.cpus)
			c.cpus = append(c.cpus, processor{})
			c.list = append(c.list, inSteps(cpuSensors(n, stat.path), units.Second, 1.0/userHZ)...)
		}
	}
	if len(c.cpus) == 1 {
		return nil, nil, errors.Join(unavailable(sensors.Unreadable, stat.path+": lists no processor"), c.Close())
	}
	c.list = append(c.list, placed("cpu", "", "forks", sensors.Sensor{
		Unit: units.Processes, Kind: sensors.Counter, Use: sensors.Forks, Source: stat.path,
		Doc: "processes and threads started on the whole machine",
	}))
	absences := c.leaveOut(whole)
	if p, ok := openPressure(setup, "cpu"); ok {
		c.pressure = p
		c.list = append(c.list, p.sensor("cpu", sensors.CPUPressure, "time in which some task that could run waited for a processor"))
	}
	return c, absences, nil
}

// numbers returns how many numbers b begins with, at most nModes.
func numbers(b []byte) int {
	for n := range nModes {
		var ok bool
		if _, b, ok = number(b); !ok {
			return n
		}
	}
	return nModes
}

// leaveOut takes what the kernel does not count out of the list. b is the content of the file.
func (c *cpuSource) leaveOut(b []byte) []sensors.Absence {
	first := make([]float64, len(c.list))
	c.parse(b, 0, first)
	for i := range c.cpus {
		c.cpus[i].seen = false
	}
	var absences []sensors.Absence
	var keep []int
	for i, s := range c.list {
		if math.IsNaN(first[i]) && s.Kind == sensors.Counter {
			absences = append(absences, absent(s, c.stat.path, &absenceError{sensors.Unsupported, "not counted by this kernel"}))
		} else {
			keep = append(keep, i)
		}
	}
	if len(absences) == 0 {
		return nil
	}
	c.all, c.keep = first, keep
	list := make([]sensors.Sensor, len(keep))
	for i, k := range keep {
		list[i] = c.list[k]
	}
	c.list = list
	return absences
}

// cpuLine splits a processor's line into its number and its times. The number of the whole machine is -1.
func cpuLine(l []byte) (n int, times []byte, ok bool) {
	w, times := word(l)
	digits, ok := bytes.CutPrefix(w, []byte("cpu"))
	if !ok || len(digits) == 0 {
		return -1, times, ok
	}
	u, _, ok := number(digits)
	if !ok || u >= mostCPUs {
		return 0, nil, false
	}
	return int(u), times, true
}

func (c *cpuSource) Sensors() []sensors.Sensor { return c.list }

func (c *cpuSource) Read(dst []float64) error {
	b, err := c.stat.read()
	if err != nil {
		missing(dst)
		return err
	}
	if c.keep == nil {
		c.parse(b, time.Since(c.began), dst)
	} else {
		c.parse(b, time.Since(c.began), c.all)
		for i, k := range c.keep {
			dst[i] = c.all[k]
		}
	}
	if c.pressure.f != nil {
		dst[len(dst)-1] = c.pressure.read()
	}
	return nil
}

// parse sets dst from the lines of the processors, which come first, and from the count of forks far below them:
//
//	processes 26442
//
// read is the time of the reading.
func (c *cpuSource) parse(b []byte, read time.Duration, dst []float64) {
	missing(dst)
	elapsed := (read - c.readAt).Seconds() * userHZ
	c.readAt = read
	taken, whole := 0.0, false
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		n, times, ok := cpuLine(l)
		if !ok {
			break
		}
		at := 0
		if n >= 0 {
			if n >= len(c.slot) || c.slot[n] < 0 {
				continue
			}
			at = c.slot[n]
		}
		p := &c.cpus[at]
		var now [nModes]float64
		for m := range now {
			if m >= c.modes {
				now[m] = math.NaN()
				continue
			}
			var ticks uint64
			if ticks, times, ok = number(times); !ok {
				break
			}
			now[m] = float64(ticks)
		}
		if !ok {
			continue
		}
		p.read(now, userHZ, dst[at*perCPU:(at+1)*perCPU])
		if at == 0 {
			whole = true
			continue
		}
		if elapsed >= 1 { // a tick
			taken += p.settle(elapsed, userHZ)
		}
		dst[at*perCPU+nModes] = p.utilization()
	}
	if whole { // its spare time is the sum over the processors
		c.cpus[0].spare += taken
		dst[nModes] = c.cpus[0].utilization()
	}
	if i := bytes.Index(b, []byte("\nprocesses ")); i >= 0 {
		if n, _, ok := number(b[i+len("\nprocesses "):]); ok {
			dst[len(c.cpus)*perCPU] = float64(n)
		}
	}
	// A processor without a line starts anew at its next reading.
	for i := range c.cpus {
		if math.IsNaN(dst[i*perCPU]) {
			c.cpus[i].seen = false
		}
	}
}

func (c *cpuSource) Close() error { return errors.Join(c.stat.close(), c.pressure.f.close()) }

// cpufreqSource reads a file with one number for each processor.
type cpufreqSource struct {
	files []*file
	list  []sensors.Sensor
}

// openCPUFreq opens /sys/devices/system/cpu/cpuN/cpufreq/scaling_cur_freq. It has the frequency in kHz at which the
// hardware runs. If that is unknown, it has the last requested frequency (Documentation/admin-guide/pm/cpufreq.rst).
func openCPUFreq(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	dir, err := resolve(setup.Sys, cpus)
	if err != nil {
		return nil, nil, unreadable(setup.Sys+"/"+cpus, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, unreadable(dir, err)
	}
	var numbers []int
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "cpu")
		if n, err := strconv.Atoi(digits); ok && err == nil && n >= 0 && strconv.Itoa(n) == digits {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	c := &cpufreqSource{}
	var absences []sensors.Absence
	for _, n := range numbers {
		device := "cpu" + strconv.Itoa(n)
		path := cpus + "/" + device + "/cpufreq/scaling_cur_freq"
		f, err := openBelow(setup.Sys, path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		s := placed("cpu", device, "frequency", sensors.Sensor{
			Unit: units.Hertz, Kind: sensors.Gauge, Use: sensors.CPUFrequency, CPUs: strconv.Itoa(n), Resolution: 1e3,
			Range: sensors.Range{Most: 1e11, Runs: true}, Doc: "clock frequency, as last known to the kernel",
		})
		if err == nil {
			_, err = f.read()
		}
		if err != nil {
			_ = f.close() // nothing was written, and the first error says more
			absences = append(absences, absent(s, setup.Sys+"/"+path, err))
			continue
		}
		s.Source = f.path
		c.files, c.list = append(c.files, f), append(c.list, s)
	}
	switch {
	case len(c.files) > 0:
		return c, absences, nil
	case len(absences) > 0:
		return nil, absences, unavailable(absences[0].Cause, "no readable frequency: "+absences[0].Reason)
	}
	return nil, nil, unavailable(sensors.Unsupported, "no cpufreq in this kernel (usual in a virtual machine)")
}

func (c *cpufreqSource) Sensors() []sensors.Sensor { return c.list }

// Read gives NaN for a processor that went offline, or whose driver says "<unknown>".
func (c *cpufreqSource) Read(dst []float64) error { return readNumbers(c.files, 1e3, dst) }

func (c *cpufreqSource) Close() error { return closeAll(c.files) }
