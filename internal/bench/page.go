package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/units"
)

// duckThin reads the same courses with DuckDB and thins each to 1000 parts, as JSON: less than the page has.
const duckThin = `
import duckdb, sys
duckdb.sql(f"""copy (
	select metric, subject, device, floor(elapsed / ({sys.argv[2]} / 1000)) as part, avg(value) as mean,
		min(coalesce(min, value)) as least, max(coalesce(max, value)) as most
	from '{sys.argv[1]}/series.parquet' group by all order by all) to '{sys.argv[3]}' (format json)""")
`

// pages measures how long it takes to write the page of a run of an hour and of a day at 10 Hz, how large it is, and how much
// memory that takes. A day has 864,000 beats: 40 million readings of 46 sensors, of which the run keeps courses of 27,000 parts.
// The courses are made up, with noise on each value. The peer is DuckDB, which thins the same courses.
func pages(b *bench) ([]figure, error) {
	rounds := 5
	if b.quick {
		rounds = 1
	}
	var figures []figure
	for _, length := range []struct {
		name  string
		time  time.Duration
		bytes float64
	}{{"an hour at 10 Hz", time.Hour, 1e6}, {"a day at 10 Hz", 24 * time.Hour, 3e6}} {
		results := filepath.Join(b.dir, "page-"+strconv.Itoa(int(length.time.Hours())))
		dir, err := b.makeLong(results, length.time)
		if err != nil {
			return nil, err
		}
		out := filepath.Join(b.dir, "page.html")
		var ours, theirs []float64
		peak, noPeer := 0.0, ""
		for range rounds {
			for _, i := range rand.Perm(2) {
				switch {
				case i == 0:
					took, most, err := timed(out, b.ergon, "report", "-f", "html", dir)
					if err != nil {
						return nil, err
					}
					ours, peak = append(ours, took), max(peak, most)
				case noPeer == "":
					took, _, err := timed("", python(b), "-c", duckThin, dir, strconv.Itoa(int(length.time.Seconds())), filepath.Join(b.dir, "duck.json"))
					if err != nil {
						noPeer = "no DuckDB to compare with"
						continue
					}
					theirs = append(theirs, took)
				}
			}
		}
		info, err := os.Stat(out)
		if err != nil {
			return nil, err
		}
		t := median("the page of "+length.name, units.Second, ours)
		t.compare(median("DuckDB", units.Second, theirs))
		t.atMost(3)
		t.Note = noPeer
		size := single("its size", units.Byte, float64(info.Size()))
		size.atMost(length.bytes)
		figures = append(figures, t, size)
		if peak > 0 {
			memory := single("its peak memory", units.Byte, peak)
			memory.atMost(300e6)
			figures = append(figures, memory)
		}
		if err := os.RemoveAll(results); err != nil {
			return nil, err
		}
	}
	return figures, nil
}

// timed runs a command with its output in a file, or nowhere. It returns how long that took, in s, and the peak resident memory
// of the command, in bytes, or 0 if that is unknown.
func timed(to string, argv ...string) (seconds, peak float64, err error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	if to != "" {
		f, err := os.Create(to)
		if err != nil {
			return 0, 0, err
		}
		defer func() { _ = f.Close() }() // its size is looked at
		cmd.Stdout = f
	}
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("%v: %w", argv, err)
	}
	return time.Since(start).Seconds(), peakOf(cmd.ProcessState), nil
}

// makeLong keeps a run with courses over this time, and returns its folder.
func (b *bench) makeLong(results string, length time.Duration) (string, error) {
	like := results + "-like"
	if out, err := exec.Command(b.ergon, "-q", "-o", like, "sleep", "0.3").CombinedOutput(); err != nil {
		return "", fmt.Errorf("ergon sleep: %w: %s", err, out)
	}
	found, err := history.History{Results: like}.List()
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%d runs in %s: %w", len(found), like, err)
	}
	r, err := store.Load(found[0].Dir)
	if err != nil {
		return "", err
	}
	r.Run.WallTime = new(length.Seconds())
	f, err := store.NewRun(results, r.Run.Project, r.Run.Start, r.Run.ID, store.Access{})
	if err != nil {
		return "", err
	}
	files := f.Files()
	err = errors.Join(files.SaveTree(r.Run, r.Tree), files.SaveCharts([]datamodel.Chart{madeUp(length)}))
	if err == nil {
		err = files.SaveManifest(r.Run)
	}
	if err := errors.Join(err, f.Close(), os.RemoveAll(like)); err != nil {
		return "", err
	}
	made, err := history.History{Results: results}.List()
	if err != nil || len(made) != 1 {
		return "", fmt.Errorf("%d runs in %s: %w", len(made), results, err)
	}
	return made[0].Dir, nil
}

// madeUp returns the courses of a server with two packages and a busy command, as an hour or more at 10 Hz leaves them.
func madeUp(length time.Duration) datamodel.Chart {
	step := 100 * time.Millisecond
	several := false
	for length/step > 36_000 {
		step, several = 2*step, true
	}
	c := datamodel.Chart{Host: "server", Step: step, Parts: int(length / step)}
	rng := rand.New(rand.NewPCG(5, 6))
	add := func(metric string, subject datamodel.CourseSubject, device string, unit units.Unit, base, noise float64) {
		one := datamodel.Course{Metric: metric, Subject: subject, Device: device, Unit: unit}
		for i := range c.Parts {
			v := base * (1 + noise*(rng.Float64()-0.5)) * (1 + 0.5*math.Sin(float64(i)/1000))
			least, most := v, v
			if several {
				least, most = v*(1-noise*rng.Float64()), v*(1+noise*rng.Float64())
			}
			one.Values, one.Least, one.Most = append(one.Values, v), append(one.Least, least), append(one.Most, most)
			one.Covered = append(one.Covered, step.Seconds())
		}
		c.Courses = append(c.Courses, one)
	}
	const command, machine = datamodel.CommandCourse, datamodel.MachineCourse
	for _, device := range []string{"package-0", "package-1", "dram-0", "dram-1"} {
		for i, s := range []datamodel.CourseSubject{machine, command, datamodel.OtherCourse, datamodel.IdleCourse} {
			add(datamodel.Power, s, device, units.Watt, float64(100-20*i), 0.05)
		}
	}
	add(datamodel.CourseCPU, command, "", units.Ratio, 20, 0.05)
	add(datamodel.CourseCPU, machine, "", units.Ratio, 24, 0.05)
	add(datamodel.Memory, command, "", units.Byte, 1e10, 0.001)
	add(datamodel.MemoryCharge, command, "", units.Byte, 1.2e10, 0.001)
	add(datamodel.DiskRead, command, "", units.BytesPerSecond, 1e6, 2)
	add(datamodel.DiskWrite, command, "", units.BytesPerSecond, 1e7, 2)
	add(datamodel.NetworkReceive, machine, "eth0", units.BytesPerSecond, 1e5, 1)
	add(datamodel.NetworkTransmit, machine, "eth0", units.BytesPerSecond, 1e4, 1)
	add(datamodel.CourseCPUPressure, machine, "", units.Ratio, 0.1, 0.5)
	return c
}

// python returns the Python of the tests, or the system's.
func python(b *bench) string {
	path := filepath.Join(b.root, ".venv", "bin", "python")
	if _, err := os.Stat(path); err != nil || runtime.GOOS == "windows" {
		return "python3"
	}
	return path
}
