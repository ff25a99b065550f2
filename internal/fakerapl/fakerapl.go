// Package fakerapl writes a powercap tree of files whose counters tick: energy_uj follows a known power. So a test can
// compare the measured energy with the true one. It also serves to try ergon on a machine without RAPL.
//
// By default the tree is a laptop's: a package with its cores below it, and psys around it. A reader that adds up all
// three gets three times the energy of the package. The package's counter starts 100 J before its wrap point, so that
// all but very short runs pass it. Other layouts have mirrored dies, or the package's counter a second time through MMIO.
// Faults can hit the counters at known times.
//
// If the measured command drives the tree itself, a run is exact, however it is scheduled:
//
//	fakerapl create DIR
//	ergon --path.sysfs DIR -- fakerapl drive DIR ramp:50:200:2s 2s
//
// When drive ends, the counters stand at the curve's integral over its duration, here 250 J. Nothing moves them before
// it starts or after it has ended.
package fakerapl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/units"
)

const (
	// Range is the default max_energy_range_uj of every zone, in µJ. An Intel processor that counts in units of 61 µJ
	// has this range.
	Range = 262143328850
	// tick is how often the counters move. Real counters also move about every millisecond.
	tick = time.Millisecond
	// mostStep is how much of a wait for a processor the counters make up for at once. It is far below the 100 ms by
	// which a reader must expect a counter to be late, and above the tick of a kernel without fine timers.
	mostStep = 10 * tick
	// width is the number of digits in energy_uj, as in Range. They are overwritten in place, in one call. A reader that
	// keeps the file open would never see a renamed file, and would often find a truncated one empty.
	width = 12

	// shareFile has the part of the curve's power that the zone draws. No kernel has this file.
	shareFile = "fakerapl_share"

	class   = "class/powercap"
	devices = "devices/virtual/powercap"
)

// Machine is the layout of a tree.
type Machine struct {
	// Range is max_energy_range_uj in µJ. 0 selects the constant Range.
	Range uint64
	// Dies replaces the package by two dies that both show the whole package's counter, as some EPYCs do. core and psys
	// are left out. Twin adds the package a second time as an MMIO zone.
	Dies, Twin bool
	// Sockets is the number of packages without core and psys. 0 means the laptop.
	Sockets int
	// Platform leaves psys alone, as some hypervisors do.
	Platform bool
	// Dead names zones whose counters never move.
	Dead []string
}

// zone is a zone of the tree: its path below devices, its name, the start of its counter in µJ, and the part of the
// curve's power that it draws.
type zone struct {
	path, name string
	start      uint64
	share      float64
}

func (m Machine) zones() []zone {
	list := m.living()
	for i := range list {
		if slices.Contains(m.Dead, list[i].name) {
			list[i].share = 0
		}
	}
	return list
}

// living lists the zones as if all counters moved.
func (m Machine) living() []zone {
	start := m.Range - min(100e6, m.Range/2)
	if m.Dies {
		return []zone{
			{path: "intel-rapl/intel-rapl:0", name: "package-0-die-0", start: start, share: 1},
			{path: "intel-rapl/intel-rapl:1", name: "package-0-die-1", start: start, share: 1},
		}
	}
	psys := zone{path: "intel-rapl/intel-rapl:1", name: "psys", start: 0, share: 1.4}
	if m.Platform {
		return []zone{psys}
	}
	if m.Sockets > 0 {
		var list []zone
		for i := range m.Sockets {
			n := strconv.Itoa(i)
			list = append(list, zone{path: "intel-rapl/intel-rapl:" + n, name: "package-" + n, start: start, share: 1})
		}
		return list
	}
	list := []zone{
		{path: "intel-rapl/intel-rapl:0", name: "package-0", start: start, share: 1},
		{path: "intel-rapl/intel-rapl:0/intel-rapl:0:0", name: "core", start: 5e6, share: 0.6},
		psys,
	}
	if m.Twin {
		list = append(list, zone{path: "intel-rapl-mmio/intel-rapl-mmio:0", name: "package-0", start: start, share: 1})
	}
	return list
}

// Create writes a laptop's tree below dir, which then serves as the root of sysfs. If there is a tree already, its
// counters start anew.
func Create(dir string) error { return Machine{}.Create(dir) }

// Create writes the machine's tree below dir.
func (m Machine) Create(dir string) error {
	if m.Range == 0 {
		m.Range = Range
	}
	for _, z := range m.zones() {
		at := filepath.Join(dir, filepath.FromSlash(devices), filepath.FromSlash(z.path))
		if err := os.MkdirAll(at, 0o755); err != nil {
			return fmt.Errorf("fakerapl: %w", err)
		}
		for name, text := range map[string]string{
			"name":                z.name,
			"energy_uj":           fmt.Sprintf("%0*d", width, z.start),
			"max_energy_range_uj": strconv.FormatUint(m.Range, 10),
			shareFile:             strconv.FormatFloat(z.share, 'g', -1, 64),
		} {
			if err := os.WriteFile(filepath.Join(at, name), []byte(text+"\n"), 0o644); err != nil {
				return fmt.Errorf("fakerapl: %w", err)
			}
		}
		link := filepath.Join(dir, filepath.FromSlash(class), filepath.Base(at))
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return fmt.Errorf("fakerapl: %w", err)
		}
		target := filepath.FromSlash("../../" + devices + "/" + z.path)
		if err := os.Symlink(target, link); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("fakerapl: %w", err)
		}
	}
	return nil
}

