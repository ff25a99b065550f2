package cgroup

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// lay writes files below a new folder and returns the folder.
func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestLimitsOf checks that the lowest limit of a group and its parents counts, in v1 and v2.
func TestLimitsOf(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  Limits
	}{
		{"v2", map[string]string{
			"proc/self/cgroup":                               "0::/user.slice/job.scope\n",
			"proc/self/mountinfo":                            "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/user.slice/cpu.max":               "400000 100000\n",
			"sys/fs/cgroup/user.slice/job.scope/cpu.max":     "max 100000\n",
			"sys/fs/cgroup/user.slice/memory.max":            "max\n",
			"sys/fs/cgroup/user.slice/job.scope/memory.max":  "2147483648\n",
			"sys/fs/cgroup/user.slice/job.scope/memory.high": "1\n",
		}, Limits{
			Path: "/user.slice/job.scope", Quota: 4, QuotaFile: "sys/fs/cgroup/user.slice/cpu.max",
			Memory: 2 << 30, MemoryFile: "sys/fs/cgroup/user.slice/job.scope/memory.max",
		}},
		{"v1", map[string]string{
			"proc/self/cgroup": "5:memory:/slurm/job_1\n3:cpu,cpuacct:/slurm/job_1\n0::/\n",
			"proc/self/mountinfo": "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
				"32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/cpu,cpuacct/slurm/job_1/cpu.cfs_quota_us":    "-1\n",
			"sys/fs/cgroup/cpu,cpuacct/slurm/job_1/cpu.cfs_period_us":   "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us":          "150000\n",
			"sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_period_us":         "50000\n",
			"sys/fs/cgroup/memory/slurm/job_1/memory.limit_in_bytes":    "9223372036854771712\n",
			"sys/fs/cgroup/memory/slurm/job_1/memory.soft_limit":        "1\n",
			"sys/fs/cgroup/memory/slurm/job_1/memory.usage_in_bytes":    "1\n",
			"sys/fs/cgroup/memory/slurm/job_1/memory.max_usage_in_byte": "1\n",
		}, Limits{Path: "/slurm/job_1", Quota: 3, QuotaFile: "sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us"}},
		{"the root of a container", map[string]string{
			"proc/self/cgroup":         "0::/\n",
			"proc/self/mountinfo":      "30 23 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/cpu.max":    "50000 100000\n",
			"sys/fs/cgroup/memory.max": "1073741824\n",
		}, Limits{Path: "/", Quota: 0.5, QuotaFile: "sys/fs/cgroup/cpu.max", Memory: 1 << 30, MemoryFile: "sys/fs/cgroup/memory.max"}},
		{"no limits", map[string]string{
			"proc/self/cgroup":        "0::/a\n",
			"proc/self/mountinfo":     "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/a/cpu.max": "max 100000\n",
		}, Limits{Path: "/a"}},
		{"nonsense", map[string]string{
			"proc/self/cgroup":         "0::/a\n",
			"proc/self/mountinfo":      "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/a/cpu.max":  "0 100000\n",
			"sys/fs/cgroup/cpu.max":    "x\n",
			"sys/fs/cgroup/memory.max": "-5\n",
		}, Limits{Path: "/a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := lay(t, tt.files)
			got, err := LimitsOf(filepath.Join(dir, "proc"), filepath.Join(dir, "sys"))
			for _, f := range []*string{&got.QuotaFile, &got.MemoryFile} {
				*f = strings.TrimPrefix(strings.TrimPrefix(*f, dir), "/")
			}
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
	if _, err := LimitsOf(t.TempDir(), "/sys"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without procfs: %v", err)
	}
}

func TestParseThrottled(t *testing.T) {
	want := Throttled{120, 31, 912 * time.Millisecond}
	for _, text := range []string{
		"nr_periods 120\nnr_throttled 31\nthrottled_time 912000000\n",
		"usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 120\nnr_throttled 31\nthrottled_usec 912000\nnr_bursts 0\nburst_usec 0\n",
	} {
		if got, err := parseThrottled([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "usage_usec 5\n", "nr_periods x\nnr_throttled 1\nthrottled_usec 1\n", "nr_periods 1\nnr_throttled 1\nthrottled_usec 18446744073709551615\n"} {
		if got, err := parseThrottled([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func FuzzThrottled(f *testing.F) {
	f.Add([]byte("nr_periods 120\nnr_throttled 31\nthrottled_time 912000000\n"), []byte("150000 100000\n"))
	f.Add([]byte("nr_periods 1\nnr_throttled 1\nthrottled_usec 9223372036854775807\n"), []byte("max 1"))
	f.Fuzz(func(t *testing.T, stat, most []byte) {
		if got, err := parseThrottled(stat); err == nil && got.Time < 0 {
			t.Fatalf("%+v", got)
		}
		if q, ok := parseCPUMax(most); ok && !(q > 0 && q <= math.MaxUint64) {
			t.Fatalf("%q: %v", most, q)
		}
	})
}

// TestQuotaChild is the process that TestQuota puts under a quota. It spins until the quota has stopped it.
func TestQuotaChild(t *testing.T) {
	if os.Getenv("ERGON_TEST_QUOTA") == "" {
		t.Skip("this is not a child of TestQuota")
	}
	g, err := Make("test-quota")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = g.Leave() })
	q, err := g.Quota()
	if err != nil {
		t.Fatal(err)
	}
	before, err := q.Throttled()
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(q.PerSecond-0.2) > 1e-9 {
		t.Errorf("quota %+v", q)
	}
	for start := time.Now(); time.Since(start) < 20*time.Second; {
		now, err := q.Throttled()
		if err != nil {
			t.Fatal(err)
		}
		if d := now.Since(before); d.Count >= 2 && d.Time > 0 && d.Periods >= d.Count {
			return
		}
	}
	t.Error("a quota of a fifth of a processor has never stopped the process")
}

// TestQuota checks a process that the kernel stops because its quota is used up.
func TestQuota(t *testing.T) {
	in, mounts, err := tables("/proc")
	if err != nil {
		t.Skip(err)
	}
	var dir string
	for _, h := range []struct {
		version              int
		controller, file, to string
	}{{2, "", "cpu.max", "20000 100000"}, {1, "cpu", "cpu.cfs_quota_us", "20000"}} {
		all := chain(in, mounts, "/sys", h.version, h.controller)
		if len(all) == 0 {
			continue
		}
		dir = filepath.Join(all[0], "ergon-test-quota")
		if err = os.Mkdir(dir, 0o755); err != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		if err = os.WriteFile(filepath.Join(dir, h.file), []byte(h.to), 0); err == nil {
			break
		}
		_ = os.Remove(dir)
		dir = ""
	}
	if err != nil || dir == "" {
		testenv.Lacks(t, testenv.Quota, err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$1" -test.run '^TestQuotaChild$'`, dir, os.Args[0])
	cmd.Env = append(os.Environ(), "ERGON_TEST_QUOTA=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
