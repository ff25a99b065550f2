package readers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
)

const (
	// killsVariable says how often TestCompactKilled kills, instead of fewKills. `make engines` sets it.
	killsVariable = "ERGON_TEST_KILLS"
	fewKills      = 12
	// compactVariable names the results folder of the child of TestCompactKilled, stepVariable the step before which it is killed,
	// and deleteVariable whether it removes the folders.
	compactVariable, stepVariable, deleteVariable = "ERGON_TEST_COMPACT", "ERGON_TEST_COMPACT_STEP", "ERGON_TEST_COMPACT_DELETE"
)

// TestCompactChild is the process that TestCompactKilled kills.
func TestCompactChild(t *testing.T) {
	results := os.Getenv(compactVariable)
	if results == "" {
		t.Skip("TestCompactKilled starts it")
	}
	last, err := strconv.Atoi(os.Getenv(stepVariable))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(os.Stdout, "begun"); err != nil {
		t.Fatal(err)
	}
	steps := 0
	done, err := history.History{Results: results}.Compact(context.Background(), history.Compaction{
		Delete: os.Getenv(deleteVariable) != "",
		Step: func(string) {
			if steps++; steps != last {
				return
			}
			self, err := os.FindProcess(os.Getpid())
			if err := errors.Join(err, self.Kill()); err != nil {
				t.Fatal(err)
			}
			select {} // nothing more happens
		},
	}, time.Now().AddDate(10, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range done.Left {
		if left.Entry.Run.ID != "begun" {
			t.Errorf("%s: %v", left.Entry.Dir, left.Err)
		}
	}
}

// TestCompactKilled kills `ergon runs compact` again and again, at its steps and at random times. After each time ergon sees every
// run once, by all references, and DuckDB sees every row once in the joined tables and the folders of the runs together. In the end
// the work is done.
func TestCompactKilled(t *testing.T) {
	testenv.Sequential(t)
	kills := fewKills
	if text := os.Getenv(killsVariable); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	const runs = 7
	all := newDataset(t, runs)
	like := filepath.Join(all.dir, "ergon-results")
	duck := newDuck(t)
	want := duck.ask(t, like)
	rng := rand.New(rand.NewPCG(7, 8))
	for killed, finished := 0, 0; killed < kills || finished == 0; finished++ {
		c := compacted{results: filepath.Join(memoryDir(t), "ergon-results"), all: all.runs, want: want, duck: duck, delete: finished%2 == 1}
		if err := os.CopyFS(c.results, os.DirFS(like)); err != nil {
			t.Fatal(err)
		}
		for c.killed(t, rng) {
			killed++
			c.check(t, fmt.Sprintf("killed %d times", killed))
		}
		c.check(t, "finished")
		c.checkEnd(t)
	}
}

// memoryDir returns a folder in memory, or on a disk if the system has none. What a disk has after a crash of the machine is not
// tested here.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "ergon-test-") //nolint:usetesting // the folder of the test is on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// compacted is a results folder that is compacted.
type compacted struct {
	results string
	all     []made
	want    everything
	duck    *duck
	delete  bool
}

// killed starts `ergon runs compact` and kills it at a random point. It returns false if the process has ended before.
func (c *compacted) killed(t *testing.T, rng *rand.Rand) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestCompactChild$")
	step, after := 0, time.Duration(0)
	if rng.IntN(2) == 0 {
		step = 1 + rng.IntN(70)
	} else {
		after = time.Duration(rng.IntN(60_000)) * time.Microsecond
	}
	cmd.Env = append(os.Environ(), compactVariable+"="+c.results, stepVariable+"="+strconv.Itoa(step))
	if c.delete {
		cmd.Env = append(cmd.Env, deleteVariable+"=yes")
	}
	out, err := cmd.StdoutPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || line != "begun\n" {
		t.Fatalf("the child says %q: %v", line, err)
	}
	if after > 0 {
		timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have ended
		defer timer.Stop()
	}
	text, _ := io.ReadAll(lines)
	err = cmd.Wait()
	if err == nil {
		return false
	}
	if code := cmd.ProcessState.ExitCode(); code != -1 { // no signal
		t.Fatalf("the child: %v: %s", err, text)
	}
	return true
}

// check checks that nothing is lost and nothing is there twice.
func (c *compacted) check(t *testing.T, when string) {
	t.Helper()
	h := history.History{Results: c.results}
	entries, err := h.List()
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	seen := map[string]int{}
	for _, e := range entries {
		seen[e.Run.ID]++
		if e.Run.ID == "begun" {
			continue
		}
		if r, err := store.Load(e.Dir); err != nil || r.Tree == nil {
			t.Errorf("%s: %s: %v", when, e.Dir, err)
		}
	}
	got := c.duck.ask(t, c.results)
	for _, r := range c.all {
		switch n := seen[r.ID]; {
		case n > 1:
			t.Errorf("%s: %s is listed %d times", when, r.ID, n)
		case n == 0 && (!c.delete || !slices.Contains(got.Runs, r.ID)):
			t.Errorf("%s: %s is lost", when, r.ID)
		case n == 1:
			if dir, err := h.Find(r.ID); err != nil || store.IDOf(dir) != r.ID {
				t.Errorf("%s: %s is %s: %v", when, r.ID, dir, err)
			}
		}
	}
	if seen["begun"] != 1 {
		t.Errorf("%s: the run that goes on is listed %d times", when, seen["begun"])
	}
	if dir, err := h.Find("best"); err != nil || store.IDOf(dir) != c.all[0].ID { // a run with a tag is never removed
		t.Errorf("%s: the tag is of %s: %v", when, dir, err)
	}
	if !maps.Equal(got.Tables, c.want.Tables) {
		t.Errorf("%s: DuckDB sees %v, want %v", when, got.Tables, c.want.Tables)
	}
}

// checkEnd checks that the work is done and nothing is left behind.
func (c *compacted) checkEnd(t *testing.T) {
	t.Helper()
	entries, err := history.History{Results: c.results}.List()
	if err != nil {
		t.Fatal(err)
	}
	want := len(c.all) + 1
	if c.delete {
		want = 2 // the one with a tag, and the one that goes on
	}
	if len(entries) != want {
		t.Errorf("%d runs are listed, want %d", len(entries), want)
	}
	for _, e := range entries {
		if store.InArchive(e.Dir) != (e.Run.Outcome != datamodel.Unfinished) {
			t.Errorf("%s is in the wrong place", e.Dir)
		}
	}
	hidden, err := filepath.Glob(filepath.Join(c.results, "_*", ".[rw]*"))
	if err != nil || len(hidden) > 0 {
		t.Errorf("left behind: %v, %v", hidden, err)
	}
}

// everything is what DuckDB finds in a results folder: of each table the number of rows and a hash, and the runs that are joined.
type everything struct {
	Tables map[string]string
	Runs   []string
}

// duck is a process with DuckDB that looks at results folders.
type duck struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func newDuck(t *testing.T) *duck {
	t.Helper()
	cmd := exec.Command(python(t), "../../testdata/readers/everything.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	})
	return &duck{in, bufio.NewReader(out)}
}

func (d *duck) ask(t *testing.T, results string) (found everything) {
	t.Helper()
	_, err := fmt.Fprintln(d.in, results)
	line, readErr := d.out.ReadBytes('\n')
	if err := errors.Join(err, readErr); err != nil {
		t.Fatalf("DuckDB: %v", err)
	}
	if err := json.Unmarshal(line, &found); err != nil {
		t.Fatal(err)
	}
	return found
}
