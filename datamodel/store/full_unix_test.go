//go:build unix

package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// child runs the test binary as another process and returns what it said.
func child(t *testing.T, role, dir string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+role, dirVariable+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// A sampler killed at any moment costs what it had not flushed and at most one batch that was on its way.
func TestSpoolKilled(t *testing.T) {
	for range 5 {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"="+childSpool, dirVariable+"="+dir)
		cmd.Stderr = os.Stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, flushed := bufio.NewScanner(stdout), 0
		kill := func() {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
		for lines.Scan() { // to the end: what it said before it died was flushed
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				break // the line it died in
			}
			if flushed = n; flushed == 100 {
				kill()
			}
		}
		if err := cmd.Wait(); err == nil || flushed < 100 {
			t.Fatalf("killed after %d: %v", flushed, err)
		}
		ticks, complete, err := read(filepath.Join(dir, "cpu.arrows"), 3)
		if ticks < flushed || complete || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d ticks of %d flushed, complete %v, %v", ticks, flushed, complete, err)
		}
		c, err := convert(dir, filepath.Join(dir, store.SamplesFile), nil)
		if err != nil || c.Samples != int64(3*ticks) || c.Spools[0].Complete {
			t.Errorf("converted: %+v, %v", c, err)
		}
	}
}

// limitFiles makes every file of this process that grows beyond so many bytes fail as on a full disk, with EFBIG.
func limitFiles(bytes uint64) error {
	signal.Ignore(syscall.SIGXFSZ)
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &r); err != nil {
		return err
	}
	// The field is signed on FreeBSD.
	return setFileLimit(&r, bytes)
}

// fullChild writes a spool while the disk is full for a time. It says how many ticks were read, how many the spool counted as
// lost, and the ticks of the first and the last of these.
func fullChild(dir string) error {
	s, err := store.CreateSpool(folderAt(dir), header("cpu", 3))
	if err != nil {
		return err
	}
	const ticks, full, free = 60_000, 20_000, 40_000
	var first error
	values := make([]float64, 3)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for tick := range ticks {
		switch tick {
		case full:
			err = limitFiles(64 << 10)
		case free:
			err = limitFiles(1 << 30)
		}
		if err != nil {
			return err
		}
		for i := range values {
			values[i] = reading(tick, i)
		}
		if tick%50 == 49 || s.Full() {
			switch err := s.Flush(); {
			case err == nil && tick >= full && tick < free:
				return fmt.Errorf("tick %d was written to a full disk", tick)
			case err != nil && (tick < full || tick > free):
				return fmt.Errorf("tick %d was not written: %w", tick, err)
			case first == nil:
				first = err
			}
		}
		if !s.Append(tickTime(tick), values) {
			return fmt.Errorf("tick %d refused", tick)
		}
	}
	runtime.ReadMemStats(&after)
	if !errors.Is(first, syscall.EFBIG) {
		return fmt.Errorf("no error of a full disk but %w", first)
	}
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 8<<20 {
		return fmt.Errorf("the heap grew by %d bytes", grown)
	}
	if err := s.Close(); err != nil {
		return err
	}
	lost := s.Lost()
	if !errors.Is(lost.Err, syscall.EFBIG) {
		return fmt.Errorf("lost: %w", lost.Err)
	}
	_, err = fmt.Fprintln(os.Stdout, ticks, lost.Rows, tickOf(lost.First), tickOf(lost.Last))
	return err
}

// tickOf is the inverse of tickTime.
func tickOf(at time.Duration) int {
	return sort.Search(1<<20, func(tick int) bool { return tickTime(tick) >= at })
}

