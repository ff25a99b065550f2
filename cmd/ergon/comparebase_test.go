//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// gitIn runs git in a folder, without the configuration of the user and the system.
func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"}, args...)...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // scripts among them
		t.Fatal(err)
	}
}

// changedRepo makes a repository with the branch main, whose script sub/run burns 5 ms. In the working tree, uncommitted, it
// burns 60 ms.
func changedRepo(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		testenv.Lacks(t, testenv.Git, err)
	}
	dir := filepath.Join(t.TempDir(), "project")
	writeFile(t, filepath.Join(dir, "sub/run"), "#!/bin/sh\nexec subject burn 5ms\n")
	gitIn(t, dir, "init", "-q", "-b", "main")
	gitIn(t, dir, "add", ".")
	gitIn(t, dir, "commit", "-q", "-m", "one")
	writeFile(t, filepath.Join(dir, "sub/run"), "#!/bin/sh\nexec subject burn 60ms\n")
	return dir
}

// cleaned checks that a comparison has left neither a folder nor a record of git.
func cleaned(t *testing.T, dir string) {
	t.Helper()
	if list := gitIn(t, dir, "worktree", "list", "--porcelain"); strings.Count(list, "worktree ") != 1 {
		t.Errorf("git still has %s", list)
	}
	if left, _ := filepath.Glob(dir + ".ergon-base-*"); left != nil {
		t.Errorf("left: %v", left)
	}
}

// TestCompareBase compares uncommitted changes with a branch. Both sides are prepared once, and work in their own folder.
func TestCompareBase(t *testing.T) {
	t.Parallel()
	dir := changedRepo(t)
	writeFile(t, filepath.Join(dir, ".git/hooks/post-checkout"), "#!/bin/sh\ntouch "+dir+"/../hooked\n")
	log, results := filepath.Join(dir, "../log"), filepath.Join(dir, "../results")
	c := command(t, newMark(), "ergon", "compare", "-o", results, "--tag", "first", "--base", "main", "--prepare", `echo "prepared $PWD" >> `+log+`; echo x > built`,
		"--prepare-round", "test -e built", "--metric", "cpu_time", "-f", "json", "--", "sh", "-c", `echo "$PWD `+"`pwd`"+` $GIT_DIR" >> `+log+`; exec ./run`)
	c.Dir = filepath.Join(dir, "sub")
	c.Env = append(c.Env, "GIT_DIR=/nowhere") // as in a hook of another repository
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if status := statusOf(t, c.Run()); status.ExitStatus() != 121 {
		t.Fatalf("exit status %d: %s", status.ExitStatus(), errs.String())
	}
	type side struct {
		Name string
		Runs []struct{ ID, Commit string }
	}
	type comparison struct {
		Run, Verdict string
		Confidence   float64
		Base         side
		Comparisons  []struct {
			New     side
			Metrics map[string]struct{ Ratio, Low, High float64 }
		}
	}
	var result, again comparison
	if err := json.Unmarshal(out.Bytes(), &result); err != nil || len(result.Comparisons) != 1 {
		t.Fatal(err, out.String())
	}
	if r := result.Comparisons[0]; result.Verdict != "regressed" || result.Base.Name != "main" || r.New.Name != "working tree" || r.Metrics["cpu_time"].Ratio < 2 {
		t.Errorf("%+v", result)
	}
	told := regexp.MustCompile(`ergon: main is [0-9a-f]{10}, checked out into (\S+)\n`).FindStringSubmatch(errs.String())
	if told == nil {
		t.Fatal(errs.String())
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for line := range strings.Lines(string(b)) {
		count[strings.TrimSpace(line)]++
	}
	here, there := filepath.Join(dir, "sub"), filepath.Join(told[1], "sub")
	if count["prepared "+here] != 1 || count["prepared "+there] != 1 || count[here+" "+here] != 10 || count[there+" "+there] != 10 || len(count) != 4 {
		t.Errorf("%v", count)
	}
	if _, err := os.Stat(filepath.Join(dir, "../hooked")); err == nil {
		t.Error("a hook ran")
	}
	cleaned(t, dir)

	// The kept run has the same verdict, by the same rule, and the commit of each side.
	shown, _ := command(t, newMark(), "ergon", "compare", "-o", results, "first", "-f", "json").Output()
	if err := json.Unmarshal(shown, &again); err != nil || len(again.Comparisons) != 1 {
		t.Fatal(err, string(shown))
	}
	commit := gitIn(t, dir, "rev-parse", "main")
	if again.Verdict != result.Verdict || again.Confidence != result.Confidence || !reflect.DeepEqual(again.Comparisons[0].Metrics, result.Comparisons[0].Metrics) ||
		again.Base.Runs[0].ID != result.Run || again.Base.Runs[0].Commit != commit || result.Base.Runs[0].Commit != commit {
		t.Errorf("kept as\n%+v, measured\n%+v", again, result)
	}
	text, err := command(t, newMark(), "ergon", "report", "-o", results, "last").Output()
	if err != nil || !bytes.Contains(text, []byte("working tree: sh -c")) || !bytes.Contains(text, []byte("against main: sh -c")) {
		t.Errorf("%v: %s", err, text)
	}
}

// TestCompareBaseEnds ends comparisons early: by signals, by Ctrl-C, while a side is prepared and between rounds. Nothing is
// left.
func TestCompareBaseEnds(t *testing.T) {
	for _, stage := range []string{"prepare", "rounds"} {
		for _, how := range []string{"SIGINT", "SIGTERM", "SIGHUP", "Ctrl-C"} {
			t.Run(stage+"/"+how, func(t *testing.T) {
				t.Parallel()
				dir, mark := changedRepo(t), newMark()
				reached := filepath.Join(dir, "../reached")
				words := []string{"ergon", "compare", "--base", "main", "--runs", "1000000"}
				if stage == "prepare" {
					words = append(words, "--prepare", "if test -e "+reached+"; then touch "+reached+"2; sleep 1000; fi; touch "+reached)
				}
				c := command(t, mark, append(words, "--", "sh", "-c", "echo >> "+reached+"; exec ./run")...)
				c.Dir = filepath.Join(dir, "sub")
				ready := func() bool {
					if stage == "prepare" { // the second side sleeps
						_, err := os.Stat(reached + "2")
						return err == nil
					}
					info, err := os.Stat(reached)
					return err == nil && info.Size() > 5
				}
				want := 130
				if how == "Ctrl-C" {
					m := openTerminal(t, c)
					eventually(t, stage, ready)
					m.keys(t, "\x03")
					m.see(t, "compare: interrupted")
					<-m.over
					_ = c.Wait()
				} else {
					var errs bytes.Buffer
					c.Stderr = &errs
					if err := c.Start(); err != nil {
						t.Fatal(err)
					}
					eventually(t, stage, ready)
					s := map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM, "SIGHUP": syscall.SIGHUP}[how]
					if err := c.Process.Signal(s); err != nil {
						t.Fatal(err)
					}
					_ = c.Wait()
					want = 128 + int(s)
					if !strings.Contains(errs.String(), "compare: interrupted") {
						t.Error(errs.String())
					}
				}
				if got := c.ProcessState.ExitCode(); got != want {
					t.Errorf("exit code %d, want %d", got, want)
				}
				noneLeft(t, mark)
				cleaned(t, dir)
			})
		}
	}
}

