package backend

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/sensors"
)

// TestNVMLUnavailable checks the reason if there is no library, or if this build cannot load one.
func TestNVMLUnavailable(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.so")
	if err := os.WriteFile(text, []byte("no library\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, text, filepath.Join(dir, "none.so")} {
		source, absences, err := nvmlBackend().Open(t.Context(), sensors.Setup{NVML: path})
		if source != nil || len(absences) != 0 || !errors.Is(err, sensors.ErrUnavailable) {
			t.Errorf("%s: %v, %v, %v", path, source, absences, err)
			continue
		}
		if s := err.Error(); !strings.Contains(s, path) && !strings.HasPrefix(s, "NVML is ") {
			t.Errorf("%s: the reason is %q", path, s)
		}
	}
}
