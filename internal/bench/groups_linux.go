package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// linuxGroups lists the groups that can be measured on Linux only.
func linuxGroups() []group {
	return []group{
		{"wrap", "Wrapping true", wrapping},
		{"sampler", "The sampler, all families", sampling},
		{"memory", "Resident memory, runner and sampler", resident},
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

// samplerOf returns the process id of a running ergon's sampler: its child named ergon-sampler.
func samplerOf(ergon int) (int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", ergon))
	if err != nil {
		return 0, err
	}
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		for child := range strings.FieldsSeq(string(children)) {
			name, err := os.ReadFile(filepath.Join("/proc", child, "comm"))
			if err == nil && string(name) == "ergon-sampler\n" {
				return strconv.Atoi(child)
			}
		}
	}
	return 0, fmt.Errorf("process %d: no sampler among its children", ergon)
}
