package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// tick is the unit of cpuacct.stat: USER_HZ, which every architecture shows to users as 100 a second.
const tick = 10 * time.Millisecond

var errForm = errors.New("not of the expected form")

// CPUTime is the CPU time of a group.
type CPUTime struct {
	Total, User, System time.Duration
}

// CPUMeter reads the CPU time of one group repeatedly, without allocating. Calls must not overlap.
type CPUMeter struct {
	stat  *reader // cpu.stat of v2, cpuacct.stat of v1
	usage *reader // cpuacct.usage of v1
	last  CPUTime
}

// OpenCPU opens cpu.stat (v2) or cpuacct.usage and cpuacct.stat (v1) in the folder of a group.
func OpenCPU(dir string) (*CPUMeter, error) {
	if dir == "" {
		return nil, fmt.Errorf("no cgroup for CPU time: %w", fs.ErrNotExist)
	}
	stat, err := open(dir, "cpu.stat")
	if err == nil {
		// The cpu controller of v1 also has a cpu.stat, but only with throttling.
		m := &CPUMeter{stat: stat}
		if _, err = m.Read(); err == nil {
			return m, nil
		}
		_ = stat.Close() // nothing was written
	}
	usage, err1 := open(dir, "cpuacct.usage")
	if err1 != nil {
		if errors.Is(err1, fs.ErrNotExist) {
			err1 = err
		}
		return nil, err1
	}
	stat, err = open(dir, "cpuacct.stat")
	if err != nil {
		return nil, errors.Join(err, usage.Close())
	}
	return &CPUMeter{stat: stat, usage: usage}, nil
}

// Source names the counter: "cgroup v2 cpu.stat" or "cgroup v1 cpuacct".
func (m *CPUMeter) Source() string {
	if m.usage == nil {
		return "cgroup v2 cpu.stat"
	}
	return "cgroup v1 cpuacct"
}

// Read returns the CPU time so far, including living processes. User and System sum up to Total. In v2 the kernel splits
// the total that way. In v1 the total is exact, and user and system time are in ticks, so Read splits it the same way.
func (m *CPUMeter) Read() (CPUTime, error) {
	b, err := m.stat.read()
	if err != nil {
		return CPUTime{}, err
	}
	if m.usage == nil {
		return parseCPUStat(b)
	}
	user, system, err := parseCPUAcctStat(b)
	if err != nil {
		return CPUTime{}, err
	}
	total, err := m.usage.number()
	if err != nil {
		return CPUTime{}, err
	}
	m.last = split(m.last, time.Duration(total), user, system)
	return m.last, nil
}

// Close closes the files. A second call does nothing.
func (m *CPUMeter) Close() error {
	if m.usage == nil {
		return m.stat.Close()
	}
	return errors.Join(m.stat.Close(), m.usage.Close())
}

// split divides an exact total in the ratio of two coarse parts, so that neither part ever falls. The kernel does the same
// for utime and stime (cputime_adjust in kernel/sched/cputime.c).
func split(last CPUTime, total, user, system time.Duration) CPUTime {
	now := CPUTime{Total: max(total, last.Total)}
	if parts := user + system; parts > 0 {
		now.User = time.Duration(float64(now.Total) * (float64(user) / float64(parts)))
	} else {
		now.User = now.Total // no tick has counted it yet
	}
	now.User = min(max(now.User, last.User), now.Total-last.System)
	now.System = now.Total - now.User
	return now
}

// parseCPUStat parses cpu.stat. Every group has the first three lines:
//
//	usage_usec 102916
//	user_usec 80000
//	system_usec 22916
func parseCPUStat(b []byte) (CPUTime, error) {
	var t CPUTime
	var seen int
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\n"))
		key, value, _ := bytes.Cut(line, []byte(" "))
		var into *time.Duration
		switch string(key) {
		case "usage_usec":
			into = &t.Total
		case "user_usec":
			into = &t.User
		case "system_usec":
			into = &t.System
		default:
			continue
		}
		n, ok := number(value)
		if !ok || n > uint64(1<<63-1)/uint64(time.Microsecond) {
			return CPUTime{}, errForm
		}
		*into = time.Duration(n) * time.Microsecond
		seen++
	}
	if seen != 3 {
		return CPUTime{}, errForm
	}
	return t, nil
}

// parseCPUAcctStat parses cpuacct.stat:
//
//	user 812
//	system 23
func parseCPUAcctStat(b []byte) (user, system time.Duration, err error) {
	first, rest, _ := bytes.Cut(b, []byte("\n"))
	second, _, _ := bytes.Cut(rest, []byte("\n"))
	u, ok := bytes.CutPrefix(first, []byte("user "))
	s, also := bytes.CutPrefix(second, []byte("system "))
	if !ok || !also {
		return 0, 0, errForm
	}
	un, ok := number(u)
	sn, also := number(s)
	const most = uint64(1<<62) / uint64(tick)
	if !ok || !also || un > most || sn > most {
		return 0, 0, errForm
	}
	return time.Duration(un) * tick, time.Duration(sn) * tick, nil
}

// MemoryMeter reads the memory of one group repeatedly, without allocating. Calls must not overlap.
type MemoryMeter struct {
	current, peak *reader
	stat          reader // opened when it is first read
	keys          [2]string
	source        string
}