// Tree is an open tree, whose counters can be moved. Only one process may have it open at a time.
type Tree struct {
	counters []counter
	faults   []Fault
	text     []byte
}

// counter is an open energy_uj. base is its value when the tree was opened, and wrap its range. gone is the tree's
// energy at the last reset, which the counter has lost.
type counter struct {
	path       string
	share      float64
	file       *os.File
	base, wrap uint64
	gone       units.Energy
}

// Open opens the counters of a tree that Create has written. They go on from their present values. The faults happen
// while the tree is driven.
func Open(dir string, faults ...Fault) (*Tree, error) {
	t := &Tree{faults: faults}
	links, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(class), "*:*", "energy_uj"))
	if err == nil && len(links) == 0 {
		err = fmt.Errorf("%s: no energy_uj of any zone", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("fakerapl: %w", err)
	}
	for _, path := range links {
		c, err := openCounter(path)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("fakerapl: %w", err), t.Close())
		}
		t.counters = append(t.counters, c)
	}
	return t, nil
}

func openCounter(path string) (counter, error) {
	part, err := os.ReadFile(filepath.Join(filepath.Dir(path), shareFile))
	if err != nil {
		return counter{}, err
	}
	share, err := strconv.ParseFloat(strings.TrimSuffix(string(part), "\n"), 64)
	if err != nil {
		return counter{}, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return counter{}, err
	}
	most, err := os.ReadFile(filepath.Join(filepath.Dir(path), "max_energy_range_uj"))
	if err != nil {
		return counter{}, err
	}
	wrap, _ := strconv.ParseUint(strings.TrimSuffix(string(most), "\n"), 10, 64)
	base, err := strconv.ParseUint(strings.TrimSuffix(string(text), "\n"), 10, 64)
	if err != nil || len(text) != width+1 || base > wrap || wrap == 0 {
		return counter{}, fmt.Errorf("%s: %q is not a counter of fakerapl", path, text)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	return counter{path: path, share: share, file: file, base: base, wrap: wrap}, err
}

// Spend sets each counter to its value when the tree was opened, plus the zone's share of e.
func (t *Tree) Spend(e units.Energy) error {
	for _, c := range t.counters {
		// The kernel's counter restarts from 0 when it passes the range.
		now := (c.base + microjoules((e-c.gone)*units.Energy(c.share))) % c.wrap
		t.text = fmt.Appendf(t.text[:0], "%0*d\n", width, now)
		if _, err := c.file.WriteAt(t.text, 0); err != nil {
			return fmt.Errorf("fakerapl: %w", err)
		}
	}
	return nil
}

// at sets the counters to their values at a time of the drive, and applies the faults of that time.
func (t *Tree) at(curve Curve, now time.Duration) error {
	for i := 0; i < len(t.faults); i++ {
		f := t.faults[i]
		if !f.on(now) {
			continue
		}
		switch f.Kind {
		case Stuck:
			return nil
		case Failed, Junk:
			return t.spoil(f.Kind)
		case Reset:
			for j := range t.counters {
				t.counters[j].base, t.counters[j].gone = 0, curve.Energy(f.From)
			}
		case Vanished, Locked:
			for _, c := range t.counters {
				if err := c.lose(f.Kind); err != nil {
					return fmt.Errorf("fakerapl: %w", err)
				}
			}
			if f.Kind == Vanished {
				t.counters = nil
			}
		}
		t.faults = slices.Delete(t.faults, i, i+1) // it has happened
		i--
	}
	return t.Spend(curve.Energy(now))
}

// lose removes the counter's file, or the permission to open it.
func (c counter) lose(how Fail) error {
	if how == Locked {
		return c.file.Chmod(0)
	}
	// A reader that has the file open could read a full file for ever. The kernel returns ENODEV for a removed zone.
	return errors.Join(c.file.Truncate(0), os.Remove(c.path), c.file.Close())
}

// spoil makes the next readings fail: the files are empty, or hold text that is not a number.
func (t *Tree) spoil(how Fail) error {
	for _, c := range t.counters {
		var err error
		if how == Failed {
			err = c.file.Truncate(0)
		} else {
			_, err = c.file.WriteAt([]byte("<unknown>    "[:width]+"\n"), 0)
		}
		if err != nil {
			return fmt.Errorf("fakerapl: %w", err)
		}
	}
	return nil
}

// Drive moves the counters along the curve in real time. At the end they stand at the curve's energy over d, to the µJ. If
// ctx ends before that, they stay where they are, and Drive returns the context's error.
//
// On a busy machine this process waits for a processor, but a real meter would not. If a counter then jumped to its
// true value, it would show a power that was never drawn. So the counters catch up over the next ticks, at 1.5 times the
// speed of the curve. Drive then takes longer than d, and the energy stays the same.
func (t *Tree) Drive(ctx context.Context, curve Curve, d time.Duration) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	start := time.Now()
	var along, before time.Duration // how far the counters are on the curve, and when they got there
	for along < d {
		var ended error
		select {
		case <-ctx.Done():
			ended = ctx.Err()
		case <-ticker.C:
		}
		now := time.Since(start)
		along = min(along+min(now-before, mostStep)*3/2, now, d)
		before = now
		if err := errors.Join(t.at(curve, along), ended); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the files. The counters keep their values. A second call does nothing.
func (t *Tree) Close() error {
	var err error
	for _, c := range t.counters {
		err = errors.Join(err, c.file.Close())
	}
	t.counters = nil
	return err
}
