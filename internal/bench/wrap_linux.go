package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/units"
)

// variant is one way to run `true`.
type variant struct {
	name              string
	argv              []string
	wall, cpu, faults []float64
	note              string // why it is left out; empty if it is measured
	// atMost is the target: the greatest ratio to the wall time of perf stat. 0 means no target.
	atMost float64
}

// wrapping measures the cost of wrapping a command that does nothing.
func wrapping(b *bench) ([]figure, error) {
	results := filepath.Join(b.dir, "wrap-results")
	nothing, err := exec.LookPath("true")
	if err != nil {
		return nil, err
	}
	bare := &variant{name: "true", argv: []string{nothing}}
	gnu := &variant{name: "time true", argv: []string{"/usr/bin/time", nothing}}
	hyper := &variant{name: "hyperfine -N -r1 true", argv: []string{"hyperfine", "-N", "-r1", "-w0", "--style=none", nothing}}
	perf := &variant{name: "perf stat true", argv: []string{"perf", "stat", nothing}}
	ours := []*variant{
		{name: "ergon -q --no-save true", argv: []string{b.ergon, "-q", "--no-save", nothing}, atMost: 0.6},
		{name: "ergon --no-save true", argv: []string{b.ergon, "--no-save", nothing}, atMost: 1},
		{name: "ergon -q true", argv: []string{b.ergon, "-q", "-o", results, nothing}, atMost: 1.2},
		{name: "ergon true", argv: []string{b.ergon, "-o", results, nothing}, atMost: 2},
	}
	if dir, err := os.MkdirTemp("/dev/shm", "ergon-bench-"); err == nil { // shows the disk's part in the time
		defer func() { _ = os.RemoveAll(dir) }()
		ours = append(ours, &variant{
			name: "ergon -q true, results in a RAM disk", argv: []string{b.ergon, "-q", "-o", dir, nothing}, atMost: 1.2,
		})
	}
	all := append([]*variant{bare, gnu, hyper, perf}, ours...)

	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = null.Close() }()
	said, err := os.OpenFile(filepath.Join(b.dir, "stderr"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	defer func() { _ = said.Close() }()
	attr := &syscall.ProcAttr{Dir: b.dir, Env: os.Environ(), Files: []uintptr{null.Fd(), null.Fd(), said.Fd()}}

	var present []*variant
	for _, v := range all {
		if v.argv[0], err = exec.LookPath(v.argv[0]); err == nil {
			err = v.once(attr, false)
		}
		switch {
		case err == nil:
			present = append(present, v)
		case v == perf:
			v.note = fmt.Sprintf("%v: Debian has it in linux-perf, `apt-get install linux-perf`", err)
		case v == hyper:
			v.note = fmt.Sprintf("%v: Debian has it in hyperfine, `apt-get install hyperfine`", err)
		case v == gnu:
			v.note = fmt.Sprintf("%v: Debian has it in time, `apt-get install time`", err)
		default:
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
	}

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	const warmUp = 5
	for round := range warmUp + b.rounds {
		for _, i := range rand.Perm(len(present)) {
			v := present[i]
			if err := said.Truncate(0); err != nil {
				return nil, err
			}
			if err := v.once(attr, round >= warmUp); err != nil {
				words, _ := os.ReadFile(said.Name()) // it may say why
				return nil, fmt.Errorf("%s, round %d: %w: %s", v.name, round, err, words)
			}
		}
	}

	var figures []figure
	for _, v := range all {
		f := median(v.name, units.Second, v.wall)
		f.Note = v.note
		if len(v.cpu) > 0 {
			f.CPU = quantile(v.cpu, 0.5)
		}
		figures = append(figures, f)
	}
	const atPerf = 3 // the index of perf in all
	for i, v := range all {
		if v == perf {
			continue
		}
		figures[i].compare(figures[atPerf])
		if v.atMost > 0 {
			figures[i].ratioAtMost(v.atMost)
		}
	}
	cpu := median("CPU time of "+ours[0].name, units.Second, ours[0].cpu)
	cpu.compare(median(perf.name, units.Second, perf.cpu))
	cpu.atMost(0.010)
	faults := median("page faults of "+ours[0].name, units.Events, ours[0].faults)
	faults.compare(median(perf.name, units.Events, perf.faults))
	faults.atMost(1000)
	first, err := firstInstruction(b, ours[0].argv[:3])
	if err != nil {
		return nil, err
	}
	inits, err := initialisation(b)
	if err != nil {
		return nil, err
	}
	return append(figures, cpu, faults, first, inits), nil
}

// firstInstruction measures how much later a command begins under a wrapper than without it.
func firstInstruction(b *bench, wrapper []string) (figure, error) {
	const name = "the command begins later by"
	stamp := filepath.Join(b.dir, "stamp")
	if out, err := exec.Command("cc", "-O2", "-o", stamp, filepath.Join(b.root, "testdata", "cloop", "stamp.c")).CombinedOutput(); err != nil {
		return figure{Name: name, Note: fmt.Sprintf("the command with the time stamp could not be compiled: %v %s", err, out)}, nil
	}
	begins := func(argv ...string) (float64, error) {
		cmd := exec.Command(argv[0], argv[1:]...)
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			return 0, err
		}
		out, err := cmd.Output()
		if err != nil {
			return 0, fmt.Errorf("%s: %w", argv[0], err)
		}
		ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		return float64(ns-now.Nano()) / 1e9, err
	}
	var with, without []float64
	for range b.rounds {
		bare, err := begins(stamp)
		if err != nil {
			return figure{}, err
		}
		wrapped, err := begins(append(slices.Clone(wrapper), stamp)...)
		if err != nil {
			return figure{}, err
		}
		without, with = append(without, bare), append(with, wrapped-bare)
	}
	f := median(name, units.Second, with)
	f.Note = fmt.Sprintf("than the %s it takes from the caller's fork to its own main without", show(quantile(without, 0.5), units.Second))
	f.atMost(0.004)
	return f, nil
}

// initialisation measures how long Go takes to initialise all packages except the runtime (GODEBUG=inittrace=1).
func initialisation(b *bench) (figure, error) {
	var sums []float64
	for range max(b.rounds/10, 1) {
		cmd := exec.Command(b.ergon, "--version")
		cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1", "ERGON_EARLY=none") // else ergon would set GODEBUG aside
		var told strings.Builder
		cmd.Stderr = &told
		if err := cmd.Run(); err != nil {
			return figure{}, err
		}
		sum := 0.0
		for line := range strings.Lines(told.String()) { // init PACKAGE @TIME ms, DURATION ms clock, …
			words := strings.Fields(line)
			if len(words) < 6 || words[0] != "init" || words[1] == "runtime" {
				continue
			}
			ms, err := strconv.ParseFloat(words[4], 64)
			if err != nil {
				return figure{}, fmt.Errorf("inittrace: %w", err)
			}
			sum += ms / 1e3
		}
		sums = append(sums, sum)
	}
	f := median("initialisation of packages", units.Second, sums)
	f.atMost(0.0005)
	return f, nil
}

// once runs the variant. If counts is true, it records the wall time, and the CPU time and page faults with those of the
// children that were waited for.
func (v *variant) once(attr *syscall.ProcAttr, counts bool) error {
	start := time.Now()
	pid, err := syscall.ForkExec(v.argv[0], v.argv, attr)
	if err != nil {
		return err
	}
	var status syscall.WaitStatus
	var usage syscall.Rusage
	for {
		if _, err = syscall.Wait4(pid, &status, 0, &usage); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	took := time.Since(start)
	if err != nil {
		return err
	}
	if !status.Exited() || status.ExitStatus() != 0 {
		return fmt.Errorf("wait status %#x", uint32(status))
	}
	if counts {
		v.wall = append(v.wall, took.Seconds())
		v.cpu = append(v.cpu, float64(usage.Utime.Nano()+usage.Stime.Nano())/1e9)
		v.faults = append(v.faults, float64(usage.Minflt+usage.Majflt))
	}
	return nil
}
