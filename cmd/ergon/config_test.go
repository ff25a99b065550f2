//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// readText reads a settings file with that text. It returns the notes too.
func readText(t *testing.T, text string, owner int) (s fileSettings, notes []string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), settingsName)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if owner != os.Geteuid() {
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	f := settingsFile{path: path}
	s, err = f.read((&program{backends: backend.All()}).commands(), func(err error) { notes = append(notes, err.Error()) })
	return s, notes, err
}

// TestStrangersSettings: a file of another user, one that others may write, and every file under sudo set no path.
func TestStrangersSettings(t *testing.T) {
	const text = "project: x\nresults: elsewhere\npath.nvml: evil.so\nreport: {results: elsewhere}\nareas: [{path: /root}]\n"
	f := func(name string, owner, believed int) {
		t.Helper()
		s, notes, err := readText(t, text, owner)
		got := len(s[everywhere]) + len(s["report"])
		if err != nil || got != believed || len(notes) != 5-believed {
			t.Errorf("%s: believes %v with the notes %q and the error %v, want %d of 5 settings", name, s, notes, err, believed)
		}
		for _, n := range notes {
			if !strings.Contains(n, settingsName+":") || !strings.Contains(n, "--config") {
				t.Errorf("%s: the note %q names no place or no way out", name, n)
			}
		}
	}
	t.Setenv("SUDO_UID", "")
	f("the caller's own", os.Geteuid(), 5)
	t.Setenv("SUDO_UID", "1000")
	f("under sudo", os.Geteuid(), 1)
	t.Setenv("SUDO_UID", "")
	if os.Geteuid() != 0 {
		testenv.Lacks(t, testenv.Root, "only root can give a file away")
	}
	f("another user's", 65534, 1)
}

// TestSettingsTemplate: the file that init writes is valid once its entries are no comments any more.
func TestSettingsTemplate(t *testing.T) {
	p := &program{backends: backend.All()}
	var b bytes.Buffer
	if err := p.template(&b); err != nil {
		t.Fatal(err)
	}
	entries := 0
	var text strings.Builder
	for line := range strings.Lines(b.String()) {
		entry := strings.TrimPrefix(line, "# ")
		key, value, _ := strings.Cut(strings.TrimSpace(entry), ":")
		if named(p.commands(), "run").options.find(key) == nil || value == "" || entry[0] == ' ' {
			continue
		}
		entries++
		text.WriteString(entry)
	}
	s, notes, err := readText(t, text.String(), os.Geteuid())
	if err != nil || len(notes) > 0 || len(s[everywhere]) < 8 || len(s[everywhere]) != entries {
		t.Errorf("%d of %d entries are read, with %q and %v:\n%s", len(s[everywhere]), entries, notes, err, text.String())
	}
}

// TestSettingsSchema: the schema accepts what the program accepts, and refuses what it refuses.
func TestSettingsSchema(t *testing.T) {
	var out bytes.Buffer
	if err := (&program{backends: backend.All()}).settingsSchema(&out); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(&out)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("settings.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("settings.json")
	if err != nil {
		t.Fatal(err)
	}
	f := func(text string, want bool) {
		t.Helper()
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		fits := schema.Validate(v)
		_, _, err := readText(t, text, os.Geteuid())
		if (fits == nil) != want || (err == nil) != want {
			t.Errorf("%q: the schema says %v, the program %v, want accepted: %t", text, fits, err, want)
		}
	}
	f("project: x\n", true)
	f("interval: 1s\n", true)
	f("interval: {nvml: 1s}\n", true)
	f("interval: [1s, {nvml: 1s}]\n", true)
	f("sensors: +rapl\n", true)
	f("sensors: {json: true}\n", true)
	f("env: [A, B]\n", true)
	f("quiet: true\n", true)
	f("report: {format: json}\n", true)
	f("projekt: x\n", false)
	f("project: [x]\n", false)
	f("report: {formt: json}\n", false)
	f("replay: x\n", false)
	f("report: json\n", false)
}

// FuzzSettings: no file makes the reader panic, and each error is one line.
func FuzzSettings(f *testing.F) {
	for _, s := range []string{
		"project: x", "interval: {nvml: 1s}", "a: &x [*x]", "<<: {a: b}", "? [a]\n: b", "report:\n  format: |\n   json\n", "- a", "---\n---", "\t", "a:\n b:\n  c",
		"!!binary x: y", "{", "interval: [[1s]]", "interval: [{nvml: {a: b}}]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, _, err := readText(t, text, os.Geteuid()); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error has several lines: %q", text, err)
		}
	})
}
