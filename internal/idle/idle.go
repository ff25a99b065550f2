// Package idle waits until the machine is as idle as it was before.
package idle

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// State is what a machine did for a short time.
type State struct {
	// Busy is the mean number of processors that executed something. Stolen is the mean number of processors that had work
	// while the hypervisor ran other guests.
	Busy, Stolen float64
	// Temperature is the highest of all thermal zones at the end, in °C. It is NaN if no zone can be read.
	Temperature float64
}

// Machine reads the state of a machine.
type Machine struct {
	// Proc and Sys are the folders where procfs and sysfs are mounted.
	Proc, Sys string
	// Window is the time over which Measure looks.
	Window time.Duration
}

// The margins within which a machine is as idle as before. The counters of the processors have steps of 10 ms, so a window of
// 300 ms resolves 0.03 processors.
const (
	moreBusy   = 0.1 // processors
	moreHeat   = 2.0 // °C
	window     = 300 * time.Millisecond
	userTick   = 100 // ticks in 1 s, the same on all platforms that Go runs on
	thousandth = 1000
)

// New returns the machine that this process runs on.
func New(proc, sys string) Machine { return Machine{proc, sys, window} }

// Measure returns the state during the window.
func (m Machine) Measure(ctx context.Context) (State, error) {
	before, err := m.Count()
	if err != nil {
		return State{}, err
	}
	select {
	case <-ctx.Done():
		return State{}, ctx.Err()
	case <-time.After(m.Window):
	}
	return m.Since(before)
}

// Since returns the state from the time of the counters until now.
func (m Machine) Since(before Counters) (State, error) {
	after, err := m.Count()
	all := after.at.Sub(before.at).Seconds() * userTick
	return State{
		Busy: max(0, after.busy-before.busy) / all, Stolen: max(0, after.stolen-before.stolen) / all, Temperature: m.temperature(),
	}, err
}

// Wait returns once the machine is as idle as it was at first. It returns false if it was not so within the limit.
func (m Machine) Wait(ctx context.Context, first State, limit time.Duration) (bool, error) {
	for began := time.Now(); ; {
		now, err := m.Measure(ctx)
		switch {
		case err != nil:
			return false, err
		case now.like(first):
			return true, nil
		case time.Since(began) >= limit:
			return false, nil
		}
	}
}

// like reports whether the machine is as idle as it was at first. An unknown temperature says nothing.
func (s State) like(first State) bool {
	return s.Busy <= first.Busy+moreBusy && !(s.Temperature > first.Temperature+moreHeat)
}

// Counters are the counters of all processors together, in ticks of 10 ms, at some time.
type Counters struct {
	at           time.Time
	busy, stolen float64
}

// Count reads the first line of /proc/stat (proc_stat(5)).
func (m Machine) Count() (Counters, error) {
	path := filepath.Join(m.Proc, "stat")
	text, err := os.ReadFile(path)
	if err != nil {
		if runtime.GOOS != "linux" {
			err = errors.New("only Linux tells how busy the processors are")
		}
		return Counters{}, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	words := strings.Fields(line)
	const user, idle, iowait, steal, last = 1, 4, 5, 8, 9
	if len(words) < last || words[0] != "cpu" {
		return Counters{}, fmt.Errorf("%s: its first line is %q, not the counters of the processors", path, line)
	}
	t := Counters{at: time.Now()}
	for i := user; i < last; i++ {
		n, err := strconv.ParseFloat(words[i], 64)
		if err != nil {
			return Counters{}, fmt.Errorf("%s: %w", path, err)
		}
		switch i {
		case idle, iowait:
		case steal:
			t.stolen = n
		default:
			t.busy += n
		}
	}
	return t, nil
}

// temperature returns the highest temperature of the thermal zones in °C, NaN if none can be read.
func (m Machine) temperature() float64 {
	highest := math.NaN()
	zones, _ := filepath.Glob(filepath.Join(m.Sys, "class/thermal/thermal_zone*/temp")) // the pattern is valid
	for _, path := range zones {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64); err == nil && !(n/thousandth <= highest) {
			highest = n / thousandth
		}
	}
	return highest
}
