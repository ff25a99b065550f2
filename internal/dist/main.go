// Command dist makes the files of a release in one folder: archives with the program for each system, packages for Debian and
// for systems with RPM, and SHA256SUMS. `make dist` runs it. The same source, Go and C compilers give the same bytes.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

// sums is the name of the file with the checksums. workFolder is the name of the folder for everything unfinished.
const (
	sums       = "SHA256SUMS"
	workFolder = ".work"
)

// ours returns an error if a folder has files but this program did not make it.
func ours(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err != nil:
		return err
	}
	for _, e := range entries {
		if e.Name() == sums || e.Name() == workFolder {
			return nil
		}
	}
	return fmt.Errorf("%s: the folder has other files than a release, and all would be removed (name another folder)", dir)
}

// dist is a release in the making.
type dist struct {
	out  string // the folder of the finished files
	work string // a folder below it for everything else
	nfpm string // the program that makes packages
	log  io.Writer

	version string
	date    time.Time
	made    []string
}

func run(args []string, out, log io.Writer) error {
	d := &dist{log: log}
	flags := flag.NewFlagSet("dist", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.StringVar(&d.out, "out", "bin/dist", "the `FOLDER` of the finished files; what is in it is removed")
	flags.StringVar(&d.nfpm, "nfpm", "", "the `PROGRAM` nfpm; without it no packages are made")
	only := flags.String("only", "", "make the files of these `TARGETS` only: linux_amd64,linux_amd64_static")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := choose(*only)
	if err != nil {
		return err
	}
	for _, path := range []*string{&d.out, &d.nfpm} { // programs run in other folders
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	d.work = filepath.Join(d.out, workFolder)
	if err := ours(d.out); err != nil {
		return err
	}
	if err := os.RemoveAll(d.out); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(d.work) }() // the error would hide the first one, and the folder does no harm
	if err := d.all(wanted); err != nil {
		return err
	}
	for _, name := range d.made {
		info, err := os.Stat(filepath.Join(d.out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-68s %5.1f MB\n", name, float64(info.Size())/1e6)
	}
	return nil
}

// all makes the files of a release.
func (d *dist) all(wanted []target) error {
	var built []target
	for _, t := range wanted {
		why, err := d.build(t)
		switch {
		case err != nil:
			return err
		case why != "" && os.Getenv("CI") != "":
			return fmt.Errorf("%s: %s", t, why)
		case why != "":
			fmt.Fprintf(d.log, "dist: %s is left out: %s\n", t, why)
			continue
		}
		built = append(built, t)
	}
	if err := d.identify(built); err != nil {
		return err
	}
	for _, t := range built {
		err := d.complete(t, built)
		if err == nil {
			err = d.archive(t)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	if d.nfpm != "" {
		if err := d.packages(built); err != nil {
			return err
		}
	}
	return d.checksums()
}

// checksums writes SHA256SUMS, as `sha256sum -c` reads it.
func (d *dist) checksums() error {
	var lines strings.Builder
	for _, name := range d.made {
		f, err := os.Open(filepath.Join(d.out, name))
		if err != nil {
			return err
		}
		sum := sha256.New()
		_, err = io.Copy(sum, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", sum.Sum(nil), name)
	}
	d.made = append(d.made, sums)
	return os.WriteFile(filepath.Join(d.out, sums), []byte(lines.String()), 0o644)
}
