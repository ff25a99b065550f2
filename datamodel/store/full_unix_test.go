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

// fullChild writes a spool until it may not grow, and then for long.
func fullChild(dir string) error {
	if err := limitFiles(64 << 10); err != nil {
		return err
	}
	s, err := store.CreateSpool(folderAt(dir), header("cpu", 3))
	if err != nil {
		return err
	}
	var first error
	written := 0
	values := make([]float64, 3)
	var before, after runtime.MemStats
	for tick := range 400_000 {
		for i := range values {
			values[i] = reading(tick, i)
		}
		if !s.Append(tickTime(tick), values) {
			return fmt.Errorf("tick %d refused", tick)
		}
		if tick%50 != 49 {
			continue
		}
		switch err := s.Flush(); {
		case first == nil && err == nil:
			written = tick + 1
		case first == nil:
			first = err
			runtime.ReadMemStats(&before)
		case err == nil:
			return fmt.Errorf("tick %d was written after %w", tick, first)
		}
	}
	runtime.ReadMemStats(&after)
	if !errors.Is(first, syscall.EFBIG) {
		return fmt.Errorf("no error of a full disk but %w", first)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<10 {
		return fmt.Errorf("%d bytes allocated after the error", grown)
	}
	if err := s.Close(); !errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("close: %w", err)
	}
	_, err = fmt.Fprintln(os.Stdout, written)
	return err
}

func TestSpoolDiskFull(t *testing.T) {
	dir := t.TempDir()
	written, err := strconv.Atoi(strings.TrimSpace(child(t, childFull, dir)))
	if err != nil || written == 0 {
		t.Fatalf("%d written, %v", written, err)
	}
	// What was written before is all there, and the file does not even end in a torn batch.
	ticks, complete, err := read(filepath.Join(dir, "cpu.arrows"), 3)
	if ticks != written || complete || !errors.Is(err, io.EOF) {
		t.Errorf("%d ticks, want %d; complete %v, %v", ticks, written, complete, err)
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
