package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/units"
)

// markRate is the number of marks a second that must all be kept.
const markRate = 5000

// markUnit is the unit of a count of marks.
const markUnit units.Unit = "{mark}"

// pythonMarks sends marks with the client. "rate RATE SECONDS" spreads them evenly and prints how many it sent. "cost N" prints the time
// of a mark in s, as the median of N. "stopped N" waits for a line, sends N marks, and prints how long they took.
const pythonMarks = `
import os, sys, time
sys.path.insert(0, sys.argv[1])
import ergon_marks as marks
clock = time.perf_counter
n = 0
if sys.argv[2] == "rate":
    rate, start, end = float(sys.argv[3]), clock(), float(sys.argv[4])
    last = start
    while clock() - start < end:
        now = clock()
        if n < (now - start) * rate and now - last > 0.5 / rate:  # what is late does not come at once
            marks.event(n)
            n, last = n + 1, now
        else:
            time.sleep(0.00002)
    print(n)
elif sys.argv[2] == "cost":
    costs = []
    for i in range(int(sys.argv[3])):
        before = clock()
        marks.event("e")
        costs.append(clock() - before)
        while clock() - before < 0.0002:
            pass
    print(sorted(costs)[len(costs) // 2])
else:
    print("up", flush=True)
    sys.stdin.readline()
    start = clock()
    for i in range(int(sys.argv[3])):
        marks.event("e")
    print(clock() - start)
`

// cMarks prints the time of a mark in s, as the median of the marks.
const cMarks = `#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "ergon_marks.h"
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static int order(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return x < y ? -1 : x > y; }
int main(int argc, char **argv) {
	int n = atoi(argv[1]);
	double *cost = malloc(n * sizeof *cost);
	for (int i = 0; i < n; i++) {
		double before = now();
		ergon_event("e");
		cost[i] = now() - before;
		while (now() - before < 0.0002) {}
	}
	qsort(cost, n, sizeof *cost, order);
	printf("%.9f\n", cost[n / 2]);
	return 0;
}
`

// marking measures what marks cost: the sampler that receives them, and their sender. The peer of the sampler is a run of the
// same program without marks. A mark of a sender comes every 200 µs, so that the receiver takes it at once.
func marking(b *bench) ([]figure, error) {
	rounds, length, many := 3, 4*time.Second, 5000
	if b.quick {
		rounds, length, many = 1, 300*time.Millisecond, 100
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		return []figure{{Name: "marks", Unit: units.Second, Note: "no python3"}}, nil //nolint:nilerr // the note says it
	}
	clients := filepath.Join(b.root, "clients")
	in := func(words ...string) []string { return append([]string{python, "-c", pythonMarks, clients}, words...) }
	var sent, lost, with, without, sender, sentC, delay []float64
	noC := b.buildC(clients)
	for range rounds {
		out, result, err := b.marked(in("rate", strconv.Itoa(markRate), seconds(length))...)
		if err != nil {
			return nil, err
		}
		sent, lost = append(sent, out/length.Seconds()), append(lost, out-float64(len(result.Events)))
		with = append(with, ownShare(result))
		if _, result, err = b.marked(append(in("rate"), "0", seconds(length))...); err != nil {
			return nil, err
		}
		without = append(without, ownShare(result))
		if out, _, err = b.marked(in("cost", strconv.Itoa(many))...); err != nil {
			return nil, err
		}
		sender = append(sender, out)
		if noC == "" {
			if out, _, err = b.marked(filepath.Join(b.dir, "marks"), strconv.Itoa(many)); err != nil {
				return nil, err
			}
			sentC = append(sentC, out)
		}
		if out, err = b.stopped(in("stopped", "5000")...); err != nil {
			return nil, err
		}
		delay = append(delay, out)
	}
	none := median(fmt.Sprintf("%d a second: marks that were lost", markRate), markUnit, lost)
	none.atMost(0)
	none.Note = fmt.Sprintf("in %v each; %.0f a second were sent", length, *quantile(sent, 0.5))
	cpu := median("ergon's CPU time for that, share of a core", units.Ratio, with)
	cpu.compare(median("no marks", units.Ratio, without))
	py := median("a mark from Python, at the sender", units.Second, sender)
	py.atMost(5e-6)
	c := median("a mark from C, at the sender", units.Second, sentC)
	c.atMost(5e-6)
	c.Note = noC
	stands := median("5000 marks from Python, ergon is stopped", units.Second, delay)
	stands.atMost(0.1)
	return []figure{none, cpu, py, c, stands}, nil
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// buildC builds the sender in C. It returns why there is none.
func (b *bench) buildC(clients string) (none string) {
	cc := exec.Command("cc", "-O2", "-I", clients, "-x", "c", "-", "-o", filepath.Join(b.dir, "marks"))
	cc.Stdin = strings.NewReader(cMarks)
	if out, err := cc.CombinedOutput(); err != nil {
		return fmt.Sprintf("no sender in C: %v %s", err, out)
	}
	return ""
}

// ownShare returns the CPU time of ergon's processes as a share of a core over the run. It is NaN if that is unknown.
func ownShare(r datamodel.Result) float64 {
	return datamodel.Pick(r.Summary, datamodel.ProfilerCPUTime).Value / datamodel.Pick(r.Summary, datamodel.WallTime).Value
}

// marked measures a program that prints a number.
func (b *bench) marked(argv ...string) (printed float64, result datamodel.Result, err error) {
	results, err := os.MkdirTemp(b.dir, "marks-")
	if err != nil {
		return 0, result, err
	}
	cmd := exec.Command(b.ergon, append([]string{"-q", "-o", results}, argv...)...)
	cmd.Dir = b.dir
	out, err := cmd.Output()
	if err != nil {
		return 0, result, fmt.Errorf("ergon %v: %w", argv[len(argv)-1], err)
	}
	if printed, err = strconv.ParseFloat(strings.TrimSpace(string(out)), 64); err != nil {
		return 0, result, err
	}
	found, err := filepath.Glob(filepath.Join(results, "*", "*", "*", store.ManifestFile))
	if err != nil || len(found) != 1 {
		return 0, result, fmt.Errorf("%d runs in %s: %w", len(found), results, err)
	}
	result, err = store.Load(filepath.Dir(found[0]))
	return printed, result, err
}

// stopped has a program send marks while all processes of ergon are stopped. It returns how long that took, in s.
func (b *bench) stopped(argv ...string) (took float64, err error) {
	cmd := exec.Command(b.ergon, append([]string{"-q", "--no-save", "--interval", "10ms"}, argv...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = in.Close()
		if waited := cmd.Wait(); err == nil {
			err = waited
		}
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		return 0, fmt.Errorf("%v: no line: %w", argv[len(argv)-1], lines.Err())
	}
	var pids []int
	for range 100 { // the sampler joins soon
		if pids, err = processesOf(cmd.Process.Pid, true); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return 0, err
		}
		defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	}
	if _, err := fmt.Fprintln(in); err != nil {
		return 0, err
	}
	lines.Scan()
	return strconv.ParseFloat(lines.Text(), 64)
}
