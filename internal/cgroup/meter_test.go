package cgroup

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// group writes the files of a group, as a kernel would show them, and returns the folder.
func group(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCPUMeter(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  map[string]string
		source string
		want   CPUTime
	}{
		{
			"v2",
			map[string]string{"cpu.stat": "usage_usec 102916\nuser_usec 80000\nsystem_usec 22916\nnice_usec 0\n"},
			"cgroup v2 cpu.stat",
			CPUTime{102916 * time.Microsecond, 80 * time.Millisecond, 22916 * time.Microsecond},
		},
		{
			"v1",
			map[string]string{"cpuacct.usage": "40000001\n", "cpuacct.stat": "user 3\nsystem 1\n"},
			"cgroup v1 cpuacct",
			CPUTime{40000001, 30000000, 10000001},
		},
		{
			"v1, before the first tick",
			map[string]string{"cpuacct.usage": "7\n", "cpuacct.stat": "user 0\nsystem 0\n"},
			"cgroup v1 cpuacct",
			CPUTime{7, 7, 0},
		},
		{"v1, with the cpu controller", map[string]string{
			"cpuacct.usage": "8\n", "cpuacct.stat": "user 1\nsystem 1\n",
			"cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
		}, "cgroup v1 cpuacct", CPUTime{8, 4, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := OpenCPU(group(t, c.files))
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.Read()
			if err != nil || got != c.want || m.Source() != c.source {
				t.Errorf("%s: %+v, %v; want %s: %+v", m.Source(), got, err, c.source, c.want)
			}
			if n := testing.AllocsPerRun(50, func() { _, err = m.Read() }); n != 0 || err != nil {
				t.Errorf("reading allocates %v times (%v)", n, err)
			}
			for range 2 {
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			}
			if _, err := m.Read(); err == nil {
				t.Error("a reading after close gives no error")
			}
		})
	}
	for _, files := range []map[string]string{{}, {"cpu.stat": "nr_periods 0\n"}, {"cpu.stat": "usage_usec -1\n"}} {
		if _, err := OpenCPU(group(t, files)); err == nil {
			t.Errorf("%v: open gives no error", files)
		}
	}
	if _, err := OpenCPU(""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a folder: %v", err)
	}
}

func TestSplitNeverFalls(t *testing.T) {
	var last CPUTime
	for i, c := range []struct{ total, user, system time.Duration }{
		{5, 0, 0}, {9, 0, 1}, {20, 1, 1}, {21, 0, 9}, {21, 9, 0}, {20, 1, 1}, {40, 1, 9},
	} {
		now := split(last, c.total, c.user, c.system)
		if now.User < last.User || now.System < last.System || now.User+now.System != now.Total || now.Total < last.Total {
			t.Errorf("step %d: %+v after %+v", i, now, last)
		}
		last = now
	}
}

func TestMemoryMeter(t *testing.T) {
	for _, c := range []struct {
		files         map[string]string
		source        string
		current, peak uint64
	}{
		{map[string]string{"memory.current": "5\n", "memory.peak": "9\n"}, "cgroup v2 memory", 5, 9},
		{map[string]string{"memory.usage_in_bytes": "5\n", "memory.max_usage_in_bytes": "9\n"}, "cgroup v1 memory", 5, 9},
		{map[string]string{"memory.current": "5\n"}, "cgroup v2 memory", 5, 0},
	} {
		m, err := OpenMemory(group(t, c.files))
		if err != nil {
			t.Fatal(err)
		}
		current, err := m.Current()
		if err != nil || current != c.current || m.Source() != c.source || m.HasPeak() != (c.peak != 0) {
			t.Errorf("%v: %s %d %v peak %v", c.files, m.Source(), current, err, m.HasPeak())
		}
		peak, err := m.Peak()
		if peak != c.peak || errors.Is(err, fs.ErrNotExist) == m.HasPeak() {
			t.Errorf("%v: peak %d %v", c.files, peak, err)
		}
		if err := errors.Join(m.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	}
	if _, err := OpenMemory(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty folder: %v", err)
	}
	m, err := OpenMemory(group(t, map[string]string{"memory.current": "junk\n"}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Current(); err == nil {
		t.Error("text that is not a number is accepted")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// TestHeld has memory.stat as the two versions write it. The v1 file also has keys without the groups below, and v2's
// file_mapped holds mapped shared memory, so shmem is not added.
func TestHeld(t *testing.T) {
	const v1 = "cache 90\nrss 1\nshmem 7\nmapped_file 2\nhierarchical_memory_limit 9223372036854771712\n" +
		"total_cache 900\ntotal_rss 110592\ntotal_shmem 70\ntotal_mapped_file 4096\n"
	const v2 = "anon 110592\nfile 900\nkernel 5\nkernel_stack 1\nshmem 70\nfile_mapped 4096\nfile_dirty 3\n"
	for _, files := range []map[string]string{
		{"memory.current": "5\n", "memory.stat": v2},
		{"memory.usage_in_bytes": "5\n", "memory.stat": v1},
	} {
		m, err := OpenMemory(group(t, files))
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Held()
		if want := (Held{Anonymous: 110592, Mapped: 4096}); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", m.Source(), got, err, want)
		}
		if n := testing.AllocsPerRun(50, func() { _, err = m.Held() }); n != 0 || err != nil {
			t.Errorf("reading allocates %v times (%v)", n, err)
		}
		if err := errors.Join(m.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	}
	for _, files := range []map[string]string{
		{"memory.current": "5\n"},
		{"memory.current": "5\n", "memory.stat": "anon 1\n"},
		{"memory.current": "5\n", "memory.stat": "anon -1\nfile_mapped 1\n"},
		{"memory.current": "5\n", "memory.stat": v1},
	} {
		m, err := OpenMemory(group(t, files))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.Held(); err == nil {
			t.Errorf("%v: %+v and no error", files, got)
		}
		_ = m.Close()
	}
}

// FuzzMemoryStat checks that text after the two lines changes nothing, and that only a text with both is accepted.
func FuzzMemoryStat(f *testing.F) {
	f.Add([]byte("anon 1\nfile 3\nfile_mapped 2\n"))
	f.Add([]byte("anon 18446744073709551616\nfile_mapped 2"))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys := [2]string{"anon", "file_mapped"}
		h, err := parseMemoryStat(b, keys)
		if err != nil {
			return
		}
		more, err := parseMemoryStat(append(bytes.TrimSuffix(slices.Clone(b), []byte("\n")), "\nother 1\n"...), keys)
		if err != nil || more != h || !bytes.Contains(b, []byte("anon ")) || !bytes.Contains(b, []byte("file_mapped ")) {
			t.Errorf("%q: %+v, with more text %+v, %v", b, h, more, err)
		}
	})
}

// FuzzCPUStat checks that no text gives a negative time, and that the other parsers do not panic.
func FuzzCPUStat(f *testing.F) {
	f.Add([]byte("usage_usec 3\nuser_usec 2\nsystem_usec 1\n"))
	f.Add([]byte("user 3\nsystem 18446744073709551615\n"))
	f.Add([]byte("usage_usec 9223372036854775807\nuser_usec\nsystem_usec 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseCPUStat(b); err == nil && min(c.Total, c.User, c.System) < 0 {
			t.Errorf("%q: %+v", b, c)
		}
		if u, s, err := parseCPUAcctStat(b); err == nil && (u < 0 || s < 0 || u+s < 0) {
			t.Errorf("%q: %v %v", b, u, s)
		}
	})
}
