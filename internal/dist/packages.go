package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recipes is the folder with what packages have besides the files of an archive. It has nfpm's settings, too.
const recipes = "packaging"

// packages makes the packages: ergon for each processor, and ergon-powercap, which has no program.
func (d *dist) packages(built []target) error {
	for _, t := range built {
		if t.goos != "linux" || !t.cgo {
			continue
		}
		dir := filepath.Dir(d.file(t))
		needs, err := glibc(d.file(t))
		if err == nil {
			err = d.prepare(dir)
		}
		if err == nil {
			err = d.pack(dir, "ergon.yaml", "ARCH="+t.goarch, "GLIBC="+needs)
		}
		if err != nil {
			return fmt.Errorf("the packages of %s: %w", t, err)
		}
	}
	dir := filepath.Join(d.work, "powercap")
	err := d.prepare(dir)
	if err == nil {
		err = d.pack(dir, "ergon-powercap.yaml")
	}
	if err != nil {
		return fmt.Errorf("the packages of powercap: %w", err)
	}
	return nil
}

// prepare puts what only packages have into a folder: the recipes, and what the distributions want compressed.
func (d *dist) prepare(dir string) error {
	own := filepath.Join(dir, recipes)
	err := os.CopyFS(own, os.DirFS(recipes))
	if err != nil {
		return err
	}
	compress := func(to, from string) error {
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(own, to+".gz"), gzipped(content))
	}
	err = errors.Join(compress("changelog", "CHANGELOG.md"), compress("NOTICES.md", "NOTICES.md"),
		writeFile(filepath.Join(own, "changelog.Debian.gz"), gzipped([]byte(d.entry()))))
	pages, globbed := filepath.Glob(filepath.Join(dir, "man", "*", "*"))
	err = errors.Join(err, globbed)
	for _, page := range pages {
		section := filepath.Base(filepath.Dir(page))
		err = errors.Join(err, compress(filepath.Join("man", section, filepath.Base(page)), page))
	}
	return err
}

// entry is a changelog as Debian wants it (Debian Policy, 4.4). ergon's own is beside it.
func (d *dist) entry() string {
	return fmt.Sprintf("ergon (%s-1) unstable; urgency=medium\n\n  * This version of ergon: see changelog.gz.\n\n -- %s  %s\n",
		packaged(d.version), maintainer, d.date.Format(time.RFC1123Z))
}

// maintainer stands in every package. No mail reaches this address: the project's page is the place for questions.
const maintainer = "The ergon authors <ergon-energy@users.noreply.github.com>"

// packaged returns a version as dpkg and rpm order it: what follows the first - is older than the version without it. No other
// - may be in it.
func packaged(version string) string {
	number, pre, found := strings.Cut(version, "-")
	if !found {
		return number
	}
	return number + "~" + strings.ReplaceAll(pre, "-", ".")
}

// pack makes the .deb and the .rpm of one recipe, from the files of a folder.
func (d *dist) pack(dir, recipe string, environ ...string) error {
	for _, kind := range []string{"deb", "rpm"} {
		before, err := names(d.out)
		if err != nil {
			return err
		}
		cmd := exec.Command(d.nfpm, "package", "--config", filepath.Join(recipes, recipe), "--packager", kind, "--target", d.out)
		cmd.Dir = dir
		cmd.Env = slices.Concat(os.Environ(), environ, []string{
			"VERSION=" + packaged(d.version), "MAINTAINER=" + maintainer,
			"SOURCE_DATE_EPOCH=" + strconv.FormatInt(d.date.Unix(), 10),
		})
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: nfpm: %w: %s", kind, err, out)
		}
		after, err := names(d.out)
		if err != nil {
			return err
		}
		for _, name := range after {
			if !slices.Contains(before, name) {
				d.made = append(d.made, name)
			}
		}
	}
	return nil
}

// names lists the files of a folder.
func names(dir string) (names []string, err error) {
	entries, err := fs.ReadDir(os.DirFS(dir), ".")
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// gzipped compresses without a name and a date.
func gzipped(content []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid, and memory takes every byte
	_, _ = w.Write(content)
	_ = w.Close()
	return b.Bytes()
}

// glibc returns the version of glibc that a program needs, as in 2.34: the newest one among the versions of its symbols.
func glibc(file string) (string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return "", err
	}
	libraries, err := f.DynamicVersionNeeds()
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	newest := ""
	for _, library := range libraries {
		for _, version := range library.Needs {
			if number, ok := strings.CutPrefix(version.Dep, "GLIBC_"); ok && older(newest, number) {
				newest = number
			}
		}
	}
	if newest == "" {
		return "", fmt.Errorf("%s needs no symbol of glibc: it was not built with cgo and glibc", file)
	}
	return newest, nil
}

// older tells whether a version such as 2.4 comes before another such as 2.34.
func older(a, b string) bool {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(a, b string) int {
		m, _ := strconv.Atoi(a) // no number comes first
		n, _ := strconv.Atoi(b)
		return cmp.Compare(m, n)
	}) < 0
}
