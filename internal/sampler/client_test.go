package sampler

import (
	"slices"
	"testing"
)

// TestEnvironment keeps libraries that the command preloads out of the sampler.
func TestEnvironment(t *testing.T) {
	got := environment([]string{"LD_PRELOAD=/lib/x.so", "PATH=/bin", "LD_AUDIT=y", "LD_LIBRARY_PATH=/opt", "OLD_PRELOAD=", "GOMAXPROCS"})
	want := []string{"PATH=/bin", "LD_LIBRARY_PATH=/opt", "OLD_PRELOAD=", "GOMAXPROCS", "GOMAXPROCS=1"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
