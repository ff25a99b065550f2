// Package fakerapl is a powercap tree of files whose counters tick: energy_uj follows a known power while something
// runs, so that what was measured can be held against what was spent. It is for tests, and for trying ergon on a machine
// that has no RAPL.
//
// The tree is that of a laptop, a package with its cores below it and psys around it. Whoever adds up all three
// gets three times the energy of the package. The package's counter starts 100 J before its wrap point, so that a run of
// any length passes it.
//
// A run is exact whatever the scheduling where the measured command drives the tree itself:
//
//	fakerapl create DIR
//	ergon --path.sysfs DIR -- fakerapl drive DIR ramp:50:200:2s 2s
//
// drive ends with the counters at the curve's integral over its duration, here 250 J, and nobody moves them before it
// starts or after it has ended.
package fakerapl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/units"
)

const (
	// Range is max_energy_range_uj of every zone, in µJ: that of an Intel processor counting in units of 61 µJ.
	Range = 262143328850
	// tick is how often the counters move; real ones do about every millisecond too.
	tick = time.Millisecond
	// width of energy_uj's digits, Range has as many. They are written over in place and in one call, since a reader that
	// keeps the file open would never see a file renamed over it, and a shortened one empty most of the time.
	width = 12

	class   = "class/powercap"
	devices = "devices/virtual/powercap"
)

// zone is a zone of the tree: where it is below devices, its name, where its counter starts in µJ and which part of the
// curve's power it draws.
type zone struct {
	path, name string
	start      uint64
	share      float64
}

func zones() []zone {
	return []zone{
		{path: "intel-rapl/intel-rapl:0", name: "package-0", start: Range - 100e6, share: 1},
		{path: "intel-rapl/intel-rapl:0/intel-rapl:0:0", name: "core", start: 5e6, share: 0.6},
		{path: "intel-rapl/intel-rapl:1", name: "psys", start: 0, share: 1.4},
	}
}

// Create lays out a tree below dir, which then serves as the root of sysfs. Where there is one its counters start anew.
func Create(dir string) error {
	for _, z := range zones() {
		at := filepath.Join(dir, filepath.FromSlash(devices), filepath.FromSlash(z.path))
		if err := os.MkdirAll(at, 0o755); err != nil {
			return fmt.Errorf("fakerapl: %w", err)
		}
		for name, text := range map[string]string{
			"name":                z.name,
			"energy_uj":           fmt.Sprintf("%0*d", width, z.start),
			"max_energy_range_uj": strconv.FormatUint(Range, 10),
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

// Tree is a tree whose counters can be moved. One at a time may have it open.
type Tree struct {
	counters []counter
	text     []byte
}

// counter is an open energy_uj. base is its value when the tree was opened.
type counter struct {
	zone
	file *os.File
	base uint64
}

// Open opens the counters of a tree that Create has made, and goes on from where they stand.
func Open(dir string) (*Tree, error) {
	t := &Tree{}
	for _, z := range zones() {
		path := filepath.Join(dir, filepath.FromSlash(devices), filepath.FromSlash(z.path), "energy_uj")
		c, err := openCounter(z, path)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("fakerapl: %w", err), t.Close())
		}
		t.counters = append(t.counters, c)
	}
	return t, nil
}

func openCounter(z zone, path string) (counter, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return counter{}, err
	}
	base, err := strconv.ParseUint(strings.TrimSuffix(string(text), "\n"), 10, 64)
	if err != nil || len(text) != width+1 || base > Range {
		return counter{}, fmt.Errorf("%s: %q is none of our counters", path, text)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	return counter{zone: z, file: file, base: base}, err
}

// Spend moves the counters to where they stood when the tree was opened, plus the zones' shares of e.
func (t *Tree) Spend(e units.Energy) error {
	for _, c := range t.counters {
		// The kernel's counter restarts from 0 when it has passed the range.
		now := (c.base + microjoules(e*units.Energy(c.share))) % Range
		t.text = fmt.Appendf(t.text[:0], "%0*d\n", width, now)
		if _, err := c.file.WriteAt(t.text, 0); err != nil {
			return fmt.Errorf("fakerapl: %w", err)
		}
	}
	return nil
}

// Drive moves the counters along the curve in real time, and leaves them at its energy over d, to the µJ. Where ctx ends
// before that it leaves them at the energy up to then and returns the context's error.
func (t *Tree) Drive(ctx context.Context, curve Curve, d time.Duration) error {
	start := time.Now()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	end := time.NewTimer(d)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return errors.Join(t.Spend(curve.Energy(min(time.Since(start), d))), ctx.Err())
		case <-end.C:
			return t.Spend(curve.Energy(d))
		case <-ticker.C:
			if err := t.Spend(curve.Energy(min(time.Since(start), d))); err != nil {
				return err
			}
		}
	}
}

// Close releases the files; the counters stay as they are. A second call does nothing.
func (t *Tree) Close() error {
	var err error
	for _, c := range t.counters {
		err = errors.Join(err, c.file.Close())
	}
	t.counters = nil
	return err
}
