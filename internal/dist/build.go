package main

import (
	"cmp"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tags are the TAGS of the Makefile.
const tags = "urfave_cli_no_docs,urfave_cli_no_suggest,noasm"

// target is a system that gets a program of its own.
type target struct {
	goos, goarch string
	// cgo puts NVML and the launcher in C into the program, which then needs glibc.
	cgo bool
}

// targets returns all systems of a release.
func targets() []target {
	return []target{
		{"linux", "amd64", true},
		{"linux", "amd64", false},
		{"linux", "arm64", true},
		{"linux", "arm64", false},
		{"darwin", "amd64", false},
		{"darwin", "arm64", false},
		{"windows", "amd64", false},
	}
}

// String is the part of a file's name that tells the target. A program for Linux without cgo is linked statically.
func (t target) String() string {
	name := t.goos + "_" + t.goarch
	if t.goos == "linux" && !t.cgo {
		name += "_static"
	}
	return name
}

// program is the name of the program's file.
func (t target) program() string {
	if t.goos == "windows" {
		return "ergon.exe"
	}
	return "ergon"
}

// native tells whether this machine can run the program without help.
func (t target) native() bool { return t.goos == runtime.GOOS && t.goarch == runtime.GOARCH }

// choose returns the targets that a list names, or all.
func choose(list string) ([]target, error) {
	all := targets()
	if list == "" {
		return all, nil
	}
	var chosen []target
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(t target) bool { return t.String() == name })
		if i < 0 {
			return nil, fmt.Errorf("no target %q: want some of %v", name, all)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// compiler returns the C compiler for a target with cgo. It returns why there is none.
func compiler(t target) (cc, why string) {
	cc = cmp.Or(os.Getenv("CC"), "cc")
	install := "gcc libc6-dev"
	if !t.native() {
		triplet := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[t.goarch]
		cc = triplet + "-gcc"
		install = fmt.Sprintf("gcc-%s libc6-dev-%s-cross", strings.ReplaceAll(triplet, "_", "-"), t.goarch)
	}
	if _, err := exec.LookPath(strings.Fields(cc)[0]); err != nil {
		return "", fmt.Sprintf("no C compiler %s (apt-get install %s)", cc, install)
	}
	return cc, ""
}

// file is where the program of a target is built.
func (d *dist) file(t target) string { return filepath.Join(d.work, t.String(), t.program()) }

// build makes the program of a target. why says what is missing for it. Nothing in the environment changes the program: not
// GOFLAGS, and no setting for newer processors.
func (d *dist) build(t target) (why string, err error) {
	environ := []string{
		"GOOS=" + t.goos, "GOARCH=" + t.goarch, "CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0",
		"CGO_CFLAGS=-O2 -Wno-deprecated-declarations", "CGO_CPPFLAGS=", "CGO_LDFLAGS=",
	}
	if t.cgo {
		cc, why := compiler(t)
		if why != "" {
			return why, nil
		}
		environ = append(environ, "CGO_ENABLED=1", "CC="+cc)
	}
	fmt.Fprintln(d.log, "dist: build", t)
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=auto", "-tags", tags, "-ldflags", "-s -w", "-o", d.file(t), "./cmd/ergon")
	cmd.Env = append(os.Environ(), environ...)
	cmd.Stdout, cmd.Stderr = d.log, d.log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: go build: %w", t, err)
	}
	return "", nil
}

// identify asks the program for its version. The date of the files is that of the commit, or what SOURCE_DATE_EPOCH says
// (reproducible-builds.org).
func (d *dist) identify(built []target) error {
	i := slices.IndexFunc(built, target.native)
	if i < 0 {
		return fmt.Errorf("none of the programs can run here (%s/%s), and one must say its version", runtime.GOOS, runtime.GOARCH)
	}
	out, err := d.ask(built[i], "version")
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(out, "\n")
	d.version, _ = strings.CutPrefix(first, "ergon v")
	d.date = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) // the first day of ZIP
	for _, t := range built {
		info, err := buildinfo.ReadFile(d.file(t))
		if err != nil {
			return err
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				if d.date, err = time.Parse(time.RFC3339, s.Value); err != nil {
					return err
				}
			}
		}
	}
	if text := os.Getenv("SOURCE_DATE_EPOCH"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: %q is no number of seconds", text)
		}
		d.date = time.Unix(seconds, 0).UTC()
	}
	return nil
}

// ask runs a program that was built and returns what it prints.
func (d *dist) ask(t target, words ...string) (string, error) {
	out, err := exec.Command(d.file(t), words...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return string(out), err
}
