package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/cgroup"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// sampling measures the CPU time of the sampler with all families, recording as in a run. The peer is the C loop in
// testdata/cloop, which reads the same files at the same rate and does not parse them. sampling also measures the share of
// missed beats at 1 kHz, against time.Ticker. Opening and the last reading do not count.
func sampling(b *bench) ([]figure, error) {
	rounds, length := 5, 4*time.Second
	if b.quick {
		rounds, length = 1, 300*time.Millisecond
	}
	target, err := startTarget(b, "sleep", "3600")
	if err != nil {
		return nil, err
	}
	defer target.end()
	loop := filepath.Join(b.dir, "loop")
	source := filepath.Join(b.root, "testdata", "cloop", "loop.c")
	noLoop := ""
	if out, err := exec.Command("cc", "-O2", "-o", loop, source).CombinedOutput(); err != nil {
		noLoop = fmt.Sprintf("no C loop to compare with: %v %s", err, out)
	}

	type load struct {
		hertz    int
		interval time.Duration
		share    float64 // the target, as a share of a core
		ours, c  []float64
	}
	loads := []*load{
		{hertz: 10, interval: 100 * time.Millisecond, share: 0.006},
		{hertz: 100, interval: 10 * time.Millisecond, share: 0.04},
	}
	// The C loop reads the files that a sampler has open, so a sampler has to run first.
	_, files, err := target.sample(b, sampler.Config{Interval: 100 * time.Millisecond}, 0)
	if err != nil {
		return nil, err
	}
	var ours, ticker []float64
	var costs []float64
	var steps []func() error
	for _, l := range loads {
		steps = append(steps, func() error {
			s, _, err := target.sample(b, sampler.Config{Interval: l.interval}, length)
			l.ours = append(l.ours, s.cpu)
			return err
		})
		if noLoop == "" {
			steps = append(steps, func() error {
				share, err := loopInC(loop, l.hertz, length, files)
				l.c = append(l.c, share)
				return err
			})
		}
	}
	steps = append(steps, func() error {
		s, _, err := target.sample(b, sampler.Config{Interval: time.Millisecond, Select: []string{"cpu"}}, length)
		ours, costs = append(ours, s.missed), append(costs, s.cpu)
		return err
	}, func() error {
		ticker = append(ticker, lostTicks(length))
		return nil
	})
	for range rounds {
		for _, i := range rand.Perm(len(steps)) {
			if err := steps[i](); err != nil {
				return nil, err
			}
		}
	}

	var figures []figure
	for _, l := range loads {
		f := median(fmt.Sprintf("%d Hz, share of a core", l.hertz), units.Ratio, l.ours)
		c := median("C loop", units.Ratio, l.c)
		f.compare(c)
		f.atMost(l.share)
		f.ratioAtMost(1.5)
		f.Note = noLoop
		figures = append(figures, f)
	}
	if noLoop == "" {
		names := make([]string, len(files))
		for i, path := range files {
			names[i] = filepath.Base(path)
		}
		figures[0].Note = fmt.Sprintf("the C loop reads the %d files the sampler keeps open: %s", len(files), strings.Join(names, " "))
	}
	f := median("1 kHz, cpu only: missed beats", units.Ratio, ours)
	f.compare(median("time.Ticker", units.Ratio, ticker))
	f.atMost(0.01)
	f.Note = fmt.Sprintf("%s of a core", show(quantile(costs, 0.5), units.Ratio))
	return append(figures, f), nil
}

// subject is a command for the samplers to follow, in its own cgroup as in a run.
type subject struct {
	cmd   *exec.Cmd
	group *cgroup.Group
}

func startTarget(b *bench, argv ...string) (*subject, error) {
	s := &subject{cmd: exec.Command(argv[0], argv[1:]...)}
	s.cmd.Dir = b.dir
	s.cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	var err error
	if s.group, err = cgroup.Make("bench-" + strconv.Itoa(os.Getpid())); err != nil {
		s.group = &cgroup.Group{}
	}
	_ = s.group.Add(s.cmd.Process.Pid) // a cgroup that cannot be used is empty afterwards
	return s, nil
}

// end kills the command with all its children.
func (s *subject) end() {
	_ = unix.Kill(-s.cmd.Process.Pid, unix.SIGKILL)
	_ = s.cmd.Wait() // it was killed
	_, _ = s.group.Leave()
}

