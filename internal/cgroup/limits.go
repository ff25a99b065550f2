package cgroup

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Limits are the limits of the groups of this process. A limit also holds for the groups below, so the whole chain of
// parents counts, as far up as it is mounted. A container sees the chain up to its own root.
type Limits struct {
	// Path is the group of this process in the first of v2, v1's cpu and v1's memory in which it is not the root.
	Path string
	// Quota is the lowest CPU quota in the chain, in s/s, and QuotaFile its file; 0 means that there is no quota.
	Quota     float64
	QuotaFile string
	// Memory is the lowest memory limit in the chain, in bytes; 0 means that there is no limit.
	Memory     uint64
	MemoryFile string
}

// noLimit is above every real limit in bytes. v1 writes a higher number if there is no limit: the largest int64, rounded
// down to pages (Documentation/admin-guide/cgroup-v1/memory.rst).
const noLimit = 1 << 62

// LimitsOf reads the limits, given the roots of procfs and sysfs. The error says that there are no cgroups.
func LimitsOf(proc, sys string) (Limits, error) {
	in, mounts, err := tables(proc)
	if err != nil {
		return Limits{}, err
	}
	var l Limits
	l.Quota, l.QuotaFile = quota(in, mounts, sys)
	for _, h := range []struct {
		version    int
		controller string
		file       string
	}{{2, "", "memory.max"}, {1, "memory", "memory.limit_in_bytes"}} {
		for _, dir := range chain(in, mounts, sys, h.version, h.controller) {
			file := filepath.Join(dir, h.file)
			b, err := os.ReadFile(file)
			n, ok := number(bytes.TrimSpace(b)) // "max" is no limit
			if err == nil && ok && n < noLimit && (l.MemoryFile == "" || n < l.Memory) {
				l.Memory, l.MemoryFile = n, file
			}
		}
	}
	for _, m := range in {
		if of := m.controllers == nil || slices.Contains(m.controllers, "cpu") || slices.Contains(m.controllers, "memory"); of &&
			(l.Path == "" || l.Path == "/") {
			l.Path = m.group
		}
	}
	return l, nil
}

// chain lists the folder of this process's group in a hierarchy and the folders above it, in this order.
func chain(in []membership, mounts []mount, sys string, version int, controller string) []string {
	top, rest, ok := place(in, mounts, version, controller)
	if !ok {
		return nil
	}
	if below, ok := strings.CutPrefix(top, "/sys/"); ok {
		top = filepath.Join(sys, below)
	}
	dirs := []string{filepath.Join(top, rest)}
	for rest = filepath.Clean("/" + rest); rest != "/"; {
		rest = filepath.Dir(rest)
		dirs = append(dirs, filepath.Join(top, rest))
	}
	return dirs
}

// quota returns the lowest quota in the chain, of v2 or of v1's cpu controller.
func quota(in []membership, mounts []mount, sys string) (perSecond float64, file string) {
	least := func(q float64, ok bool, from string) {
		if ok && (file == "" || q < perSecond) {
			perSecond, file = q, from
		}
	}
	for _, dir := range chain(in, mounts, sys, 2, "") {
		b, err := os.ReadFile(filepath.Join(dir, "cpu.max"))
		q, ok := parseCPUMax(b)
		least(q, ok && err == nil, filepath.Join(dir, "cpu.max"))
	}
	for _, dir := range chain(in, mounts, sys, 1, "cpu") {
		b, err := os.ReadFile(filepath.Join(dir, "cpu.cfs_quota_us"))
		if err != nil || bytes.HasPrefix(b, []byte("-")) { // -1 is no quota
			continue
		}
		period, err := os.ReadFile(filepath.Join(dir, "cpu.cfs_period_us"))
		q, ok := parseCPUMax(append(append(bytes.TrimSpace(b), ' '), period...))
		least(q, ok && err == nil, filepath.Join(dir, "cpu.cfs_quota_us"))
	}
	return perSecond, file
}

// parseCPUMax parses cpu.max: the CPU time allowed in a period, and the period, both in µs (cgroup-v2.rst):
//
//	150000 100000
//	max 100000
func parseCPUMax(b []byte) (perSecond float64, ok bool) {
	most, period, ok := bytes.Cut(bytes.TrimSpace(b), []byte(" "))
	if !ok {
		return 0, false
	}
	n, ok := number(most)
	p, also := number(period)
	if !ok || !also || n == 0 || p == 0 {
		return 0, false
	}
	return float64(n) / float64(p), true
}

// Throttled says how often and how long the processes of a group had to wait for the next period because their quota was
// used up.
type Throttled struct {
	// Periods is the number of periods in which something ran, Count the number of periods in which it was throttled.
	Periods, Count uint64
	// Time is the throttled time, summed over the processors.
	Time time.Duration
}

// Since returns the increase since an earlier reading.
func (t Throttled) Since(before Throttled) Throttled {
	return Throttled{t.Periods - before.Periods, t.Count - before.Count, t.Time - before.Time}
}

// Quota is the group with the lowest quota for this process.
type Quota struct {
	// PerSecond is the quota, in s/s.
	PerSecond float64
	// File is the file with the quota.
	File string
}

// Quota returns the quota of this process, and so of the group, as it was when it was first asked for below the same Home.
// The error wraps fs.ErrNotExist if there is no quota.
func (g *Group) Quota() (Quota, error) {
	if g.home == nil {
		return quotaOf(nil, nil)
	}
	return g.home.quota()
}

func quotaOf(in []membership, mounts []mount) (Quota, error) {
	perSecond, file := quota(in, mounts, "/sys")
	if file == "" {
		return Quota{}, fmt.Errorf("no quota of CPU time: %w", fs.ErrNotExist)
	}
	return Quota{perSecond, file}, nil
}

// Throttled reads cpu.stat in the folder of the quota.
func (q Quota) Throttled() (Throttled, error) {
	file := filepath.Join(filepath.Dir(q.File), "cpu.stat")
	b, err := os.ReadFile(file)
	if err != nil {
		return Throttled{}, err
	}
	t, err := parseThrottled(b)
	if err != nil {
		return Throttled{}, &fs.PathError{Op: "read", Path: file, Err: err}
	}
	return t, nil
}

// parseThrottled parses the lines of cpu.stat about the quota. v2 has other lines too. In v1 the time is in ns
// (Documentation/scheduler/sched-bwc.rst):
//
//	nr_periods 120
//	nr_throttled 31
//	throttled_usec 912000     or     throttled_time 912000000
func parseThrottled(b []byte) (Throttled, error) {
	var t Throttled
	seen := 0
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\n"))
		key, value, _ := bytes.Cut(line, []byte(" "))
		n, ok := number(value)
		unit := time.Duration(0)
		switch string(key) {
		case "nr_periods":
			t.Periods = n
		case "nr_throttled":
			t.Count = n
		case "throttled_usec":
			unit = time.Microsecond
		case "throttled_time":
			unit = time.Nanosecond
		default:
			continue
		}
		if unit != 0 {
			if n > uint64(1<<63-1)/uint64(unit) {
				return Throttled{}, errForm
			}
			t.Time = time.Duration(n) * unit
		}
		if !ok {
			return Throttled{}, errForm
		}
		seen++
	}
	if seen != 3 {
		return Throttled{}, errForm
	}
	return t, nil
}
