// Command bench measures the program as a whole against its peers: what wrapping a command costs beside `perf stat`,
// the sampler beside a plain C loop, the memory of a run that goes on, the processing of its readings, the size of the
// binary. `make bench` runs it. Every figure is the median of rounds that are interleaved with those of its peer in
// random order, since a busy machine is then busy for both, and ratios say more than absolute values.
//
// It prints one table, and with -json the same figures for a machine to read. The exit code is 1 where a target is
// missed, but with -quick, which only shows that the harness itself works.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

func main() {
	if dir := os.Getenv(convertVariable); dir != "" {
		if err := convertChild(dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	missed, err := run(os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	case missed > 0:
		os.Exit(1)
	}
}

// tags are the Makefile's TAGS: the program is measured as `make build` makes it.
const tags = "urfave_cli_no_docs,urfave_cli_no_suggest,noasm"

// bench is what the groups share.
type bench struct {
	root   string // of the module
	dir    string // for everything that is written, on a disk
	ergon  string // the program
	rounds int    // of the wrapping of true
	quick  bool
	long   bool
	huge   bool
	log    io.Writer
}

// group is a part of the table.
type group struct {
	name, title string
	measure     func(*bench) ([]figure, error)
}

// run measures what the arguments ask for and returns how many targets were missed.
func run(args []string, out, log io.Writer) (missed int, err error) {
	b := &bench{log: log}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(log)
	names := make([]string, len(groups()))
	for i, g := range groups() {
		names[i] = g.name
	}
	flags.IntVar(&b.rounds, "rounds", 300, "rounds of the wrapping of true")
	flags.BoolVar(&b.quick, "quick", false, "a little of everything: shows that it works, judges nothing")
	flags.BoolVar(&b.long, "long", false, "memory after 600 s in place of 20 s")
	flags.BoolVar(&b.huge, "huge", false, "memory of processing 100 million samples in place of 10 million: 1 GB of disk")
	flags.StringVar(&b.ergon, "ergon", "", "the program to measure (default: it is built)")
	only := flags.String("only", "", "one of "+strings.Join(names, ", "))
	asJSON := flags.String("json", "", "write the figures to this `FILE` too")
	temp := flags.String("dir", "", "`FOLDER` for temporary files, on a disk (default: the system's)")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	if *only != "" && !slices.Contains(names, *only) {
		return 0, fmt.Errorf("-only %s: there are %s", *only, strings.Join(names, ", "))
	}
	if flags.NArg() > 0 {
		return 0, fmt.Errorf("%s: only options are known, -h lists them", flags.Arg(0))
	}
	if b.rounds < 1 {
		return 0, fmt.Errorf("-rounds %d: at least 1", b.rounds)
	}
	if b.quick {
		b.rounds = min(b.rounds, 3)
	}
	if b.root, err = moduleRoot(); err != nil {
		return 0, err
	}
	if b.dir, err = os.MkdirTemp(*temp, "ergon-bench-"); err != nil {
		return 0, err
	}
	defer func() { err = cmp.Or(err, os.RemoveAll(b.dir)) }()
	if b.ergon == "" {
		b.ergon = filepath.Join(b.dir, "ergon")
		if err := b.build(b.ergon); err != nil {
			return 0, err
		}
	} else if b.ergon, err = filepath.Abs(b.ergon); err != nil {
		return 0, err
	}

	var measured []measuredGroup
	for _, g := range groups() {
		if *only != "" && g.name != *only {
			continue
		}
		_, _ = fmt.Fprintf(log, "bench: %s …\n", g.title)
		before := loadAverage()
		figures, err := g.measure(b)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", g.name, err)
		}
		measured = append(measured, measuredGroup{g.name, g.title, before, loadAverage(), figures})
	}
	r := results{Schema: resultsSchema, Machine: machine(), Groups: measured}
	if err := r.write(out); err != nil {
		return 0, err
	}
	if *asJSON != "" {
		if err := r.save(*asJSON); err != nil {
			return 0, err
		}
	}
	if b.quick {
		return 0, nil
	}
	return r.missed(), nil
}

// build makes the program as `make build` does, with further arguments.
func (b *bench) build(to string, more ...string) error {
	args := append([]string{"build", "-trimpath", "-tags", tags, "-o", to}, more...)
	cmd := exec.Command("go", append(args, "./cmd/ergon")...)
	cmd.Dir = b.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build ergon: %w\n%s", err, out)
	}
	return settle(to)
}

// settle copies the program over itself, as installing it does. What the linker has just written lies in the page cache in
// large pieces, of which the kernel maps the whole at the first touch: 20 MB resident for each process in place of 15.
func settle(program string) error {
	data, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	if err := os.WriteFile(program+".copy", data, 0o755); err != nil {
		return err
	}
	return os.Rename(program+".copy", program)
}

// groups lists what can be measured here, in the order of the table.
func groups() []group {
	return append(linuxGroups(),
		group{"processing", "Processing readings into Parquet", processing},
		group{"size", "Size of the program", size},
	)
}

// moduleRoot is the first folder with a go.mod from the working folder up.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod here or above: run it from the repository")
		}
		dir = up
	}
}

// machine is a line about where the figures are from.
func machine() string {
	kernel := ""
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = " " + strings.TrimSpace(string(b))
	}
	return fmt.Sprintf("%s/%s%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, kernel, runtime.NumCPU(), runtime.Version())
}

// loadAverage is that of the last minute; empty where the system tells none.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	load, _, _ := strings.Cut(string(b), " ")
	return load
}
