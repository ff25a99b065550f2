package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// compareLimit is the most that a comparison of 2 × 1,000 rounds on 20 metrics may take, in seconds.
const compareLimit = 0.1

// comparing measures how long a comparison of two sides takes: 1,000 rounds a side with 20 metrics, and the same with process
// tables of 20 programs. The peer is benchstat, which compares the same values. Its time has the start of a process and the
// reading of two files; the time of ergon has the rendering of the result.
func comparing(b *bench) ([]figure, error) {
	n, rounds := 1000, 15
	if b.quick {
		n, rounds = 50, 1
	}
	r := rand.New(rand.NewPCG(1, 2))
	plain := [2]compare.Set{madeSide(r, n, false), madeSide(r, n, false)}
	traced := [2]compare.Set{madeSide(r, n, true), madeSide(r, n, true)}
	benchstat, files, noPeer := b.benchstat(plain)
	var ours, withCause, theirs, cpus []float64
	for range rounds {
		for _, i := range rand.Perm(3) {
			start := time.Now()
			switch {
			case i == 0:
				if err := compared(plain); err != nil {
					return nil, err
				}
				ours = append(ours, time.Since(start).Seconds())
			case i == 1:
				if err := compared(traced); err != nil {
					return nil, err
				}
				withCause = append(withCause, time.Since(start).Seconds())
			case noPeer == "":
				cmd := exec.Command(benchstat, files...)
				if out, err := cmd.CombinedOutput(); err != nil {
					return nil, fmt.Errorf("benchstat: %w: %s", err, out)
				}
				theirs = append(theirs, time.Since(start).Seconds())
				cpus = append(cpus, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
			}
		}
	}
	peer := median("benchstat", units.Second, theirs)
	peer.Note = noPeer
	if noPeer == "" {
		peer.CPU = quantile(cpus, 0.5)
		peer.Note = "with the start of a process and the reading of its files; it has no ratio with an interval, no Holm and no cause"
	}
	figures := []figure{
		median(fmt.Sprintf("2 × %d rounds, 20 metrics", n), units.Second, ours),
		median(fmt.Sprintf("2 × %d rounds, 20 metrics, 20 programs", n), units.Second, withCause),
	}
	for i := range figures {
		figures[i].compare(peer)
	}
	figures[0].atMost(compareLimit)
	return append(figures, peer), nil
}

// compared compares two sides and renders the result as text.
func compared(sides [2]compare.Set) error {
	rule := compare.Rule{Confidence: stats.Confidence, Threshold: 0.03}
	result := rule.Compare(compare.Request{Base: sides[0], New: sides[1:], Metrics: comparedMetrics()})
	return report.Comparison{Result: result, Rule: rule}.Write(&strings.Builder{}, "text", report.Options{Width: 80, Unicode: true})
}

// comparedMetrics are 20 metrics of the summary.
func comparedMetrics() (names []string) {
	for _, d := range datamodel.Summary()[:20] {
		names = append(names, d.Name)
	}
	return names
}

// madeSide makes up the rounds of one side: values that vary by 5 %.
func madeSide(r *rand.Rand, n int, processes bool) (s compare.Set) {
	vary := func() float64 { return max(0.01, 1+0.05*r.NormFloat64()) }
	s.Name = "made"
	s.Commands = []datamodel.BenchCommand{{Name: "Made", Command: []string{"made"}}}
	for i := range n {
		round := datamodel.Round{Block: i, Outcome: datamodel.Done}
		for _, name := range comparedMetrics() {
			d, _ := datamodel.Lookup(name)
			round.Metrics = append(round.Metrics, datamodel.Value(name, vary(), d.Unit, "", sensors.FromCounter, ""))
		}
		for k := 0; processes && k < 20; k++ {
			round.Processes = append(round.Processes, datamodel.Process{
				Kind: datamodel.OneProcess, Name: fmt.Sprintf("program-%d", k), Count: 1, CPUTime: vary(), Energy: vary(), Read: 1e6 * vary(), Written: 1e6 * vary(), PeakMemory: 1e6 * vary(),
			})
		}
		s.Rounds = append(s.Rounds, round)
	}
	return s
}

// benchstat builds the benchstat of the module that this program uses a library of, and writes the values of both sides as it
// reads them. none says why there is no such program here.
func (b *bench) benchstat(sides [2]compare.Set) (program string, files []string, none string) {
	program = filepath.Join(b.dir, "benchstat")
	build := exec.Command("go", "build", "-o", program, "golang.org/x/perf/cmd/benchstat")
	build.Dir = b.root
	if out, err := build.CombinedOutput(); err != nil {
		return "", nil, fmt.Sprintf("no benchstat to compare with: %v: %s", err, out)
	}
	for i, s := range sides {
		path := filepath.Join(b.dir, fmt.Sprintf("side-%d.txt", i))
		if err := writeBenchmarks(path, s); err != nil {
			return "", nil, "no benchstat to compare with: " + err.Error()
		}
		files = append(files, path)
	}
	return program, files, ""
}

// writeBenchmarks writes rounds as Go benchmark text, one line a round with a unit for each metric.
func writeBenchmarks(path string, s compare.Set) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for _, round := range s.Rounds {
		fmt.Fprint(w, "BenchmarkMade 1")
		for _, m := range round.Metrics {
			fmt.Fprintf(w, " %g %s", m.Value, m.Name)
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		_ = f.Close() // the first error counts
		return err
	}
	return f.Close()
}