// TestCompareBaseKilled kills all processes of a comparison. The next one tells how to clean what they left.
func TestCompareBaseKilled(t *testing.T) {
	t.Parallel()
	dir, mark := changedRepo(t), newMark()
	reached := filepath.Join(dir, "../reached")
	c := command(t, mark, "ergon", "compare", "--base", "main", "--runs", "1000000", "--", "sh", "-c", "echo > "+reached+"; exec sub/run")
	c.Dir = dir
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a round", func() bool { _, err := os.Stat(reached); return err == nil })
	for _, pid := range marked(mark) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // those of this test
	}
	_ = c.Wait()
	noneLeft(t, mark)
	next := command(t, newMark(), "ergon", "compare", "--base", "main", "--runs", "1", "--", "true")
	next.Dir = dir
	said, err := next.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	told := regexp.MustCompile(`note: an ergon that was killed has left (\S+) \((.*)\)\n`).FindStringSubmatch(string(said))
	if told == nil || filepath.Dir(told[1]) != filepath.Dir(dir) {
		t.Fatalf("%s", said)
	}
	clean := exec.CommandContext(t.Context(), "sh", "-c", told[2])
	clean.Dir = dir
	if out, err := clean.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", told[2], err, out)
	}
	cleaned(t, dir)
}

// TestCompareBaseRefused checks what is said if a base cannot be compared with, the exit code, and that nothing is left.
func TestCompareBaseRefused(t *testing.T) {
	t.Parallel()
	dir := changedRepo(t)
	part := changedRepo(t)
	gitIn(t, dir, "submodule", "--quiet", "add", part, "part")
	writeFile(t, filepath.Join(dir, ".gitattributes"), "*.bin filter=lfs\n")
	writeFile(t, filepath.Join(dir, "x.bin"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n")
	gitIn(t, dir, "checkout", "-q", "-b", "parts")
	gitIn(t, dir, "add", ".")
	gitIn(t, dir, "commit", "-q", "-m", "with parts")
	writeFile(t, filepath.Join(dir, "new/run"), "#!/bin/sh\n")
	writeFile(t, filepath.Join(dir, "x.bin"), "the file itself")
	outside := t.TempDir()
	for _, test := range []struct {
		in    string
		words []string
		want  string
		code  int
	}{
		{".", []string{"--base", "nothing", "--", "true"}, `--base: no commit "nothing" here (git branch --all lists the branches)`, 125},
		{".", []string{"--base", "main", "--prepare", "echo broken; test -e x.bin", "--", "true"}, `main: --prepare "echo broken; test -e x.bin": exit status 1; it said: broken`, 125},
		{".", []string{"--base", "main", "--prepare", "exit 3", "--", "true"}, `working tree: --prepare "exit 3": exit status 3`, 125},
		{".", []string{"--base", "main", "--", "./new/run"}, `compare: main: ./new/run: no such file or directory`, 127},
		{".", []string{"--base", "main", "--", "test", "-e", "x.bin"}, `compare: main: test -e x.bin: exit code 1`, 1},
		{"new", []string{"--base", "main", "--", "true"}, `--base main: it has no folder new (run ergon in a folder that both sides have)`, 125},
		{".", []string{"--base", "parts", "--", "true"}, `--base parts: its submodule part is empty, and that of the working tree is not (--prepare 'git submodule update`, 125},
		{".", []string{"--base", "parts", "--prepare", "touch part/x", "--", "true"}, `--base parts: x.bin is a pointer of git-lfs, and that of the working tree is not (--prepare 'git lfs pull`, 125},
		{".", []string{"--base", "parts", "--runs", "1", "--prepare", "touch part/x; echo > x.bin", "--", "true"}, "", 0},
		{".", []string{"--base", "main", "--runs", "1", "--", "true", dir + "/x.bin"}, "note: both sides use " + dir + "/x.bin (a relative path is taken on each side)", 0},
		{outside, []string{"--base", "main", "--", "true"}, "is in no working tree of git (run ergon in one, or compare two commands by -c)", 125},
	} {
		c := command(t, newMark(), append([]string{"ergon", "compare"}, test.words...)...)
		if c.Dir = test.in; !filepath.IsAbs(test.in) {
			c.Dir = filepath.Join(dir, test.in)
		}
		var errs bytes.Buffer
		c.Stderr = &errs
		if code := statusOf(t, c.Run()).ExitStatus(); code != test.code || !strings.Contains(errs.String(), test.want) {
			t.Errorf("%q: exit code %d, want %d: %s, want %s", test.words, code, test.code, errs.String(), test.want)
		}
		cleaned(t, dir)
	}
	shallow := filepath.Join(t.TempDir(), "shallow")
	gitIn(t, dir, "clone", "-q", "--depth=1", "file://"+dir, shallow)
	c := command(t, newMark(), "ergon", "compare", "--base", "main", "--", "true")
	c.Dir = shallow
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "this clone is shallow (git fetch --depth=1 origin main, then FETCH_HEAD is the commit)") {
		t.Errorf("%v: %s", err, out)
	}
	gitIn(t, shallow, "fetch", "-q", "--depth=1", "origin", "main")
	c = command(t, newMark(), "ergon", "compare", "--base", "FETCH_HEAD", "--runs", "1", "-q", "--", "true")
	c.Dir = shallow
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("with what was fetched: %v: %s", err, out)
	}
	c = command(t, newMark(), "ergon", "compare", "--base", "main", "--", "true")
	c.Dir = dir
	c.Env = slices.DeleteFunc(c.Env, func(v string) bool { return strings.HasPrefix(v, "PATH=") })
	ergon, err := exec.LookPath("ergon")
	if err != nil {
		t.Fatal(err)
	}
	only := t.TempDir()
	if err := os.Symlink(ergon, filepath.Join(only, "ergon")); err != nil {
		t.Fatal(err)
	}
	c.Env = append(c.Env, "PATH="+only)
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "no git in PATH (install git)") {
		t.Errorf("without git: %v: %s", err, fmt.Sprint(string(out)))
	}
}