// Held is the memory of a group without page cache, in bytes. Pages count once, in the group that touched them first.
type Held struct {
	// Anonymous is the anonymous memory of the group's processes.
	Anonymous uint64
	// Mapped is what they have mapped of files and shared memory.
	Mapped uint64
}

// OpenMemory opens memory.current and memory.peak (v2), or memory.usage_in_bytes and memory.max_usage_in_bytes (v1),
// in the folder of a group.
func OpenMemory(dir string) (*MemoryMeter, error) {
	if dir == "" {
		return nil, fmt.Errorf("no cgroup for memory: %w", fs.ErrNotExist)
	}
	m := &MemoryMeter{source: "cgroup v2 memory", stat: reader{path: filepath.Join(dir, "memory.stat")}, keys: [2]string{"anon", "file_mapped"}}
	peak := "memory.peak"
	var err error
	if m.current, err = open(dir, "memory.current"); errors.Is(err, fs.ErrNotExist) {
		m.source = "cgroup v1 memory"
		m.keys = [2]string{"total_rss", "total_mapped_file"}
		peak = "memory.max_usage_in_bytes"
		m.current, err = open(dir, "memory.usage_in_bytes")
	}
	if err != nil {
		return nil, err
	}
	if m.peak, err = open(dir, peak); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, m.current.Close())
	}
	return m, nil
}

// Source names the controller: "cgroup v2 memory" or "cgroup v1 memory".
func (m *MemoryMeter) Source() string { return m.source }

// Current returns what the group is charged with now, in bytes: anonymous memory, page cache and kernel memory.
func (m *MemoryMeter) Current() (uint64, error) { return m.current.number() }

// Held returns the memory that the group's processes hold now, from memory.stat. The kernel collects these counts from batches
// of 64 pages per CPU, so they may lag behind by that much. Mapped includes mapped shared memory. The error wraps
// fs.ErrNotExist if there is no memory.stat.
func (m *MemoryMeter) Held() (Held, error) {
	if err := m.stat.reopen(); err != nil {
		return Held{}, err
	}
	b, err := m.stat.read()
	if err != nil {
		return Held{}, err
	}
	return parseMemoryStat(b, m.keys)
}

// parseMemoryStat parses memory.stat. The keys are anon and file_mapped in v2, and total_rss and total_mapped_file in v1,
// where the keys without total leave out the groups below. Values are in bytes:
//
//	anon 110592
//	file 4096
//	…
//	file_mapped 4096
func parseMemoryStat(b []byte, keys [2]string) (h Held, err error) {
	into := [2]*uint64{&h.Anonymous, &h.Mapped}
	var seen [2]bool
	for len(b) > 0 && seen != [2]bool{true, true} {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\n"))
		key, value, _ := bytes.Cut(line, []byte(" "))
		for i := range keys {
			if string(key) != keys[i] {
				continue
			}
			n, ok := number(value)
			if !ok {
				return Held{}, errForm
			}
			*into[i], seen[i] = n, true
		}
	}
	if seen != [2]bool{true, true} {
		return Held{}, errForm
	}
	return h, nil
}

// HasPeak reports whether the kernel keeps a peak: v2 before Linux 5.19 does not.
func (m *MemoryMeter) HasPeak() bool { return m.peak != nil }

// Peak returns the largest value of Current so far. The kernel keeps it; it is not sampled. The error wraps fs.ErrNotExist
// if the kernel keeps none.
func (m *MemoryMeter) Peak() (uint64, error) {
	if m.peak == nil {
		return 0, fmt.Errorf("no memory.peak before Linux 5.19: %w", fs.ErrNotExist)
	}
	return m.peak.number()
}

// Close closes the files. A second call does nothing.
func (m *MemoryMeter) Close() error {
	errs := []error{m.current.Close(), m.stat.Close()}
	if m.peak != nil {
		errs = append(errs, m.peak.Close())
	}
	return errors.Join(errs...)
}

// reader is a small file that is read repeatedly.
type reader struct {
	path string
	f    *os.File // nil until it is opened
	fd   int
	buf  [2048]byte
}

func open(dir, name string) (*reader, error) {
	r := &reader{path: filepath.Join(dir, name)}
	if err := r.reopen(); err != nil {
		return nil, err
	}
	return r, nil
}

// reopen opens the file if it is not open yet. After Close it stays closed.
func (r *reader) reopen() error {
	if r.f != nil {
		return nil
	}
	f, fd, err := openFile(r.path)
	if err != nil {
		return err
	}
	r.f, r.fd = f, fd
	return nil
}

// read reads once from the start. os.File.ReadAt would read again at the end, and the kernel would make the text twice.
func (r *reader) read() ([]byte, error) {
	n, err := readAll(r.f, r.fd, r.buf[:])
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: r.f.Name(), Err: err}
	}
	return r.buf[:n], nil
}

func (r *reader) number() (uint64, error) {
	b, err := r.read()
	if err != nil {
		return 0, err
	}
	n, ok := number(bytes.TrimSuffix(b, []byte("\n")))
	if !ok {
		return 0, &fs.PathError{Op: "read", Path: r.f.Name(), Err: errForm}
	}
	return n, nil
}

// Close closes the file. A second call does nothing.
func (r *reader) Close() error {
	if r.f == nil {
		return nil
	}
	if err := r.f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// number parses a number of decimal digits only.
func number(b []byte) (uint64, bool) {
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(b) > 0
}
