package backend

import "testing"

// TestSharesFollowGrowth lets memory grow steadily, and then swing. Growth is measured before it is due, in few readings whose
// sizes add up to less than five times the last one. Swings are not.
func TestSharesFollowGrowth(t *testing.T) {
	t.Parallel()
	var m holdings
	var readings, sum uint64
	look := func(pages uint64) {
		m.all = pages
		if m.grown() {
			readings, sum = readings+1, sum+pages
			m.measured, m.highest = pages, max(m.highest, pages)
		}
	}
	const most = 100_000
	for pages := uint64(100); pages <= most; pages += 100 {
		look(pages)
	}
	if m.highest*5 < most*4 || readings > 35 || sum > 5*m.highest {
		t.Errorf("measured up to %d of %d pages in %d readings of %d pages", m.highest, most, readings, sum)
	}
	before := readings
	for range 100 {
		look(most / 10)
		look(most)
	}
	if readings > before {
		t.Errorf("%d readings for swings", readings-before)
	}
}
