package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLacks: a part that is not there skips the test and leaves a line. A part that is there, and was not found, fails it.
func TestLacks(t *testing.T) {
	notes := filepath.Join(t.TempDir(), "skips")
	t.Setenv(notesFile, notes)
	r := &recorder{TB: t}
	lacks(r, Git, "not in PATH", false)
	lines, err := os.ReadFile(notes)
	if err != nil || string(lines) != "no git\tTestSubject/case\tnot in PATH\n" || r.failed != "" {
		t.Errorf("noted %q, %v; failed with %q", lines, err, r.failed)
	}
	lacks(r, Git, "not in PATH", true)
	if r.failed == "" {
		t.Error("it is here, and the test was left out")
	}
}
