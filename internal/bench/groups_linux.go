package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// linuxGroups lists the groups that can be measured on Linux only.
func linuxGroups() []group {
	return []group{
		{"wrap", "Wrapping true", wrapping},
		{"rounds", "Measuring true many times", roundCosts},
		{"sampler", "The sampler, all families", sampling},
		{"marks", "Marks of the command", marking},
		{"memory", "Resident memory, runner and sampler", resident},
		{"inventory", "Counting files", counting},
		{"peers", "gzip against zstd, by ergon and by others", against},
	}
}

// cpuTime reads the CPU clock of a process (clock_getcpuclockid(3)), in seconds.
func cpuTime(pid int) (float64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	return float64(t.Nano()) / 1e9, nil
}

// residentMemory reads a line of a file in /proc/PID, in bytes, such as "VmRSS:" of status or "Pss:" of smaps_rollup.
func residentMemory(pid int, file, line string) (float64, error) {
	path := filepath.Join("/proc", strconv.Itoa(pid), file)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(l, line); ok {
			fields := strings.Fields(rest)
			if len(fields) == 2 && fields[1] == "kB" {
				kib, err := strconv.ParseFloat(fields[0], 64)
				return 1024 * kib, err
			}
		}
	}
	return 0, fmt.Errorf("%s: no %s", path, line)
}

// processesOf returns the process ids of a running ergon: the launcher if there is one, the runner, and the sampler if sampled.
// A launcher has a child named ergon, and the sampler is the runner's child named ergon-sampler.
func processesOf(ergon int, sampled bool) ([]int, error) {
	pids := []int{ergon}
	if runner, ok := childNamed(ergon, "ergon"); ok {
		pids = append(pids, runner)
	}
	if !sampled {
		return pids, nil
	}
	runner := pids[len(pids)-1]
	pid, ok := childNamed(runner, "ergon-sampler")
	if !ok {
		return nil, fmt.Errorf("process %d: no sampler among its children", runner)
	}
	return append(pids, pid), nil
}

// childNamed returns the process id of a child with that name.
func childNamed(parent int, name string) (pid int, ok bool) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		for child := range strings.FieldsSeq(string(children)) {
			comm, err := os.ReadFile(filepath.Join("/proc", child, "comm"))
			if err == nil && string(comm) == name+"\n" {
				pid, err = strconv.Atoi(child)
				return pid, err == nil
			}
		}
	}
	return 0, false
}

// peakOf returns the peak resident memory of a process that has ended, in bytes.
func peakOf(p *os.ProcessState) float64 {
	if usage, ok := p.SysUsage().(*syscall.Rusage); ok {
		return 1024 * float64(usage.Maxrss)
	}
	return 0
}
