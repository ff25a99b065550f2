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
	"syscall"
	"time"

	"github.com/ergon-energy/ergon/units"
)

// variant is one way to run `true`.
type variant struct {
	name      string
	argv      []string
	wall, cpu []float64
	note      string // why it is left out; empty where it is measured
}

// wrapping is what it costs to wrap a command that does nothing.
func wrapping(b *bench) ([]figure, error) {
	results := filepath.Join(b.dir, "wrap-results")
	nothing, err := exec.LookPath("true")
	if err != nil {
		return nil, err
	}
	bare := &variant{name: "true", argv: []string{nothing}}
	gnu := &variant{name: "time true", argv: []string{"/usr/bin/time", nothing}}
	perf := &variant{name: "perf stat true", argv: []string{"perf", "stat", nothing}}
	ours := []*variant{
		{name: "ergon -q --no-save true", argv: []string{b.ergon, "-q", "--no-save", nothing}},
		{name: "ergon --no-save true", argv: []string{b.ergon, "--no-save", nothing}},
		{name: "ergon -q true", argv: []string{b.ergon, "-q", "-o", results, nothing}},
		{name: "ergon true", argv: []string{b.ergon, "-o", results, nothing}},
	}
	all := append([]*variant{bare, gnu, perf}, ours...)

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
			_, _, err = v.once(attr)
		}
		switch {
		case err == nil:
			present = append(present, v)
		case v == perf:
			v.note = fmt.Sprintf("%v: Debian has it in linux-perf, `apt-get install linux-perf`", err)
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
			wall, cpu, err := v.once(attr)
			if err != nil {
				words, _ := os.ReadFile(said.Name()) // the more said the better
				return nil, fmt.Errorf("%s, round %d: %w: %s", v.name, round, err, words)
			}
			if round >= warmUp {
				v.wall, v.cpu = append(v.wall, wall), append(v.cpu, cpu)
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
	against := figures[2]
	for i := range figures[3:] {
		f := &figures[3+i]
		f.beside(against)
		if i < 2 {
			f.ratioAtMost(1)
		} else {
			f.ratioAtMost(2)
		}
	}
	for i := range figures[:2] {
		figures[i].beside(against)
	}
	return figures, nil
}

// once runs it and returns its wall time and the CPU time of it and all it waited for, in seconds.
func (v *variant) once(attr *syscall.ProcAttr) (wall, cpu float64, err error) {
	start := time.Now()
	pid, err := syscall.ForkExec(v.argv[0], v.argv, attr)
	if err != nil {
		return 0, 0, err
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
		return 0, 0, err
	}
	if !status.Exited() || status.ExitStatus() != 0 {
		return 0, 0, fmt.Errorf("wait status %#x", uint32(status))
	}
	return took.Seconds(), float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9, nil
}
