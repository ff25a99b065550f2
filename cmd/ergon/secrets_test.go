//go:build linux

package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/cmdline"
)

// password is what must not be found anywhere. It is put together here, so that no file of the test has it.
var password = strings.Join([]string{"hunter", "2", "XYZZY"}, "")

// secretIn returns the files below a folder that hold the password, also those within a zip.
func secretIn(t *testing.T, dir string) (found []string, files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content))); err == nil {
			for _, f := range archive.File {
				r, err := f.Open()
				if err != nil {
					return err
				}
				part, err := io.ReadAll(r)
				if err != nil {
					return err
				}
				content = append(content, part...)
			}
		}
		if bytes.Contains(content, []byte(password)) {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, files
}

// TestSecretsAreNotStored runs a command that is full of secrets: in its arguments, in those of its children, in the environment.
// While it runs and afterwards, no byte of the results folder, of the tape and of the output has the password.
func TestSecretsAreNotStored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url := "https://ci:" + password + "@jenkins.example/"
	// The children are sleeps that have further arguments. exec -a is not everywhere.
	script := `sh -c 'sleep 1.5; :' child --password ` + password + ` & sh -c 'sleep 1.5; :' child --api-key=` + password + ` ` + url +
		` & read line; wait; exit 3`
	c := command(t, newMark(), "ergon", "record", "--tape", filepath.Join(dir, "run.tape.zip"), "-o", filepath.Join(dir, "results"), "--arguments",
		"--env", "HOMEPAGE", "sh", "-c", script, "x", "--token", password, "PGPASSWORD="+password, url, "Authorization: Bearer "+password)
	c.Dir = dir
	c.Env = append(c.Env, "JENKINS_URL="+url, "HOMEPAGE="+url, "CI_COMMIT_REF_NAME=token="+password)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// The spool has the children's command lines: it is looked at while they are there.
	eventually(t, "the children in the spool", func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "results", "*", "*", "*", "spool", "processes.texts"))
		if len(found) != 1 {
			return false
		}
		text, _ := os.ReadFile(found[0])
		return bytes.Count(text, []byte("child")) > 1
	})
	if found, files := secretIn(t, dir); len(found) > 0 || files < 5 {
		t.Errorf("while it runs, %d files; the password is in %v", files, found)
	}
	_ = in.Close()
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != 3 {
		t.Fatalf("exit code %d: %s", code, &out)
	}
	if found, files := secretIn(t, dir); len(found) > 0 || files < 6 {
		t.Errorf("%d files; the password is in %v", files, found)
	}
	if !strings.Contains(out.String(), cmdline.Masked) {
		t.Errorf("no mask in the summary:\n%s", &out)
	}
	results := filepath.Join(dir, "results")
	runs, err := history.History{Results: results}.List()
	if err != nil || len(runs) != 1 {
		t.Fatal(runs, err)
	}
	whole, err := store.LoadManifest(runs[0].Dir)
	if err != nil {
		t.Fatal(err)
	}
	environment := whole.Host.Environment
	if environment["JENKINS_URL"] != "https://***@jenkins.example/" || environment["HOMEPAGE"] != environment["JENKINS_URL"] {
		t.Errorf("%q", environment)
	}
	result, err := store.Load(runs[0].Dir)
	if err != nil {
		t.Fatal(err)
	}
	children := 0
	for _, p := range result.Processes {
		if strings.Contains(p.CommandLine, "child --password "+cmdline.Line([]string{cmdline.Masked})) || strings.Contains(p.CommandLine, "'--api-key=***'") {
			children++
		}
	}
	if children != 2 {
		t.Errorf("%d children of 2: %+v", children, result.Processes)
	}
	for _, words := range [][]string{
		{"ls", "-o", results},
		{"report", "-o", results},
		{"report", "-o", results, "-f", "json"},
		{"report", "-o", results, "-f", "html"},
		{"report", "-o", results, "-f", "csv"},
		{"report", "-o", results, "-f", "markdown"},
		{"export", "-o", results},
		{"--replay", filepath.Join(dir, "run.tape.zip"), "-o", results},
		{"-o", results, "--", "/nowhere/" + url},
		{"-o", results, "sh", "-c", "exit 0", url},
	} {
		c := command(t, newMark(), append([]string{"ergon"}, words...)...)
		c.Dir = dir
		text, _ := c.CombinedOutput()
		// What the user has just typed may be in an error on the terminal.
		if bytes.Contains(text, []byte(password)) && !strings.HasPrefix(words[len(words)-1], "/nowhere/") {
			t.Errorf("ergon %q shows the password:\n%s", words, text)
		}
	}
	if found, _ := secretIn(t, dir); len(found) > 0 {
		t.Errorf("after the reports, the password is in %v", found)
	}
}

