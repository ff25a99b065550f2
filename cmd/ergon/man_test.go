package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestManPages finds every option and subcommand in the manual pages, and lets the formatters judge them.
func TestManPages(t *testing.T) {
	p := &program{backends: backend.All()}
	commands := p.commands()
	all := pages(commands, "2026-01-02")
	if len(all) != len(commands)+1 {
		t.Errorf("%d pages for %d subcommands", len(all), len(commands))
	}
	shown := map[string]string{}
	for name, page := range all {
		shown[name] = page
		if text, ok := formatted(t, name, page, "groff", "-man", "-ww", "-Tutf8", "-P-cbou"); ok {
			shown[name] = text
		}
		formatted(t, name, page, "mandoc", "-T", "lint", "-W", "warning") // its exit code tells
	}
	for _, c := range commands {
		page := shown[c.manual()+".1"]
		for _, o := range c.options {
			if !strings.Contains(strings.ReplaceAll(page, `\-`, "-"), o.form()) {
				t.Errorf("%s.1 lacks %q", c.manual(), o.form())
			}
		}
		if !strings.Contains(strings.ReplaceAll(shown["ergon.1"], `\-`, "-"), c.manual()) {
			t.Errorf("ergon.1 lacks %s", c.name)
		}
	}
}

// formatted passes a page to a formatter and returns its output. It returns false if there is no such program here.
func formatted(t *testing.T, name, page string, words ...string) (text string, ok bool) {
	t.Helper()
	if _, err := exec.LookPath(words[0]); err != nil {
		testenv.Without(t, testenv.Manual, err)
		return "", false
	}
	var out, said strings.Builder
	c := exec.CommandContext(t.Context(), words[0], words[1:]...)
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(page), &out, &said
	if err := c.Run(); err != nil || said.String() != "" {
		t.Errorf("%s: %s: %v, %s%s", name, words[0], err, said.String(), out.String())
	}
	return out.String(), true
}

// TestRoff holds that text arrives as it is: no request, no escape, no dash that a shell would not take.
func TestRoff(t *testing.T) {
	const text = `.it's \n -- "a\" ^~ … × 'b'` + "`c`"
	m := &page{}
	m.macro("TH", "X", "1", "2026-01-02")
	m.macro("SH", "NAME")
	m.text("x")
	m.macro("PP")
	m.text(text)
	shown, ok := formatted(t, "text", m.String(), "groff", "-man", "-ww", "-Tutf8", "-P-cbou")
	if !ok {
		return
	}
	if !strings.Contains(shown, text) {
		t.Errorf("%q is shown as %s", text, fmt.Sprintf("%q", shown))
	}
}
