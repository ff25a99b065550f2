package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// historyLimit is the most that one look at ten thousand runs may take, in seconds, if the disk's cache is warm.
const historyLimit = 1

// manyRuns measures how long it takes to list ten thousand runs and to find one of them. The runs are made by the code that keeps
// runs, from the manifest of a real run. The peer is find, which only walks through the folders.
func manyRuns(b *bench) ([]figure, error) {
	runs, rounds := 10_000, 9
	if b.quick {
		runs, rounds = 200, 1
	}
	results := filepath.Join(b.dir, "many")
	ids, err := b.makeRuns(results, runs)
	if err != nil {
		return nil, err
	}
	if !b.quick {
		time.Sleep(4 * time.Second) // the index takes no manifest that has just changed
	}
	wall, cpu, err := b.look("ls", "-o", results)
	if err != nil {
		return nil, err
	}
	cold := single(fmt.Sprintf("ergon ls, %d runs, without an index", runs), units.Second, wall)
	cold.CPU = &cpu
	looks := []struct {
		name string
		args []string
	}{
		{"ergon ls", []string{"ls"}},
		{"ergon ls --json", []string{"ls", "--json"}},
		{"ergon ls --where 'wall_time > 1 s' --sort cpu_time", []string{"ls", "--where", "wall_time > 1 s", "--sort", "cpu_time"}},
		{"last", []string{"runs", "show", "--json", history.Last}},
		{"last~" + strconv.Itoa(runs/2), []string{"runs", "show", "--json", history.Last + "~" + strconv.Itoa(runs/2)}},
		{"the end of an id", []string{"runs", "show", "--json", ids[runs/3][len(ids[0])-8:]}},
		{"the beginning of an id", []string{"runs", "show", "--json", ids[runs/4][:len(ids[0])-3]}},
		{"a commit", []string{"runs", "show", "--json", commitOf(runs / 2)[:12]}},
	}
	find, err := exec.LookPath("find")
	noPeer := ""
	if err != nil || runtime.GOOS == "windows" {
		noPeer = "no find to compare with"
	}
	times, cpus := make([][]float64, len(looks)), make([][]float64, len(looks))
	var walked []float64
	for range rounds {
		for _, i := range rand.Perm(len(looks) + 1) {
			if i < len(looks) {
				wall, cpu, err := b.look(append(looks[i].args, "-o", results)...)
				if err != nil {
					return nil, err
				}
				times[i], cpus[i] = append(times[i], wall), append(cpus[i], cpu)
			} else if noPeer == "" {
				start := time.Now()
				if err := exec.Command(find, results, "-name", store.ManifestFile).Run(); err != nil {
					return nil, err
				}
				walked = append(walked, time.Since(start).Seconds())
			}
		}
	}
	peer := median("find -name "+store.ManifestFile, units.Second, walked)
	peer.Note = noPeer
	cold.compare(peer)
	cold.Note = "it reads every manifest and checks its digest, then writes the index that the others read"
	figures := []figure{cold}
	for i, l := range looks {
		f := median(l.name, units.Second, times[i])
		f.CPU = quantile(cpus[i], 0.5)
		f.compare(peer)
		f.atMost(historyLimit)
		figures = append(figures, f)
	}
	figures = append(figures, peer)
	trends, err := b.trends(results, rounds)
	if err != nil {
		return nil, err
	}
	return append(figures, trends...), os.RemoveAll(results)
}

// look runs ergon and drops what it prints. It returns the wall time and the CPU time in seconds.
func (b *bench) look(args ...string) (wall, cpu float64, err error) {
	cmd := exec.Command(b.ergon, args...)
	start := time.Now()
	out, err := cmd.Output()
	wall = time.Since(start).Seconds()
	if err == nil && len(out) == 0 {
		err = errors.New("it printed nothing")
	}
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return 0, 0, fmt.Errorf("ergon %v: %w: %s", args, err, failed.Stderr)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("ergon %v: %w", args, err)
	}
	return wall, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), nil
}

// commitOf returns the commit of one of the runs that makeRuns makes: 50 runs have the same.
func commitOf(i int) string {
	return fmt.Sprintf("%08x", uint32(i/50)*2654435761) + hex.EncodeToString(make([]byte, 16))
}

// makeRuns keeps runs of ten projects, one every ten minutes, and returns their ids.
func (b *bench) makeRuns(results string, n int) ([]string, error) {
	whole, err := b.realRun(results + "-like")
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(3, 4))
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ids := make([]string, n)
	for i := range n {
		run := whole
		run.Start = at.Add(time.Duration(i) * 10 * time.Minute)
		run.ID = fmt.Sprintf("%s-%012x", run.Start.Format(store.IDTime), rng.Uint64()>>16)
		run.Project, run.Command = "project"+strconv.Itoa(i%10), []string{"make", "-j8", "target" + strconv.Itoa(i%100)}
		wall := 0.1 + 10*rng.Float64()
		run.WallTime = &wall
		run.Host.Git = &sensors.Git{Commit: commitOf(i), Branch: "main"}
		run.Summary = make(map[string]datamodel.Figure, len(whole.Summary))
		for name, f := range whole.Summary {
			if f.Value != nil {
				v := *f.Value * (1 + rng.Float64())
				f.Value = &v
			}
			run.Summary[name] = f
		}
		took := run.Summary[datamodel.WallTime]
		took.Value = &wall
		run.Summary[datamodel.WallTime] = took
		if err := keep(results, run); err != nil {
			return nil, err
		}
		ids[i] = run.ID
	}
	return ids, nil
}