// TestNoArguments keeps the name of the command alone, by option and by variable, for processes as well.
func TestNoArguments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, words := range [][]string{{"--no-arguments"}, {}, {"--no-arguments=false"}} {
		results := filepath.Join(dir, "results", string(rune('a'+i)))
		c := command(t, newMark(), slices.Concat([]string{"ergon", "record", "--tape", results + ".zip", "-q", "-o", results}, words,
			[]string{"sh", "-c", "sleep 0.3; exit 0 # " + password})...)
		c.Dir = dir
		if i == 1 {
			c.Env = append(c.Env, "ERGON_NO_ARGUMENTS=true")
		}
		if err := os.MkdirAll(filepath.Dir(results), 0o777); err != nil {
			t.Fatal(err)
		}
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		run := onlyRun(t, results)
		found, _ := secretIn(t, results)
		if kept := i == 2; kept != (len(run.Command) == 3) || kept == run.NoArguments || kept != (len(found) > 0) {
			t.Errorf("%q: %q, %v, password in %v", words, run.Command, run.NoArguments, found)
		}
	}
	c := command(t, newMark(), "ergon", "--no-arguments", "--arguments", "true")
	c.Dir = dir
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "contradict") {
		t.Errorf("both: %v, %s", err, out)
	}
}

// TestArgumentsComeBack measures a command with random bytes as arguments. They are the same in the manifest, in the table of
// processes, in the JSON report, and in all three of a replayed tape.
func TestArgumentsComeBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	argv := []string{"sh", "-c", "sleep 0.4; exit 0", "\xff\xfe"}
	for range 20 {
		b := make([]byte, 1+rand.IntN(30))
		for i := range b {
			b[i] = byte(0x80 + rand.IntN(0x80)) // no letters: they could look like a secret
			if rand.IntN(3) == 0 {
				b[i] = "'\"\\ \n\t\x1b$"[rand.IntN(8)]
			}
		}
		argv = append(argv, string(b))
	}
	results, tape := filepath.Join(dir, "results"), filepath.Join(dir, "run.tape.zip")
	check := func(results string) {
		t.Helper()
		runs, err := history.History{Results: results}.List()
		if err != nil || len(runs) != 1 || runs[0].Err != nil {
			t.Fatal(runs, err)
		}
		if !slices.Equal(runs[0].Run.Command, argv) {
			t.Errorf("manifest: %q\nwant %q", runs[0].Run.Command, argv)
		}
		result, err := store.Load(runs[0].Dir)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, p := range result.Processes {
			words, err := cmdline.Split(p.CommandLine)
			if err != nil {
				t.Error(err)
			}
			found = found || slices.Equal(words, argv)
		}
		if !found {
			t.Errorf("no process has the arguments: %+v\nwant %q", result.Processes, argv)
		}
		c := command(t, newMark(), "ergon", "report", "-o", results, "-f", "json")
		c.Dir = dir
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		var report struct {
			Run struct {
				Bytes [][]byte `json:"command_bytes"`
			} `json:"run"`
		}
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatal(err)
		}
		for i, a := range argv {
			if len(report.Run.Bytes) != len(argv) || string(report.Run.Bytes[i]) != a {
				t.Fatalf("report: %q\nwant %q", report.Run.Bytes, argv)
			}
		}
	}
	for _, words := range [][]string{
		append([]string{"ergon", "record", "--tape", tape, "-q", "--arguments", "-o", results}, argv...),
		{"ergon", "--replay", tape, "-q", "-o", filepath.Join(dir, "replayed")},
	} {
		c := command(t, newMark(), words...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	check(results)
	check(filepath.Join(dir, "replayed"))
}
