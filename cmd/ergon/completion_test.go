//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// inZsh are the lines that complete the variable LINE in zsh.
const inZsh = `_describe() { print -l -- "${(@)${(P)2}%%:*}"; }; _files() { print -l -- FILES; }; _normal() { print -l -- COMMAND "${(@)words}"; }
words=(${(s: :)LINE}); [[ $LINE == *" " ]] && words+=(""); CURRENT=$#words; _ergon`

// completed returns what a shell offers after a line, by the shell's own completion. "zsh file" is zsh with the script as a
// file of its own, as a package installs it.
func completed(t *testing.T, shell, line string) []string {
	t.Helper()
	program, _, _ := strings.Cut(shell, " ")
	if _, err := exec.LookPath(program); err != nil {
		testenv.Lacks(t, testenv.Shells, err)
	}
	dir := t.TempDir()
	script := map[string]string{
		"bash": `eval "$(ergon completion bash)"; read -ra COMP_WORDS <<<"$LINE"; [[ $LINE == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _ergon; printf '%s\n' "${COMPREPLY[@]}"`,
		"zsh":      `autoload -Uz compinit; compinit -D -u; eval "$(ergon completion zsh)"` + "\n" + inZsh,
		"zsh file": `mkdir fpath; ergon completion zsh >fpath/_ergon; fpath+=($PWD/fpath); autoload -Uz compinit; compinit -D -u` + "\n" + inZsh,
		"fish":     `ergon completion fish | source; complete -C "$LINE"`,
	}[shell]
	cmd := command(t, newMark(), program, "-c", script)
	cmd.Dir = dir
	cmd.Env = append(cmd.Env, "LINE="+line, "HOME="+dir, "XDG_CONFIG_HOME="+dir, "ERGON_RESULTS="+filepath.Join(dir, "none"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s%s", shell, err, out, stderr.Bytes())
	}
	if made, _ := os.ReadDir(dir); slices.ContainsFunc(made, func(e os.DirEntry) bool { return e.Name() == "made" || e.Name() == "none" }) {
		t.Errorf("%s: completing %q has measured something", shell, line)
	}
	var words []string
	for l := range strings.Lines(string(out)) {
		word, _, _ := strings.Cut(strings.TrimSpace(l), "\t")
		words = append(words, word)
	}
	return words
}

// TestCompletion asks the shells themselves what they offer. Nothing that is typed is started.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "zsh file", "fish"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			f := func(line string, want ...string) {
				t.Helper()
				got := completed(t, shell, line)
				for _, w := range want {
					if !slices.Contains(got, w) {
						t.Errorf("%q: offers %q, want %q among them", line, got, w)
					}
				}
				if len(got) > 200 {
					t.Errorf("%q: offers %d words", line, len(got))
				}
			}
			f("ergon repor", "report")
			f("ergon --quie", "--quiet")
			f("ergon report --form", "--format")
			f("ergon report -f ", "json", "markdown")
			f("ergon report la", "last")
			f("ergon help repo", "report")
			f("ergon runs pr", "prune")
			f("ergon --sensors +ra", "+rapl")
			f("ergon completion ", "bash", "zsh", "fish")
			if !strings.HasPrefix(shell, "zsh") { // the test replaces what completes a command there
				f("ergon -q touc", "touch")
			} else {
				f("ergon -q touch made", "COMMAND", "touch", "made")
			}
			f("ergon touch made ")
			f("ergon record --tape ")
		})
	}
}

// TestCompletionNeedsAShell: another word is an error with the way out.
func TestCompletionNeedsAShell(t *testing.T) {
	out, err := command(t, newMark(), "ergon", "completion", "csh").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "want one shell: bash, zsh or fish") {
		t.Errorf("%v: %s", err, out)
	}
}
