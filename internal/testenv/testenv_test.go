package testenv

import (
	"fmt"
	"os"
	"path/filepath"
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
func proc(t *testing.T, dir string, waited time.Duration, stolen, idle int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "pressure"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"pressure/cpu": fmt.Sprintf("some avg10=0.00 avg60=0.00 avg300=0.00 total=%d\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", waited.Microseconds()),
		"stat":         fmt.Sprintf("cpu  10 0 5 %d 1 0 0 %d 3 0\ncpu0 10 0 5 %d 1 0 0 %d 3 0\n", idle, stolen, idle, stolen),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWatch checks that Errorf fails the test on an idle machine. On a busy machine, it skips the test with a reason and adds
// a line to the file of skips.
func TestWatch(t *testing.T) {
	f := func(waited time.Duration, stolen int, skipped string) {
		t.Helper()
		notes := filepath.Join(t.TempDir(), "skips")
		t.Setenv(notesFile, notes)
		dir := t.TempDir()
		r := &recorder{TB: t}
		proc(t, dir, time.Hour, 100, 1000)
		w := begin(r, dir)
		w.began = w.began.Add(-10 * time.Second)
		proc(t, dir, time.Hour+waited, 100+stolen, 3000)
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
	f(0, 0, "")
	f(5*time.Second, 100, "")
	f(9*time.Second, 0, "a process waited for a processor")
	f(0, 200, "the hypervisor took 9 % of the processors' time")
}

// TestWatchOnNothing checks that Errorf fails the test if the load is unknown.
func TestWatchOnNothing(t *testing.T) {
	r := &recorder{TB: t}
	begin(r, t.TempDir()).Errorf("off")
	if r.failed != "off" || r.skipped != "" {
		t.Errorf("failed with %q, skipped with %q", r.failed, r.skipped)
	}
}
