package deps

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNotices checks that NOTICES.md has each module that the program contains, in the version that it contains, and
// no module that it does not.
func TestNotices(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "NOTICES.md"))
	if err != nil {
		t.Fatal(err)
	}
	noted := regexp.MustCompile(`(?m)^## (\S+) (\S+)$`).FindAllStringSubmatch(string(text), -1)
	linked := map[string]string{}
	for _, system := range []string{"linux", "darwin", "freebsd", "windows"} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-tags", tags, "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}", module+"/cmd/ergon")
		cmd.Env = append(os.Environ(), "GOOS="+system)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
		for line := range strings.Lines(string(out)) {
			// Flatbuffers' version ends in +incompatible, which go-licenses leaves out.
			path, version, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(line), "+incompatible"), " ")
			if path != module {
				linked[path] = version
			}
		}
	}
	if len(linked) < 15 {
		t.Fatalf("go list names only %d modules", len(linked))
	}
	seen := map[string]bool{}
	for _, n := range noted {
		known := false
		for path, version := range linked {
			if below(n[1], path) && n[2] == version {
				seen[path], known = true, true
			}
		}
		if !known {
			t.Errorf("NOTICES.md has %s %s, which the program does not contain (make notices)", n[1], n[2])
		}
	}
	for path, version := range linked {
		if !seen[path] {
			t.Errorf("NOTICES.md lacks %s %s, which the program contains (make notices)", path, version)
		}
	}
}
