package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/ergon-energy/ergon/units"
)

// simulated is the length of the run at 1 kHz. It takes as many readings as a run at 10 Hz takes in 100 minutes.
const simulated = 60 * time.Second

// resident measures the memory of launcher, runner and sampler together, near the end of a run and after half of it. It measures a
// usual run, and a run at 1 kHz with the readings of more than an hour. The program's file, which the processes share, counts
// once (Pss, proportional set size, in proc_pid_smaps(5)). So the two runs follow each other; otherwise six processes would
// share the file. The peer is `perf stat`, which has its own file.
func resident(b *bench) ([]figure, error) {
	length, hour := 20*time.Second, simulated
	if b.long {
		length = 600 * time.Second
	}
	if b.quick {
		length, hour = time.Second, time.Second
	}
	var wait sync.WaitGroup
	var plain, fast, perf held
	var errs [2]error
	wait.Go(func() {
		plain, errs[0] = b.hold(length, true, b.ergon, "-q", "--no-save")
		fast, errs[1] = b.hold(hour, true, b.ergon, "-q", "--no-save", "--interval", "1ms")
	})
	wait.Go(func() { perf, _ = b.hold(length, false, "perf", "stat") }) // without perf there is no peer
	wait.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	peer := single("perf stat", units.Byte, perf.end)
	if perf.end == 0 {
		peer.Value = nil
	}
	a := single(fmt.Sprintf("a run of %v", length), units.Byte, plain.end)
	a.compare(peer)
	a.atMost(40e6)
	a.Note = plain.parts()
	h := single(fmt.Sprintf("%v at 1 kHz: the readings of %.0f min at 10 Hz", hour, hour.Minutes()*100), units.Byte, fast.end)
	h.atMost(40e6)
	h.Note = fast.parts()
	h.compare(peer)
	growth := single("growth in the second half of that", units.Ratio, fast.end/fast.half-1)
	growth.atMost(0.05)
	return []figure{a, h, growth}, nil
}

// held is memory in bytes.
type held struct {
	half, end       float64 // all processes, after half of the run and near its end; shared memory counts once
	runner, sampler float64 // each process near the end, with everything mapped (VmRSS)
	own             float64 // the part of all near the end that does not come from a file: heap and stacks
}

func (h held) parts() string {
	return fmt.Sprintf("runner %s, sampler %s by VmRSS, which counts shared memory twice; %s is heap and stacks, the rest is the "+
		"program's file, and how much of it is mapped depends on the kernel's cache",
		show(&h.runner, units.Byte), show(&h.sampler, units.Byte), show(&h.own, units.Byte))
}

// hold measures the memory of a program that wraps a sleep. sampled says that the program has a sampler.
func (b *bench) hold(length time.Duration, sampled bool, argv ...string) (h held, err error) {
	argv = append(argv, "sleep", strconv.FormatFloat(length.Seconds(), 'f', -1, 64))
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = b.dir
	if err := cmd.Start(); err != nil {
		return h, err
	}
	defer func() {
		if werr := cmd.Wait(); werr != nil && err == nil {
			err = fmt.Errorf("%v: %w", argv, werr)
		}
	}()
	time.Sleep(length / 2)
	pids, err := processesOf(cmd.Process.Pid, sampled)
	if err != nil {
		return h, err
	}
	for _, pid := range pids {
		m, err := residentMemory(pid, "smaps_rollup", "Pss:")
		if err != nil {
			return h, err
		}
		h.half += m
	}
	time.Sleep(length / 2 * 9 / 10)
	parts := make([]float64, len(pids))
	for i, pid := range pids {
		m, err := residentMemory(pid, "smaps_rollup", "Pss:")
		if err != nil {
			return h, err
		}
		h.end += m
		if parts[i], err = residentMemory(pid, "status", "VmRSS:"); err != nil {
			return h, err
		}
		own, err := residentMemory(pid, "status", "RssAnon:")
		if err != nil {
			return h, err
		}
		h.own += own
	}
	if sampled {
		h.runner, h.sampler = parts[len(pids)-2], parts[len(pids)-1]
	}
	return h, nil
}
