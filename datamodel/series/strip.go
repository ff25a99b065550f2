package series

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
)

const (
	// sparkParts is the most parts a sparkline has.
	sparkParts = 60
	// sliceCount is how many slices of equal length a run is kept in: at least half of them are in use, which is one
	// for each of sparkParts parts.
	sliceCount = 128
	// firstWidth is the length of a slice at first; it doubles whenever the slices are full.
	firstWidth = time.Millisecond
	// lastWidth is where doubling ends, at 146 years for all slices.
	lastWidth = time.Duration(1) << 55
)

// strip holds a course over time in a fixed number of slices. When the time runs out of them, neighbours are merged
// and each slice is twice as long.
type strip struct {
	start time.Duration
	width time.Duration
	// Of the slice written last: where it begins and ends after start, and its number.
	low, high time.Duration
	current   int
	// area is the integral over a slice in unit × ns, covered the nanoseconds it stands on. Both are nil until there is more
	// than the one entry in only: most courses of a command of some milliseconds are never looked at, and their 2 KB would
	// be memory that is used for the first time, which is slow.
	area, covered *[sliceCount]float64
	only          *entered
}

// entered is one entry of a strip, in times after its start.
type entered struct {
	from, to time.Duration
	mean     float64
}

// empty says that nothing was entered.
func (b *strip) empty() bool { return b.area == nil && b.only == nil }

// resolution is the length of a slice.
func (b *strip) resolution() time.Duration {
	b.fill()
	return b.width
}

// fill makes the slices where there are none.
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

// copied is a strip of its own with the same content.
func (b *strip) copied() strip {
	c := *b // what is in only is never changed
	if b.area != nil {
		area, covered := *b.area, *b.covered
		c.area, c.covered = &area, &covered
	}
	return c
}

// add enters that the value was mean from one time to another.
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

// spread is add for a time that is not within the current slice.
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

// between is the integral from one time to another, and the nanoseconds it stands on; the course ends at end. All times
// are in ns after start. A slice of which only a part is in that time is taken by length.
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

// means is the course from one time to another in n equal parts. A slice that lies in two parts is shared between
// them by length. A part of which less than half is covered is NaN: what little there is may belong next to it.
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
	// enoughSlices is how many slices must have been seen before two courses are said to be one.
	enoughSlices = 8
	// alike is the part of them that must agree: the two are read a little apart, and a counter may move in between,
	// which makes one slice too small and the next too large.
	alike = 0.75
)

// rises says whether two counters rise alike: in most slices by the same to a millionth, and as much in all. Counters
// of their own, which move in steps of some 10 µJ, do that about once in a thousand slices.
func (b *strip) rises(o *strip) bool {
	if b.area == nil || o.area == nil || b.start != o.start || b.width != o.width {
		return false // one entry is too little to tell by
	}
	var seen, same int
	var mine, theirs float64
	before := -1.0
	for i := range sliceCount {
		if b.covered[i] == 0 || b.covered[i] != o.covered[i] || b.area[i] == before {
			continue // A slice like the one before may be of the same increment.
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

// near says that two numbers above 0 differ by a millionth at most.
func near(a, b float64) bool { return a > 0 && math.Abs(a-b) <= 1e-6*a }
