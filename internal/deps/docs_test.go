package deps

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const repository = "../.."

// documents returns the Markdown files of the repository by path. It leaves out folders that begin with a dot.
func documents(t *testing.T) map[string]string {
	t.Helper()
	list := map[string]string{}
	err := filepath.WalkDir(repository, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != repository && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case e.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		list[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestLinks checks that every relative link in a document leads to a file or folder.
func TestLinks(t *testing.T) {
	seen := 0
	for path, text := range documents(t) {
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			seen++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), link[1])); err != nil {
				t.Errorf("%s: link leads nowhere: %v", path, err)
			}
		}
	}
	if seen < 30 {
		t.Errorf("found only %d links", seen)
	}
}

// TestDecisionIndex checks that docs/adr/README.md has one row for each decision and that no two have the same number.
func TestDecisionIndex(t *testing.T) {
	folder := filepath.Join(repository, "docs", "adr")
	index, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(folder, "[0-9]*.md"))
	if err != nil || len(pages) < 30 {
		t.Fatalf("found only %d pages in %s: %v", len(pages), folder, err)
	}
	taken := map[string]string{}
	for _, page := range pages {
		name := filepath.Base(page)
		number, _, _ := strings.Cut(name, "-")
		if other := taken[number]; other != "" {
			t.Errorf("%s and %s have the same number", other, name)
		}
		taken[number] = name
		row := "| " + strings.TrimLeft(number, "0") + " | ["
		if n := strings.Count(string(index), "]("+name+")"); n != 1 || !strings.Contains(string(index), row) {
			t.Errorf("docs/adr/README.md names %s %d times, want one row that begins with %q", name, n, row)
		}
	}
	if taken["0024"] != "" {
		t.Errorf("number 24 stays unused, but there is %s", taken["0024"])
	}
}

// TestSourceFilesNamed checks that the source files that ARCHITECTURE.md and CONTRIBUTING.md name are there. A name may
// leave out the folders at its front and have a star.
func TestSourceFilesNamed(t *testing.T) {
	var files []string
	err := filepath.WalkDir(repository, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != repository && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		}
		files = append(files, filepath.ToSlash(path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range []string{"ARCHITECTURE.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(filepath.Join(repository, document))
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile("`([a-z][\\w/*-]*\\.(?:go|c))`").FindAllSubmatch(text, -1)
		if len(names) < 5 {
			t.Errorf("%s names only %d source files", document, len(names))
		}
		for _, name := range names {
			pattern := strings.ReplaceAll(regexp.QuoteMeta(string(name[1])), `\*`, `[^/]*`)
			if !slices.ContainsFunc(files, regexp.MustCompile("/"+pattern+"$").MatchString) {
				t.Errorf("%s names %s, which is not there", document, name[1])
			}
		}
	}
}

// TestTestsNamed checks that every test which a document names exists, because a promise without its test is only a sentence.
func TestTestsNamed(t *testing.T) {
	exists := map[string]bool{}
	err := filepath.WalkDir(repository, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != repository && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case e.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, name := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`).FindAllSubmatch(text, -1) {
			exists[string(name[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range documents(t) {
		for _, name := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w+)[`/]").FindAllStringSubmatch(text, -1) {
			if !exists[name[1]] {
				t.Errorf("%s names %s, which does not exist", path, name[1])
			}
		}
	}
	if len(exists) < 100 {
		t.Errorf("found only %d tests", len(exists))
	}
}
