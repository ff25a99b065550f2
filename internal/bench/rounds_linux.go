package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// tool measures `true` many times. Each call of it is a block of rounds.
type tool struct {
	name string
	// argv makes the words of a block of n rounds. file is where the result goes.
	argv func(n int, file string) []string
	// read reads what the tool reports of the rounds of a block: their wall times in s, and their CPU times if it has them. It
	// is nil if the tool reports no single round.
	read func(file string, out []byte) (wall, cpu []float64, err error)
	note string // why it is left out; empty if it is measured

	rounds    []float64 // how long a round took in each block, from outside, in s
	wall, cpu []float64 // what it reported
}

const (
	blockRounds = 100    // the rounds of one block
	manyRounds  = 1_000  // the rounds of a long call
	allRounds   = 10_000 // the rounds of which each is checked
	longCalls   = 5      // how often each tool makes a long call
)

// roundCosts measures what a round of `true` costs in ergon bench, and how far the wall time that it reports is from that of
// posix_spawn and wait4. Blocks of all tools are interleaved in random order.
func roundCosts(b *bench) ([]figure, error) {
	nothing, err := exec.LookPath("true")
	if err != nil {
		return nil, err
	}
	spawn := filepath.Join(b.dir, "spawn")
	if out, err := exec.Command("cc", "-O2", "-o", spawn, filepath.Join(b.root, "testdata", "cloop", "spawn.c")).CombinedOutput(); err != nil {
		return []figure{{Name: "rounds of true", Note: fmt.Sprintf("the reference could not be compiled: %v %s", err, out)}}, nil
	}
	reference := &tool{name: "posix_spawn + wait4", read: readSpawn, argv: func(n int, _ string) []string {
		return []string{spawn, strconv.Itoa(n), nothing}
	}}
	hyper := &tool{name: "hyperfine -N", read: readHyperfine, argv: func(n int, file string) []string {
		return []string{"hyperfine", "-N", "-w0", "-r", strconv.Itoa(n), "--style=none", "--export-json", file, nothing}
	}}
	perf := &tool{name: "perf stat -r", argv: func(n int, file string) []string {
		return []string{"perf", "stat", "-r", strconv.Itoa(n), "-o", file, nothing}
	}}
	ours := &tool{name: "ergon bench", read: readRounds, argv: func(n int, file string) []string {
		return []string{b.ergon, "bench", "-q", "--runs", strconv.Itoa(n), "--export", "json=" + file, nothing}
	}}
	all := []*tool{reference, hyper, perf, ours}
	var present []*tool
	for _, t := range all {
		if _, err := t.block(b, 3); err != nil {
			if t == reference || t == ours {
				return nil, err
			}
			t.note = err.Error()
			continue
		}
		t.wall, t.cpu = nil, nil
		present = append(present, t)
	}

	checked, many, calls := allRounds, manyRounds, longCalls
	if b.quick {
		checked, many, calls = 4*blockRounds, blockRounds, 1
	}
	var over []float64 // how much longer a round took than with hyperfine in the same turn
	for range checked / blockRounds {
		took := map[*tool]float64{}
		for _, i := range rand.Perm(len(present)) {
			d, err := present[i].block(b, blockRounds)
			if err != nil {
				return nil, err
			}
			took[present[i]] = d / blockRounds
			present[i].rounds = append(present[i].rounds, d/blockRounds)
		}
		if hyper.note == "" {
			over = append(over, took[ours]-took[hyper])
		}
	}
	walls := map[*tool][]float64{}
	cpu := ours.cpu
	for _, t := range present {
		walls[t] = t.wall
	}
	long := map[*tool][]float64{}
	for range calls {
		for _, i := range rand.Perm(len(present)) {
			d, err := present[i].block(b, many)
			if err != nil {
				return nil, err
			}
			long[present[i]] = append(long[present[i]], d)
		}
	}
	return roundFigures(all, reference, hyper, ours, over, walls, cpu, long, many), nil
}