// TestSpoolDiskFull fills the disk for a time. What was read before and after is there, and a row without values marks the
// gap.
func TestSpoolDiskFull(t *testing.T) {
	dir := t.TempDir()
	var ticks, lost, first, last int
	out := child(t, childFull, dir)
	if _, err := fmt.Sscan(out, &ticks, &lost, &first, &last); err != nil || lost == 0 || last-first+1 != lost {
		t.Fatalf("%q: %v", out, err)
	}
	r, err := store.OpenSpool(filepath.Join(dir, "cpu.arrows"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	next, marks := 0, 0
	for {
		at, values, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for row := range at {
			if at[row] != tickTime(next) {
				t.Fatalf("tick %d is at %v", next, at[row])
			}
			mark := next == first
			for i := range 3 {
				v, want := values[3*row+i], reading(next, i)
				if mark {
					want = math.NaN()
				}
				if v != want && !(math.IsNaN(v) && math.IsNaN(want)) {
					t.Fatalf("tick %d, sensor %d: %g, want %g", next, i, v, want)
				}
			}
			next++
			if mark {
				next, marks = last+1, marks+1
			}
		}
	}
	if next != ticks || marks != 1 || !r.Complete() {
		t.Errorf("%d ticks of %d, %d gaps, complete %t", next, ticks, marks, r.Complete())
	}
}

// fullRunChild saves a run in too little space: nothing may be left of a file that was not finished, and the
// readings are handed out nevertheless.
func fullRunChild(dir string) error {
	spool := filepath.Join(dir, store.SpoolFolder)
	if err := limitFiles(8 << 10); err != nil {
		return err
	}
	samples := filepath.Join(dir, store.SamplesFile)
	seen, sum := 0, 0.0
	c, err := convert(spool, samples, func(_ store.SpoolHeader, _ int, at []time.Duration, values []float64) {
		seen += len(at)
		for _, v := range values {
			if !math.IsNaN(v) {
				sum += v
			}
		}
	})
	if !errors.Is(err, syscall.EFBIG) || int64(seen) != c.Samples {
		return fmt.Errorf("convert: %d seen of %d, %w", seen, c.Samples, err)
	}
	if err := saveTree(dir, sampleRun(), sampleTree(2000)); !errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("save tree: %w", err)
	}
	run := sampleRun()
	run.Command = []string{strings.Repeat("x", 9<<10)}
	if err := store.SaveManifest(folderAt(dir), run); !errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("save manifest: %w", err)
	}
	_, err = fmt.Fprintln(os.Stdout, seen)
	return err
}

func TestSaveDiskFull(t *testing.T) {
	testenv.Long(t)
	testenv.Sequential(t)
	for _, ticks := range []int{3000, 40_000} { // one row group; snappy and zstd
		dir := t.TempDir()
		writeRun(t, dir, ticks)
		if got := strings.TrimSpace(child(t, childFullRun, dir)); got != strconv.Itoa(4*ticks) {
			t.Errorf("observed %s, want %d", got, 4*ticks)
		}
		onlyFiles(t, dir, store.SpoolFolder)
		// With room again it works: nothing was lost.
		if _, err := convert(filepath.Join(dir, store.SpoolFolder), filepath.Join(dir, store.SamplesFile), nil); err != nil {
			t.Fatal(err)
		}
		checkSamples(t, dir, ticks)
	}
}

// tapeChild writes a tape that has no room, and says that it could not.
func tapeChild(dir string) error {
	spool := filepath.Join(dir, "spool")
	s, err := store.CreateSpool(folderAt(spool), header("cpu", 3))
	if err != nil {
		return err
	}
	for tick := range 1000 {
		if s.Full() {
			err = errors.Join(err, s.Flush())
		}
		s.Append(tickTime(tick), []float64{rand.Float64(), rand.Float64(), rand.Float64()})
	}
	if err := errors.Join(err, s.Close(), limitFiles(4<<10)); err != nil {
		return err
	}
	if err := store.SaveTape(filepath.Join(dir, "run.zip"), store.Tape{}, folderAt(spool), nil, store.Access{}); err != nil {
		fmt.Fprintln(os.Stdout, "refused:", err)
	}
	return nil
}

// A tape that cannot be written whole is not there at all.
func TestTapeDiskFull(t *testing.T) {
	dir := t.TempDir()
	if out := child(t, childTape, dir); !strings.Contains(out, "refused") {
		t.Fatalf("a full disk is no error: %q", out)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "spool" {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
