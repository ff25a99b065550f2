package store_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// log collects what an observer sees: for each sensor of each source its readings, as text, in their order.
type log map[string]string

func (l log) observe(h store.SpoolHeader, sensor int, at []time.Duration, values []float64) {
	var b strings.Builder
	for i, v := range values {
		fmt.Fprintf(&b, "%d:%v ", at[i], v)
	}
	l[h.Source+" "+h.Sensors[sensor].ID] += b.String()
}

// sameLog fails if two logs differ.
func sameLog(t *testing.T, what string, got, want log) {
	t.Helper()
	for id, w := range want {
		if got[id] != w {
			t.Fatalf("%s: %s:\n got %.200q\nwant %.200q", what, id, got[id], w)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d sensors, want %d", what, len(got), len(want))
	}
}

// converted is what Convert sees.
func converted(t *testing.T, dir string) log {
	t.Helper()
	want := log{}
	if _, err := convert(dir, "", want.observe); err != nil {
		t.Fatal(err)
	}
	return want
}

// end tells the end of a run as the runner does.
func end(t *testing.T, dir string) {
	t.Helper()
	text, err := json.Marshal(store.State{Run: datamodel.Run{Schema: datamodel.ManifestSchema}})
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(filepath.Join(dir, "run.json"), os.O_WRONLY, 0); err == nil {
			_, err = f.Write(text)
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// spoolFolder is a folder as the runner makes it.
func spoolFolder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	room, err := store.ReserveState(folderAt(dir), 0)
	if err != nil {
		t.Fatal(err)
	}
	room.Close()
	return dir
}

// Follow wakes for every batch, and for nothing else it waits for the writer: each of its batches is written when the one
// before was seen.
func TestFollowWhileWritten(t *testing.T) {
	dir := spoolFolder(t)
	saw := make(chan int)
	done := make(chan error, 1)
	got := log{}
	go func() {
		done <- store.Follow(t.Context(), folderAt(dir), func(h store.SpoolHeader, sensor int, at []time.Duration, values []float64) {
			got.observe(h, sensor, at, values)
			if sensor == len(h.Sensors)-1 {
				saw <- len(at)
			}
		}, nil)
	}()
	for _, source := range []string{"cpu", "rapl"} { // the second appears when the first is closed
		s := create(t, dir, header(source, 2))
		for tick := range 5 {
			if !s.Append(tickTime(tick), []float64{reading(tick, 0), reading(tick, 1)}) {
				t.Fatal("refused")
			}
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			if n := <-saw; n != 1 {
				t.Fatalf("%d rows", n)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	end(t, dir)
	if err := <-done; err != nil {
		t.Error(err)
	}
	sameLog(t, "follow", got, converted(t, dir))
}

func TestFollowEnds(t *testing.T) {
	gone := t.TempDir()
	none := folderAt(gone)
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	if err := store.Follow(t.Context(), none, nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	dir := spoolFolder(t)
	s := create(t, dir, header("cpu", 1))
	fill(t, s, 1, 10, 10)
	ctx, cancel := context.WithCancel(t.Context())
	err := store.Follow(ctx, folderAt(dir), func(store.SpoolHeader, int, []time.Duration, []float64) { cancel() }, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// Removed, as a folder is that nobody keeps: what was written before is seen, and that is the end.
	got := log{}
	err = store.Follow(t.Context(), folderAt(dir), func(h store.SpoolHeader, sensor int, at []time.Duration, values []float64) {
		got.observe(h, sensor, at, values)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}, nil)
	if err != nil || len(got) != 1 {
		t.Errorf("removed: %v, %v", err, got)
	}
	// Everything that is there is seen before caughtUp is called, and its error is the end.
	dir, enough, got := spoolFolder(t), errors.New("enough"), log{}
	fill(t, create(t, dir, header("cpu", 1)), 1, 10, 10)
	err = store.Follow(t.Context(), folderAt(dir), got.observe, func() error { return enough })
	if !errors.Is(err, enough) || len(got) != 1 {
		t.Errorf("caught up: %v, %v", err, got)
	}
}

// Whoever joins at whatever time, and looks as often or as rarely as they like, sees what Convert sees in the end.
func TestFollowProperty(t *testing.T) {
	testenv.Long(t)
	testenv.Sequential(t)
	for seed := range uint64(25) {
		random := rand.New(rand.NewPCG(seed, 1))
		dir := spoolFolder(t)
		early, now := log{}, log{}
		follower := store.NewFollower(folderAt(dir), early.observe)
		var late *store.Follower
		writers := map[string]*store.Spool{}
		part, tick := map[string]int{}, 0
		for range 80 {
			source := []string{"cpu", "rapl", "perf"}[random.IntN(3)]
			n := len(source) - part[source]%2 // a later part may have other sensors
			w := writers[source]
			switch {
			case w == nil:
				h := header(source, n)
				h.Part = part[source]
				writers[source] = create(t, dir, h)
			case random.IntN(8) == 0:
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				delete(writers, source)
				part[source]++
			default:
				for range random.IntN(300) {
					values := make([]float64, n)
					for i := range values {
						values[i] = reading(tick, i)
					}
					if !w.Append(tickTime(tick), values) {
						break
					}
					tick++
				}
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if random.IntN(3) == 0 {
				if over, err := follower.Poll(); over || err != nil {
					t.Fatal(over, err)
				}
			}
			if late == nil && random.IntN(40) == 0 {
				late = store.NewFollower(folderAt(dir), now.observe)
			}
		}
		for source, w := range writers {
			if random.IntN(2) == 0 { // else it is as after a kill -9
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			delete(writers, source)
		}
		if late == nil {
			late = store.NewFollower(folderAt(dir), now.observe)
		}
		end(t, dir)
		want := converted(t, dir)
		for what, f := range map[string]*store.Follower{"early": follower, "late": late} {
			if over, err := f.Poll(); !over || err != nil {
				t.Fatalf("seed %d: %s: over %v, %v", seed, what, over, err)
			}
			f.Close()
		}
		sameLog(t, fmt.Sprintf("seed %d: early", seed), early, want)
		sameLog(t, fmt.Sprintf("seed %d: late", seed), now, want)
		all := log{}
		if err := store.Follow(t.Context(), folderAt(dir), all.observe, nil); err != nil {
			t.Fatal(err)
		}
		sameLog(t, fmt.Sprintf("seed %d: follow", seed), all, want)
	}
}

// TestFollowParts writes parts. A part waits for the one before it. If there is a later part, the writer of the one before has
// ended, even if it did not close it; that makes a gap.
func TestFollowParts(t *testing.T) {
	dir := spoolFolder(t)
	got := log{}
	f := store.NewFollower(folderAt(dir), got.observe)
	defer f.Close()
	poll := func(want string) {
		t.Helper()
		if over, err := f.Poll(); over || err != nil {
			t.Fatal(over, err)
		}
		if text := strings.Join(strings.Fields(got["cpu cpu/device0/energy"]), " "); text != want {
			t.Fatalf("saw %q, want %q", text, want)
		}
	}
	write := func(part int, at time.Duration) *store.Spool {
		t.Helper()
		h := header("cpu", 1)
		h.Part = part
		s := create(t, dir, h)
		if !s.Append(at, []float64{float64(at)}) || s.Flush() != nil {
			t.Fatal("not written")
		}
		return s
	}
	second := write(1, 20)
	poll("")
	first := write(0, 10)
	poll("10:10 20:20")
	third := write(2, 30)
	poll("10:10 20:20 30:30")
	end(t, dir)
	if over, err := f.Poll(); !over || err != nil {
		t.Errorf("over %v, %v, saw %v", over, err, got)
	}
	c, err := convert(dir, "", nil)
	if err != nil || len(c.Spools) != 1 || c.Spools[0].Rows != 3 || c.Spools[0].Complete || c.Spools[0].Last != 30 {
		t.Errorf("%+v, %v", c, err)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	c, err = convert(dir, "", nil)
	if err != nil || !c.Spools[0].Complete || !slices.Equal(c.Spools[0].Gaps, []store.Gap{{10, 20}, {20, 30}}) {
		t.Errorf("the last one closed: %+v, %v", c, err)
	}
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Fatal(err)
	}
	if c, err := convert(dir, "", nil); err != nil || !c.Spools[0].Complete || c.Spools[0].Gaps != nil {
		t.Errorf("all closed: %+v, %v", c, err)
	}
}

// What is damaged ends its source and no other, and is told at the end.
func TestFollowGarbage(t *testing.T) {
	dir := spoolFolder(t)
	got := log{}
	f := store.NewFollower(folderAt(dir), got.observe)
	defer f.Close()
	s := create(t, dir, header("cpu", 1))
	fill(t, s, 1, 10, 5)
	bad := create(t, dir, header("bad", 1))
	fill(t, bad, 1, 10, 5)
	appendTo(t, bad.Path(), []byte("this is no batch"))
	if err := os.WriteFile(filepath.Join(dir, "alien.arrows"), bytes.Repeat([]byte("garbage "), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if over, err := f.Poll(); over || err != nil {
		t.Fatal(over, err)
	}
	fill(t, bad, 1, 10, 5) // is lost
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	end(t, dir)
	over, err := f.Poll()
	if !over || !errors.Is(err, store.ErrForeign) || strings.Count(err.Error(), "arrows") != 2 {
		t.Errorf("over %v, %v", over, err)
	}
	sameLog(t, "garbage", got, converted(t, dir))
}

func appendTo(t testing.TB, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// What a killed writer has flushed is seen, and how its file ends does no harm.
func TestFollowKilledWriter(t *testing.T) {
	dir := spoolFolder(t)
	got := log{}
	f := store.NewFollower(folderAt(dir), got.observe)
	defer f.Close()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+childSpool, dirVariable+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	flushed := 0
	for lines := bufio.NewScanner(out); flushed < 500 && lines.Scan(); {
		if flushed, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(err)
		}
		if over, err := f.Poll(); over || err != nil {
			t.Fatal(over, err)
		}
		if n := strings.Count(got["cpu cpu/device0/energy"], ":"); n < flushed {
			t.Fatalf("saw %d of %d", n, flushed)
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	end(t, dir)
	if over, err := f.Poll(); !over || err != nil {
		t.Errorf("over %v, %v", over, err)
	}
	sameLog(t, "killed", got, converted(t, dir))
}

// FuzzFollow holds that a file that grows bit by bit is read as one that was there at once.
func FuzzFollow(f *testing.F) {
	dir := f.TempDir()
	for _, n := range []int{1, 5} {
		s := create(f, filepath.Join(dir, fmt.Sprint(n)), header("seed", n))
		fill(f, s, n, 12, 5)
		if err := s.Close(); err != nil {
			f.Fatal(err)
		}
		b, err := os.ReadFile(s.Path())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint16(len(b)/2), uint16(7))
		f.Add(b, uint16(3), uint16(len(b)-3))
		f.Add(b[:len(b)-20], uint16(len(b)-30), uint16(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, first, second uint16) {
		dir := spoolFolder(t)
		path := filepath.Join(dir, "fuzz.arrows")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		got := log{}
		follower := store.NewFollower(folderAt(dir), got.observe)
		defer follower.Close()
		for _, n := range []int{int(first), int(second), len(b)} {
			n = min(n, len(b))
			appendTo(t, path, b[:n])
			b = b[n:]
			if over, err := follower.Poll(); over || err != nil {
				t.Fatal(over, err)
			}
		}
		end(t, dir)
		if over, _ := follower.Poll(); !over {
			t.Fatal("not over")
		}
		sameLog(t, "grown", got, converted(t, dir))
	})
}