// roundFigures makes the rows of the table.
func roundFigures(all []*tool, reference, hyper, ours *tool, over []float64, walls map[*tool][]float64, cpu []float64, long map[*tool][]float64, many int) []figure {
	var figures []figure
	for _, t := range all {
		f := median("a round of true, "+t.name, units.Second, t.rounds)
		f.Note = t.note
		figures = append(figures, f)
	}
	more := median("a round costs more than hyperfine's by", units.Second, over)
	more.Note = "in the same turn; with whole-tree CPU time, peak memory and the machine's counters, without a time series"
	more.atMost(0.0005)
	figures = append(figures, more)

	of := map[*tool]figure{}
	for _, t := range all {
		f := median(fmt.Sprintf("%d rounds of true, %s", many, t.name), units.Second, long[t])
		f.Note = t.note
		if t == ours {
			f.compare(of[hyper])
			f.ratioAtMost(1.3)
		}
		of[t] = f
		figures = append(figures, f)
	}

	least := *quantile(walls[reference], 0)
	base := median("wall time of true, "+reference.name, units.Second, walls[reference])
	figures = append(figures, base)
	for _, t := range all {
		if t == reference || t.read == nil || t.note != "" {
			continue
		}
		f := median("reported wall time, above that by, "+t.name, units.Second, differences(walls[t], *base.Value))
		if t == ours {
			f.atMost(0.00015)
		}
		figures = append(figures, f)
	}
	var none, below, impossible int
	for i, w := range walls[ours] {
		if w <= 0 {
			none++
		}
		if w < least {
			below++
		}
		if i < len(cpu) && cpu[i] > w*float64(runtime.NumCPU()) {
			impossible++
		}
	}
	for _, c := range []struct {
		name string
		n    int
	}{
		{"rounds with a wall time of 0 or less", none},
		{"rounds below the reference's shortest, " + show(&least, units.Second), below},
		{"rounds with more CPU time than wall time × CPUs", impossible},
	} {
		f := single(c.name, units.Events, float64(c.n))
		f.N = len(walls[ours])
		f.atMost(0)
		figures = append(figures, f)
	}
	return figures
}

// differences returns by how much the values are above base.
func differences(values []float64, base float64) []float64 {
	d := make([]float64, len(values))
	for i, v := range values {
		d[i] = v - base
	}
	return d
}

// block runs n rounds. It returns how long that took, in s, and keeps what was reported.
func (t *tool) block(b *bench, n int) (float64, error) {
	file := filepath.Join(b.dir, "rounds.json")
	argv := t.argv(n, file)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = b.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began).Seconds()
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", t.name, err, strings.TrimSpace(errs.String()))
	}
	if t.read == nil {
		return took, nil
	}
	wall, cpu, err := t.read(file, out.Bytes())
	if err == nil && len(wall) != n {
		err = fmt.Errorf("%d rounds, want %d", len(wall), n)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", t.name, err)
	}
	t.wall, t.cpu = append(t.wall, wall...), append(t.cpu, cpu...)
	return took, nil
}

// readSpawn reads what testdata/cloop/spawn.c prints.
func readSpawn(_ string, out []byte) (wall, cpu []float64, err error) {
	for line := range strings.Lines(string(out)) {
		ns, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if err != nil {
			return nil, nil, err
		}
		wall = append(wall, float64(ns)/1e9)
	}
	return wall, nil, nil
}

// readHyperfine reads hyperfine's JSON.
func readHyperfine(file string, _ []byte) (wall, cpu []float64, err error) {
	var r struct {
		Results []struct {
			Times []float64 `json:"times"`
		} `json:"results"`
	}
	if err := readJSON(file, &r); err != nil {
		return nil, nil, err
	}
	for _, c := range r.Results {
		wall = append(wall, c.Times...)
	}
	return wall, nil, nil
}

// readRounds reads the JSON of ergon bench.
func readRounds(file string, _ []byte) (wall, cpu []float64, err error) {
	var r struct {
		Commands []struct {
			Metrics map[string]struct {
				Values []float64 `json:"values"`
			} `json:"metrics"`
		} `json:"commands"`
	}
	if err := readJSON(file, &r); err != nil {
		return nil, nil, err
	}
	for _, c := range r.Commands {
		wall = append(wall, c.Metrics[datamodel.WallTime].Values...)
		cpu = append(cpu, c.Metrics[datamodel.CPUTime].Values...)
	}
	return wall, cpu, nil
}

func readJSON(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
