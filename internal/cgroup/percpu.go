package cgroup

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// PerCPUMeter reads the CPU time of one group on each processor repeatedly, without allocating. Only cgroup v1 counts it
// (cpuacct.usage_percpu, Documentation/admin-guide/cgroup-v1/cpuacct.rst). Calls must not overlap.
type PerCPUMeter struct {
	f    *os.File
	fd   int
	buf  []byte
	used []time.Duration
}

// OpenPerCPU opens cpuacct.usage_percpu in the folder of a group. The error wraps fs.ErrNotExist for a v2 group.
func OpenPerCPU(dir string) (*PerCPUMeter, error) {
	f, fd, err := openFile(filepath.Join(dir, "cpuacct.usage_percpu"))
	if err != nil {
		return nil, err
	}
	m := &PerCPUMeter{f: f, fd: fd, buf: make([]byte, 2048)}
	for {
		n, err := readAll(m.f, m.fd, m.buf)
		if err == nil && n < len(m.buf)/2 { // room for twice the digits of every number, which no run reaches
			break
		}
		if err != nil || len(m.buf) > 1<<22 {
			_ = f.Close() // nothing was written
			return nil, &fs.PathError{Op: "read", Path: f.Name(), Err: errForm}
		}
		m.buf = make([]byte, 2*len(m.buf))
	}
	return m, nil
}

// Read returns the CPU time so far on each possible processor, by its number. The result is valid until the next Read.
func (m *PerCPUMeter) Read() ([]time.Duration, error) {
	n, err := readAll(m.f, m.fd, m.buf)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: m.f.Name(), Err: err}
	}
	var ok bool
	if m.used, ok = parsePerCPU(m.used[:0], m.buf[:n]); !ok || n == len(m.buf) {
		return nil, &fs.PathError{Op: "read", Path: m.f.Name(), Err: errForm}
	}
	return m.used, nil
}

// Close closes the file.
func (m *PerCPUMeter) Close() error { return m.f.Close() }

// parsePerCPU appends the times in ns of a line such as "81234 0 99120 " to dst.
func parsePerCPU(dst []time.Duration, b []byte) ([]time.Duration, bool) {
	for len(b) > 0 {
		if b[0] == ' ' || b[0] == '\n' {
			b = b[1:]
			continue
		}
		end := 0
		for end < len(b) && b[end] != ' ' && b[end] != '\n' {
			end++
		}
		n, ok := number(b[:end])
		if !ok || n > 1<<63-1 {
			return dst, false
		}
		dst, b = append(dst, time.Duration(n)), b[end:]
	}
	return dst, len(dst) > 0
}
