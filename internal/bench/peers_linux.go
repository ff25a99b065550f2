package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/units"
)

// against compares gzip with zstd, at levels that make files of about the same size. The CPU time is compared by ergon, by
// hyperfine and by perf stat, one after the other, and by benchstat on ergon's rounds.
func against(b *bench) ([]figure, error) {
	rounds := "12"
	if b.quick {
		rounds = "6"
	}
	file, err := b.sources()
	if err != nil {
		return nil, err
	}
	words := map[string][]string{"gzip": {"gzip", "-6", "-c", file}, "zstd": {"zstd", "-3", "-q", "--single-thread", "-c", file}}
	var figures []figure
	for _, name := range []string{"gzip", "zstd"} {
		out, err := exec.Command(words[name][0], words[name][1:]...).Output()
		if err != nil {
			return append(figures, figure{Name: name, Unit: units.Byte, Note: fmt.Sprintf("not here: %v", err)}), nil
		}
		figures = append(figures, median(strings.Join(words[name][:2], " ")+": size", units.Byte, []float64{float64(len(out))}))
	}
	ratio := func(who string, value float64, note string, err error) {
		f := figure{Name: "CPU time of zstd / gzip, " + who, Unit: units.Ratio, Note: note}
		if err != nil {
			f.Note = err.Error()
		} else {
			f.Value = &value
		}
		figures = append(figures, f)
	}
	ours, err := b.comparedNow(rounds, words)
	if err != nil {
		return nil, err
	}
	m := ours.Comparisons[0].Metrics["cpu_time"]
	ratio("ergon compare", m.Ratio, fmt.Sprintf("%.3f … %.3f, %s, in turn, with the cause", m.Low, m.High, m.Verdict), nil)
	value, err := b.hyperfine(rounds, words)
	ratio("hyperfine -N", value, "of its means of user and system; its summary compares wall time only", err)
	gzip, spreadBase, err := b.perf(rounds, words["gzip"])
	zstd, spread, other := b.perf(rounds, words["zstd"])
	ratio("perf stat -r", zstd/gzip, "of its task-clock, ± "+spreadBase+" and ± "+spread+"; it compares nothing itself", errors.Join(err, other))
	said, err := b.benchstatNow(m.BaseValues, m.NewValues)
	ratio("benchstat on ergon's rounds", value, said, err)
	figures[len(figures)-1].Value = nil // it prints a change, in the note
	return figures, nil
}

// sources joins the Go files of the repository in one file.
func (b *bench) sources() (string, error) {
	var all bytes.Buffer
	err := filepath.WalkDir(b.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	path := filepath.Join(b.dir, "sources")
	return path, errors.Join(err, os.WriteFile(path, all.Bytes(), 0o600))
}

// nowResult is what is read of the JSON of `ergon compare`.
type nowResult struct {
	Comparisons []struct {
		Metrics map[string]struct {
			Verdict          string
			Ratio, Low, High float64
			BaseValues       []float64 `json:"base_values"`
			NewValues        []float64 `json:"new_values"`
		}
	}
}

func (b *bench) comparedNow(rounds string, words map[string][]string) (r nowResult, err error) {
	out, err := exec.Command(b.ergon, "compare", "-q", "--runs", rounds, "--metric", "cpu_time", "-f", "json",
		"-c", "gzip", strings.Join(words["gzip"], " "), "-c", "zstd", strings.Join(words["zstd"], " ")).Output()
	if len(out) == 0 { // the exit code says the verdict
		return r, fmt.Errorf("ergon compare: %w", err)
	}
	if err := json.Unmarshal(out, &r); err != nil || len(r.Comparisons) != 1 {
		return r, fmt.Errorf("ergon compare: %w: %s", err, out)
	}
	return r, nil
}

func (b *bench) hyperfine(rounds string, words map[string][]string) (float64, error) {
	path := filepath.Join(b.dir, "hyperfine-now.json")
	if out, err := exec.Command("hyperfine", "-N", "-r", rounds, "--export-json", path, strings.Join(words["gzip"], " "), strings.Join(words["zstd"], " ")).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("not here: %w: %s", err, out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var r struct {
		Results []struct{ User, System float64 }
	}
	if err := json.Unmarshal(text, &r); err != nil || len(r.Results) != 2 {
		return 0, fmt.Errorf("hyperfine: %w: %s", err, text)
	}
	return (r.Results[1].User + r.Results[1].System) / (r.Results[0].User + r.Results[0].System), nil
}

// perf returns the mean task-clock of a command in milliseconds, and its spread as perf prints it.
func (b *bench) perf(rounds string, words []string) (mean float64, spread string, err error) {
	cmd := exec.Command("perf", append([]string{"stat", "-x", ";", "-e", "task-clock", "-r", rounds, "--"}, words...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		return 0, "", fmt.Errorf("not here: %w: %s", err, errs.String())
	}
	fields := strings.Split(strings.TrimSpace(errs.String()), ";")
	if len(fields) < 4 {
		return 0, "", fmt.Errorf("perf: %s", errs.String())
	}
	mean, err = strconv.ParseFloat(fields[0], 64)
	return mean, fields[3], err
}

// benchstatNow lets benchstat compare values in seconds. It returns its line about the change.
func (b *bench) benchstatNow(base, fresh []float64) (string, error) {
	program := filepath.Join(b.dir, "benchstat")
	build := exec.Command("go", "build", "-o", program, "golang.org/x/perf/cmd/benchstat")
	build.Dir = b.root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("not here: %w: %s", err, out)
	}
	var files []string
	for i, values := range [][]float64{base, fresh} {
		var text strings.Builder
		for _, v := range values {
			fmt.Fprintf(&text, "BenchmarkCompress 1 %v cpu-sec/op\n", v)
		}
		files = append(files, filepath.Join(b.dir, fmt.Sprintf("now-%d.txt", i)))
		if err := os.WriteFile(files[i], []byte(text.String()), 0o600); err != nil {
			return "", err
		}
	}
	out, err := exec.Command(program, files...).Output()
	if line := regexp.MustCompile(`(?m)^Compress .*$`).Find(out); err == nil && line != nil {
		return strings.Join(strings.Fields(string(line)), " "), nil
	}
	return "", fmt.Errorf("benchstat: %w: %s", err, out)
}
