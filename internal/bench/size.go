package main

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ergon-energy/ergon/units"
)

// size measures the size of the program's file, with and without symbols. The peer is perf's file.
func size(b *bench) ([]figure, error) {
	var figures []figure
	for _, p := range []struct {
		name  string
		flags []string
	}{
		{"ergon", nil},
		{"ergon, stripped", []string{"-ldflags", "-s -w"}},
	} {
		path := filepath.Join(b.dir, "sized")
		if err := b.build(path, p.flags...); err != nil {
			return nil, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		figures = append(figures, single(p.name, units.Byte, float64(info.Size())))
	}
	if path, err := exec.LookPath("perf"); err == nil {
		if info, err := os.Stat(path); err == nil {
			perf := single("perf", units.Byte, float64(info.Size()))
			for i := range figures {
				figures[i].compare(perf)
			}
			figures = append(figures, perf)
		}
	}
	return figures, nil
}
