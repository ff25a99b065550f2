package runner

import (
	"slices"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel/store"
)

// TestCommonGaps joins the gaps of a fast source and of one with rare readings, in both orders. The time is told in which neither
// has a reading.
func TestCommonGaps(t *testing.T) {
	t.Parallel()
	fast := []store.Gap{{From: 500 * time.Millisecond, To: 700 * time.Millisecond}, {From: 2 * time.Second, To: 3 * time.Second}}
	rare := []store.Gap{{From: 0, To: 710 * time.Millisecond}}
	for _, sources := range [][][]store.Gap{{fast, rare, nil}, {nil, rare, fast}} {
		var all []store.Gap
		for _, gaps := range sources {
			all = common(all, gaps)
		}
		if !slices.Equal(all, fast) {
			t.Errorf("%v, want %v", all, fast)
		}
	}
}
