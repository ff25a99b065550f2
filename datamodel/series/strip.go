package series

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
)

const (
	// sparkParts is the largest number of parts of a sparkline.
	sparkParts = 60
	// sliceCount is the number of slices of equal length that hold a run. At least half of them are in use, which is at
	// least one for each of sparkParts parts.
	sliceCount = 128
	// firstWidth is the initial length of a slice. It doubles whenever the slices are full.
	firstWidth = time.Millisecond
	// lastWidth is the longest slice. All slices together then span 146 years.
	lastWidth = time.Duration(1) << 55
)

// strip holds a course over time in a fixed number of slices. If the slices run out, neighbours are merged and each
// slice becomes twice as long.
type strip struct {
	start time.Duration
	width time.Duration
	// The bounds of the slice written last, relative to start, and its number.
	low, high time.Duration
	current   int
	// area is the integral over a slice in unit × ns. covered is the nanoseconds behind it. Both are nil while only
	// holds the single entry. Most courses of a command of some milliseconds are never used. Their 2 KB would be
	// touched for the first time, which is slow.
	area, covered *[sliceCount]float64
	only          *entered
}

// entered is one entry of a strip. Its times are relative to the strip's start.
type entered struct {
	from, to time.Duration
	mean     float64
}

// empty reports whether nothing was entered.
func (b *strip) empty() bool { return b.area == nil && b.only == nil }

// resolution returns the length of a slice.
func (b *strip) resolution() time.Duration {
	b.fill()
	return b.width
}

// fill creates the slices if there are none.
func (b *strip) fill() {
	if b.area != nil {
		return
	}
	b.area, b.covered, b.width = new([sliceCount]float64), new([sliceCount]float64), firstWidth
	if e := b.only; e != nil {
		b.only = nil
		b.spread(e.from, e.to, e.mean)
	}
}

// copied returns an independent strip with the same content.
func (b *strip) copied() strip {
	c := *b // the entry behind only is never changed
	if b.area != nil {
		area, covered := *b.area, *b.covered
		c.area, c.covered = &area, &covered
	}
	return c
}

// add enters the mean value over the time between from and to.
func (b *strip) add(from, to time.Duration, mean float64) {
	from, to = from-b.start, to-b.start
	if from < b.low || to > b.high || to < from {
		b.spread(from, to, mean)
		return
	}
	w := float64(to - from)
	b.area[b.current] += mean * w
	b.covered[b.current] += w
}

// spread is add for a time outside the current slice.
func (b *strip) spread(from, to time.Duration, mean float64) {
	if from < 0 || to <= from {
		return
	}
	if b.empty() {
		b.only = &entered{from, to, mean}
		return
	}
	b.fill()
	for (to-1)/sliceCount >= b.width {
		if b.width >= lastWidth {
			return
		}
		b.halve()
	}
	for from < to {
		i := from / b.width
		b.current, b.low = int(i), from-from%b.width
		b.high = b.low + b.width
		end := min(to, b.high)
		w := float64(end - from)
		b.area[i] += mean * w
		b.covered[i] += w
		from = end
	}
}

func (b *strip) halve() {
	for i := range sliceCount / 2 {
		b.area[i] = b.area[2*i] + b.area[2*i+1]
		b.covered[i] = b.covered[2*i] + b.covered[2*i+1]
	}
	clear(b.area[sliceCount/2:])
	clear(b.covered[sliceCount/2:])
	b.width *= 2
}

// between returns the integral over a time, and the nanoseconds behind it. The course ends at end. All times are in ns
// after start. A slice that lies only partly in that time counts in proportion to its length there.
func (b *strip) between(from, to, end float64) (area, covered float64) {
	if b.empty() {
		return 0, 0
	}
	b.fill()
	width := float64(b.width)
	to = min(to, end)
	for i := max(0, int(from/width)); i < sliceCount && float64(i)*width < to; i++ {
		low, high := float64(i)*width, min(float64(i+1)*width, end)
		share := (min(to, high) - max(from, low)) / (high - low)
		area += share * b.area[i]
		covered += share * b.covered[i]
	}
	return area, covered
}

// means returns the course from from to to in n equal parts. A slice that lies in two parts is shared between them by
// length. A part that is less than half covered is NaN, because its few readings may belong to a neighbour.
func (b *strip) means(n int, from, to time.Duration) []float64 {
	out := make([]float64, n)
	lo, length := float64(from)-float64(b.start), float64(to)-float64(from)
	for k := range out {
		out[k] = math.NaN()
		if b.empty() {
			continue
		}
		left, right := lo+length*float64(k)/float64(n), lo+length*float64(k+1)/float64(n)
		area, covered := b.between(left, right, math.Inf(1))
		if covered > 0 && covered >= (right-left)/2 {
			out[k] = datamodel.Finite(area / covered)
		}
	}
	return out
}

const (
	// enoughSlices is the number of slices needed before two courses can count as one.
	enoughSlices = 8
	// alike is the fraction of slices that must agree. The two counters are read slightly apart. A counter may move in
	// between, which makes one slice too small and the next too large.
	alike = 0.75
)

// rises reports whether two counters rise alike: by the same amount to a millionth in most slices, and by as much in
// total. Independent counters, which move in steps of some 10 µJ, agree in about one slice of a thousand.
func (b *strip) rises(o *strip) bool {
	if b.area == nil || o.area == nil || b.start != o.start || b.width != o.width {
		return false // one entry is too little to decide
	}
	var seen, same int
	var mine, theirs float64
	before := -1.0
	for i := range sliceCount {
		if b.covered[i] == 0 || b.covered[i] != o.covered[i] || b.area[i] == before {
			continue // An equal slice may come from the same increment.
		}
		before = b.area[i]
		seen++
		mine, theirs = mine+b.area[i], theirs+o.area[i]
		if near(b.area[i], o.area[i]) {
			same++
		}
	}
	return seen >= enoughSlices && float64(same) >= alike*float64(seen) && math.Abs(mine-theirs) <= 0.01*mine
}

// near reports whether two numbers above 0 differ by a millionth at most.
func near(a, b float64) bool { return a > 0 && math.Abs(a-b) <= 1e-6*a }
