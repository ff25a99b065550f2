// Command bench measures the whole program against its peers. It measures the cost of wrapping a command against `perf
// stat`, and the sampler against a plain C loop. It also measures the memory of a long run, the processing of its readings,
// the lists of many runs, the joining of their tables, and the size of the binary. `make bench` runs it. Every figure is the median of several rounds.
// Rounds of ergon and of its peer alternate in random order, so that a busy machine is busy for both. Ratios say more than
// absolute values.
//
// It prints one table and, with -json, writes the same figures as JSON. The exit code is 1 if a target is missed. With
// -quick it only shows that the harness works, and judges nothing.
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

// tags are the TAGS of the Makefile: bench measures the program that `make build` makes.
const tags = "urfave_cli_no_docs,urfave_cli_no_suggest,noasm"

// bench has the settings that the groups share.
type bench struct {
	root   string // the root folder of the module
	dir    string // the folder for everything that is written, on a disk
	ergon  string // the program to measure
	rounds int    // the number of rounds that wrap true
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
	flags.BoolVar(&b.quick, "quick", false, "measure everything briefly: shows that it works, judges nothing")
	flags.BoolVar(&b.long, "long", false, "measure the memory after 600 s instead of 20 s")
	flags.BoolVar(&b.huge, "huge", false, "process 100 million samples instead of 10 million: 1 GB of disk")
	flags.StringVar(&b.ergon, "ergon", "", "the program to measure (default: it is built)")
	only := flags.String("only", "", "one of "+strings.Join(names, ", "))
	nights := flags.String("nights", "", "only keep 50 made-up runs of a nightly command in this `FOLDER`")
	asJSON := flags.String("json", "", "write the figures to this `FILE` too")
	temp := flags.String("dir", "", "`FOLDER` for temporary files, on a disk (default: the system's)")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	if *only != "" && !slices.Contains(names, *only) {
		return 0, fmt.Errorf("-only %s: unknown group (known: %s)", *only, strings.Join(names, ", "))
	}
	if flags.NArg() > 0 {
		return 0, fmt.Errorf("%s: unexpected argument (-h lists the options)", flags.Arg(0))
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

	if *nights != "" {
		if err := b.nights(*nights); err != nil {
			return 0, fmt.Errorf("nights: %w", err)
		}
		return 0, nil
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

// build builds the program like `make build`, with further arguments.
func (b *bench) build(to string, more ...string) error {
	args := append([]string{"build", "-trimpath", "-tags", tags, "-o", to}, more...)
	cmd := exec.Command("go", append(args, "./cmd/ergon")...)
	cmd.Dir = b.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build ergon: %w\n%s", err, out)
	}
	return settle(to)
}

// settle copies the program over itself, as an installation does. A file fresh from the linker lies in the page cache in
// large pieces, and the kernel maps a whole piece at the first touch. Each process then has 20 MB resident instead of 15.
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

// groups lists the groups for this system, in the order of the table.
func groups() []group {
	return append(linuxGroups(),
		group{"processing", "Processing readings into Parquet", processing},
		group{"history", "Many runs", manyRuns},
		group{"compact", "Many runs joined", compaction},
		group{"compare", "Comparing two sides", comparing},
		group{"page", "The page of a long run", pages},
		group{"verdicts", "Verdicts and exports of a bench", verdicts},
		group{"size", "Size of the program", size},
	)
}

// moduleRoot returns the first folder with a go.mod, from the working folder upwards.
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
			return "", errors.New("no go.mod here or above (run bench in the repository)")
		}
		dir = up
	}
}

// machine describes the machine in one line.
func machine() string {
	kernel := ""
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = " " + strings.TrimSpace(string(b))
	}
	return fmt.Sprintf("%s/%s%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, kernel, runtime.NumCPU(), runtime.Version())
}

// loadAverage returns the load average of the last minute, or "" if the system does not report it.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	load, _, _ := strings.Cut(string(b), " ")
	return load
}