// sampled has the results of a sampler.
type sampled struct {
	cpu    float64 // share of a core
	missed float64 // share of the beats of all sources
	spool  string
}

// sample runs a sampler for the given time. It also returns the files below /proc and /sys that the sampler keeps open, with
// the paths that another process would use.
func (s *subject) sample(b *bench, config sampler.Config, length time.Duration) (got sampled, files []string, err error) {
	dir, err := os.MkdirTemp(b.dir, "spool-")
	if err != nil {
		return got, nil, err
	}
	got.spool = dir
	folder, err := store.OpenFolder(dir)
	if err != nil {
		return got, nil, err
	}
	defer func() { _ = folder.Close() }() // nothing was written through it
	config.Node = "bench"
	config.Setup = sensors.Setup{
		Proc: "/proc", Sys: "/sys", Dirs: []string{b.dir}, Runner: os.Getpid(), Parent: os.Getpid(),
	}
	client, err := sampler.Spawn(b.ergon, os.Stderr)
	if err != nil {
		return got, nil, err
	}
	defer func() {
		client.Close()
		client.Wait()
	}()
	if err := client.Configure(config); err != nil {
		return got, nil, err
	}
	if err := client.Attach(sampler.Subject{
		Target: sensors.Target{CPUGroup: s.group.CPU, MemoryGroup: s.group.Memory}, PID: s.cmd.Process.Pid, Spool: folder,
	}); err != nil {
		return got, nil, err
	}
	if _, err := client.Ready(context.Background()); err != nil {
		return got, nil, err
	}
	if err := client.Begin(); err != nil {
		return got, nil, err
	}
	if _, err := client.Begun(context.Background()); err != nil {
		return got, nil, err
	}
	began := time.Now()
	before, err := cpuTime(client.PID())
	if err != nil {
		return got, nil, err
	}
	time.Sleep(length)
	after, err := cpuTime(client.PID())
	if err != nil {
		return got, nil, err
	}
	got.cpu = (after - before) / time.Since(began).Seconds()
	files, err = openFiles(client.PID())
	if err != nil {
		return got, nil, err
	}
	ended, err := client.End(context.Background())
	if err != nil {
		return got, nil, err
	}
	var readings, missed int64
	for _, source := range ended.Sources {
		readings += source.Readings
		missed += source.Missed
	}
	if all := readings + missed; all > 0 {
		got.missed = float64(missed) / float64(all)
	}
	return got, files, nil
}

// openFiles lists the files that a sampler keeps open to read at every beat. It leaves out the limits of the sampler's own
// cgroup: the Go runtime reads them about once a second. It also leaves out the file children, which the sampler reads only
// without a cgroup.
func openFiles(pid int) ([]string, error) {
	own := filepath.Join("/proc", strconv.Itoa(pid))
	entries, err := os.ReadDir(filepath.Join(own, "fd"))
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		path, err := os.Readlink(filepath.Join(own, "fd", e.Name()))
		if err != nil || !strings.HasPrefix(path, "/proc/") && !strings.HasPrefix(path, "/sys/") {
			continue
		}
		name := filepath.Base(path)
		if strings.HasPrefix(name, "cpu.cfs_") || name == "cpu.max" || name == "children" {
			continue
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if rest, ok := strings.CutPrefix(path, own+"/"); ok {
			path = "/proc/self/" + rest
		}
		files = append(files, path)
	}
	slices.Sort(files)
	return files, nil
}

// loopInC returns the share of a core that the C loop needs.
func loopInC(program string, hertz int, length time.Duration, files []string) (float64, error) {
	ticks := max(int(length.Seconds()*float64(hertz)), 1)
	args := append([]string{strconv.Itoa(hertz), strconv.Itoa(ticks)}, files...)
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("loop.c: %w", err)
	}
	ns, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		return 0, fmt.Errorf("loop.c: %w", err)
	}
	return ns / 1e9 / (float64(ticks) / float64(hertz)), nil
}

// lostTicks returns the share of ticks that a time.Ticker at 1 kHz does not deliver.
func lostTicks(length time.Duration) float64 {
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	start, got := time.Now(), 0
	for time.Since(start) < length {
		<-t.C
		got++
	}
	expected := float64(time.Since(start) / time.Millisecond)
	return max(1-float64(got)/expected, 0)
}
