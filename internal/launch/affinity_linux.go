package launch

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// mostProcessors bounds the numbers of processors that Allowed and Pin know.
const mostProcessors = 1024

// Allowed lists the numbers of the processors that this process may run on, in ascending order.
func Allowed() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("which processors are allowed: %w", err)
	}
	var list []int
	for i := range mostProcessors {
		if set.IsSet(i) {
			list = append(list, i)
		}
	}
	return list, nil
}

// Pin lets a process with one thread run on these processors only. What the process makes inherits that.
func Pin(pid int, processors []int) error {
	var set unix.CPUSet
	for _, n := range processors {
		set.Set(n)
	}
	if err := unix.SchedSetaffinity(pid, &set); err != nil {
		return fmt.Errorf("set the processors of process %d: %w", pid, err)
	}
	return nil
}

// pinned calls start on a thread that may run on these processors only, so that a process which start makes inherits that.
// Nil stands for all processors.
func pinned(processors []int, start func() error) error {
	if processors == nil {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all, err := Allowed()
	if err != nil {
		return err
	}
	if err := Pin(0, processors); err != nil {
		return err
	}
	defer func() { _ = Pin(0, all) }() // what was allowed a moment ago
	return start()
}
