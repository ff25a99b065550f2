package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/ergon-energy/ergon/internal/inventory"
	"github.com/ergon-energy/ergon/units"
)

// counting measures how long a count of files takes, with warm caches, before the command and after it. The peer is find,
// which prints the size of each file.
func counting(b *bench) ([]figure, error) {
	files, rounds := 1_000_000, 5
	if b.quick {
		files, rounds = 2000, 1
	}
	dir := filepath.Join(b.dir, "files")
	_, _ = fmt.Fprintf(b.log, "bench: %d files are made …\n", files)
	if err := makeFiles(dir, files); err != nil {
		return nil, err
	}
	find := func() (float64, error) {
		start := time.Now()
		err := exec.Command("find", dir, "-type", "f", "-printf", `%s\n`).Run()
		return time.Since(start).Seconds(), err
	}
	if _, err := find(); err != nil { // also warms the caches
		return nil, fmt.Errorf("find: %w", err)
	}
	pattern, err := inventory.NewPattern(`(?P<kind>[a-z]+)[0-9]+\.(?P<type>[a-z]+)`)
	if err != nil {
		return nil, err
	}
	byExtension := inventory.Options{Areas: []inventory.Area{{Name: "files", Path: dir}}}
	byPattern := inventory.Options{Areas: []inventory.Area{{Name: "files", Path: dir, Pattern: pattern}}}
	var first, second, matched, peer, memory []float64
	for range rounds {
		for _, what := range rand.Perm(3) {
			switch what {
			case 0:
				seconds, err := find()
				if err != nil {
					return nil, err
				}
				peer = append(peer, seconds)
			case 1:
				one, two, bytes, err := countTwice(byExtension, files)
				if err != nil {
					return nil, err
				}
				first, second, memory = append(first, one), append(second, two), append(memory, bytes)
			case 2:
				one, _, _, err := countTwice(byPattern, files)
				if err != nil {
					return nil, err
				}
				matched = append(matched, one)
			}
		}
	}
	by := median("find", units.Second, peer)
	figures := []figure{
		median(fmt.Sprintf("%d files, before the command", files), units.Second, first),
		median("the same, after the command", units.Second, second),
		median("before, by a pattern with two groups", units.Second, matched),
		median("remembered of the files", units.Byte, memory),
	}
	for i := range 3 {
		figures[i].compare(by)
	}
	figures[0].ratioAtMost(1.5)
	figures[1].ratioAtMost(1.5)
	figures[3].atMost(40 * float64(files))
	figures[2].Note = "package regexp takes about a microsecond for each name"
	return figures, os.RemoveAll(dir)
}

// countTwice returns how long both counts took, in s, and the memory that is held between them, in bytes.
func countTwice(o inventory.Options, files int) (first, second, memory float64, err error) {
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before, start := heap(), time.Now()
	s, err := inventory.Take(context.Background(), o)
	if err != nil {
		return 0, 0, 0, err
	}
	first = time.Since(start).Seconds()
	memory = heap() - before
	start = time.Now()
	areas, err := s.Compare(context.Background())
	if err != nil {
		return 0, 0, 0, err
	}
	second = time.Since(start).Seconds()
	n := int64(0)
	for _, r := range areas[0].Rows {
		n += r.After.Files
	}
	if n != int64(files) {
		return 0, 0, 0, errors.New("not all files were counted")
	}
	return first, second, memory, nil
}

// makeFiles makes empty files with ten extensions, a thousand in each folder.
func makeFiles(dir string, n int) error {
	types := []string{"txt", "log", "fits", "py", "c", "h", "o", "json", "csv", "dat"}
	for i := range n {
		folder := filepath.Join(dir, fmt.Sprintf("d%03d", i/100_000), fmt.Sprintf("e%03d", i/1000%100))
		if i%1000 == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return err
			}
		}
		f, err := os.Create(filepath.Join(folder, fmt.Sprintf("file%04d.%s", i%1000, types[i%len(types)])))
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}
