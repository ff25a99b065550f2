package runner_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
)

// nobody is the user who attacks.
const nobody = 65534

// attack plants links to a folder outside below a results folder that its user owns, again and again, at every name that
// ergon uses. It ends with its input, and says how often a link was in place.
func attack(results, outside string) int {
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	planted := 0
	if os.Symlink(outside, filepath.Join(results, "project=q")) == nil {
		planted++
	}
	for n := 0; ; n++ {
		select {
		case <-over:
			fmt.Fprintln(os.Stdout, planted)
			return 0
		default:
		}
		targets, _ := filepath.Glob(filepath.Join(results, "project=*", "date=*", "run=*"))
		for _, run := range targets {
			targets = append(targets, filepath.Join(run, store.SpoolFolder))
		}
		for _, at := range targets {
			for _, name := range []string{
				store.ManifestFile, store.SamplesFile, store.NodesFile, store.MetricsFile, "run.json", "cpu.arrows", "processes.table",
				"." + store.ManifestFile + "." + strconv.Itoa(os.Getppid()) + ".tmp", // a name that could be foretold
			} {
				if os.Symlink(filepath.Join(outside, name), filepath.Join(at, name)) == nil {
					planted++
					if n%2 == 0 {
						_ = os.Remove(filepath.Join(at, name))
					}
				}
			}
			away := at + "-away"
			if os.Rename(at, away) != nil {
				continue
			}
			if os.Symlink(outside, at) == nil {
				planted++
				_ = os.Remove(at)
			}
			_ = os.Rename(away, at)
		}
	}
}

// outsider makes a folder of root's that has a file for every name that ergon uses, and returns a check that nothing in it
// has changed.
func outsider(t *testing.T, at string) (dir string, check func()) {
	t.Helper()
	dir = filepath.Join(at, "outside")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		store.ManifestFile, store.SamplesFile, store.NodesFile, store.MetricsFile, store.ProcessesFile, "run.json", "cpu.arrows",
		"processes.table", "processes.texts", "spool/cpu.arrows", ".manifest.json.0123456789abcdef.tmp",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("precious"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	look := func() (seen string) {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Lstat(path)
			if err != nil {
				return err
			}
			text, _ := os.ReadFile(path) // a folder has none
			seen += fmt.Sprintf("%s %v %d %v %q\n", path, info.Mode(), info.Size(), info.ModTime(), text)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	before := look()
	return dir, func() {
		t.Helper()
		if after := look(); after != before {
			t.Errorf("the folder outside was touched:\n%s\nbefore:\n%s", after, before)
		}
	}
}

// attacked runs root's part while nobody attacks. It returns how often a link was in place.
func attacked(t *testing.T, at, results, outside string, part func()) int {
	t.Helper()
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(at, "attacker")
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "attack", results, outside)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	part()
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err, said.String())
	}
	n, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// given makes a folder that nobody owns. If it is sticky, it is root's, and everybody may write to it.
func given(t *testing.T, path string, sticky bool) {
	t.Helper()
	err := os.MkdirAll(path, 0o755)
	if sticky {
		err = errors.Join(err, os.Chmod(path, 0o777|fs.ModeSticky))
	} else {
		err = errors.Join(err, os.Chown(path, nobody, nobody))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestOtherPeoplesFolders measures and recovers as root below folders that somebody else owns, 1,000 times in all, while that
// user puts links in the place of everything. Nothing outside the results folder is touched.
func TestOtherPeoplesFolders(t *testing.T) {
	testenv.Long(t)
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to be attacked by somebody else")
	}
	for _, sticky := range []bool{false, true} {
		t.Run(fmt.Sprintf("measure, sticky %t", sticky), func(t *testing.T) {
			at := reachable(t)
			outside, check := outsider(t, at)
			results := filepath.Join(at, "results")
			day := filepath.Join(results, "project=p", "date="+time.Now().UTC().Format(time.DateOnly))
			given(t, results, sticky)
			given(t, filepath.Dir(day), sticky)
			given(t, day, sticky)
			kept := 0
			planted := attacked(t, at, results, outside, func() {
				for i := range 250 {
					rep, err := runner.Run(t.Context(), runner.Options{
						Project: []string{"p", "p", "p", "p", "q"}[i%5], Results: results, Launcher: launch.Direct{}, Backends: joinable(),
						Config:  sampler.Config{Setup: sensors.Setup{Proc: "/proc", Sys: "/sys"}, Interval: time.Second},
						Sampler: func() (*sampler.Client, error) { return nil, errors.New("no sampler is needed") },
					}, []string{"true"})
					if err == nil && rep.Run.Outcome == datamodel.Done {
						kept++
					}
				}
			})
			check()
			t.Logf("%d of 250 runs were kept, %d links were planted", kept, planted)
			if kept == 0 || planted == 0 || !sticky && planted < 100 { // in a sticky folder nobody cannot rename what is root's
				t.Errorf("%d runs were kept, %d links were planted", kept, planted)
			}
		})
	}
	t.Run("recover", func(t *testing.T) {
		at := reachable(t)
		outside, check := outsider(t, at)
		results := filepath.Join(at, "results")
		if err := os.Mkdir(results, 0o755); err != nil {
			t.Fatal(err)
		}
		recovered, foreign := 0, 0
		planted := attacked(t, at, results, outside, func() {
			for i := range 500 {
				dir := unfinished(t, results, "r"+strconv.Itoa(i))
				if _, err := runner.Recover(dir, false); err == nil {
					t.Error("a run of somebody else was recovered without a word")
				} else if _, ok := errors.AsType[*runner.ForeignError](err); ok {
					foreign++
				}
				for range 5 { // the attack makes some fail
					if _, err := runner.Recover(dir, true); err == nil {
						recovered++
						break
					}
				}
			}
		})
		check()
		t.Logf("%d of 500 runs were recovered, %d were refused without a word, %d links were planted", recovered, foreign, planted)
		if recovered == 0 || foreign == 0 || planted < 500 {
			t.Errorf("%d runs were recovered, %d refused without a word, %d links were planted", recovered, foreign, planted)
		}
	})
}

// reachable makes a folder for the test that other users can reach.
func reachable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// unfinished makes a run that was killed and gives it with all its folders to nobody. An attack may make it incomplete.
func unfinished(t *testing.T, results, id string) (dir string) {
	t.Helper()
	f := killed(t, results, id)
	dir = f.Path()
	defer f.Close()
	for _, path := range []string{filepath.Join(dir, store.SpoolFolder), dir, filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		_ = os.Lchown(path, nobody, nobody) // the attack may have moved it
	}
	for try := 0; ; try++ { // a folder that stayed root's would be recovered, and rightly so
		if _, own := f.Owner(); !own {
			return dir
		} else if try == 100_000 {
			t.Fatalf("%s cannot be given away", dir)
		}
		_ = os.Lchown(dir, nobody, nobody)
	}
}
