package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// recorder records the failure or the skip of a test.
type recorder struct {
	testing.TB
	failed, skipped string
}

func (r *recorder) Helper()                           {}
func (r *recorder) Logf(string, ...any)               {}
func (r *recorder) Name() string                      { return "TestSubject/case" }
func (r *recorder) Errorf(format string, args ...any) { r.failed = fmt.Sprintf(format, args...) }
func (r *recorder) Fatalf(format string, args ...any) { r.failed = fmt.Sprintf(format, args...) }
func (r *recorder) Skipf(format string, args ...any)  { r.skipped = fmt.Sprintf(format, args...) }

// proc writes the files of /proc that Watch reads.
func proc(t *testing.T, dir string, waited time.Duration, stolen, idle, runnable int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "pressure"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"pressure/cpu": fmt.Sprintf("some avg10=0.00 avg60=0.00 avg300=0.00 total=%d\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", waited.Microseconds()),
		"stat":         fmt.Sprintf("cpu  10 0 5 %d 1 0 0 %d 3 0\ncpu0 10 0 5 %d 1 0 0 %d 3 0\nprocs_running %d\nprocs_blocked 0\n", idle, stolen, idle, stolen, runnable),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWatch checks that Errorf fails the test on an idle machine. On a busy machine, it skips the test with a reason and adds
// a line to the file of skips.
func TestWatch(t *testing.T) {
	f := func(d, waited time.Duration, stolen, runnable int, skipped string) {
		t.Helper()
		notes := filepath.Join(t.TempDir(), "skips")
		t.Setenv(notesFile, notes)
		dir := t.TempDir()
		r := &recorder{TB: t}
		proc(t, dir, time.Hour, 100, 1000, runnable)
		w := begin(r, dir)
		w.began = w.began.Add(-d)
		w.look()
		proc(t, dir, time.Hour+waited, 100+stolen, 3000, runnable)
		w.Errorf("%d is not 3", 7)
		lines, _ := os.ReadFile(notes)
		switch {
		case skipped == "" && (r.skipped != "" || len(lines) > 0):
			t.Errorf("%v waited, %d stolen: skipped: %q, noted %q", waited, stolen, r.skipped, lines)
		case skipped == "" && r.failed != "7 is not 3":
			t.Errorf("%v waited, %d stolen: failed with %q", waited, stolen, r.failed)
		case skipped != "" && (!strings.Contains(r.skipped, skipped) || !strings.HasSuffix(r.skipped, "7 is not 3")):
			t.Errorf("%v waited, %d stolen: skipped with %q, want %q", waited, stolen, r.skipped, skipped)
		case skipped != "" && !strings.HasPrefix(string(lines), "busy\tTestSubject/case\t"):
			t.Errorf("%v waited, %d stolen: noted %q", waited, stolen, lines)
		}
	}
	const whole = 10 * time.Second
	n := runtime.NumCPU()
	f(whole, 0, 0, 0, "")
	f(whole, 5*time.Second, 100, n, "")
	f(whole, 9*time.Second, 0, 0, "a process waited for a processor")
	f(time.Second, 2*time.Second, 0, 0, "") // the kernel brings the total up to date every 2 s
	f(whole, 0, 200, 0, "the hypervisor took 9 % of the processors' time")
	f(time.Second, 0, 0, 1+2*n, fmt.Sprintf("%d.0 threads wanted to run on %d processors", 2*n, n))
	f(time.Second, 0, 0, 1+n+n/2, "")
}

// TestWatchOnNothing checks that Errorf fails the test if the load is unknown.
func TestWatchOnNothing(t *testing.T) {
	r := &recorder{TB: t}
	begin(r, t.TempDir()).Errorf("off")
	if r.failed != "off" || r.skipped != "" {
		t.Errorf("failed with %q, skipped with %q", r.failed, r.skipped)
	}
}
