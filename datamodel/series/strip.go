package series

import (
	"math"
	"slices"
	"time"
)

const (
	// sliceCount is the number of slices of equal length that hold a run. At least half of them are in use.
	sliceCount = 128
	// fineCount is the number of slices of a course that charts show: an hour at 10 Hz, and a little more.
	fineCount = 40_000
	// firstWidth is the initial length of a slice, if the course is not for a chart. It doubles whenever the slices are full.
	firstWidth = time.Millisecond
	// lastWidth is the longest slice. All slices together then span 146 years and more.
	lastWidth = time.Duration(1) << 55
)

// strip holds a course over time in a bounded number of slices. If the slices run out, neighbours are merged and each
// slice becomes twice as long.
type strip struct {
	start time.Duration
	width time.Duration
	// The bounds of the slice written last, relative to start, and its number.
	low, high time.Duration
	current   int
	// slices grows as the time goes on, up to the bound. It is nil while only holds the single entry. Most courses of a
	// command of some milliseconds are never used. Their memory would be touched for the first time, which is slow.
	slices []slice
	only   *entered
	// extremes are those of the slices. They are kept only if fine is the initial length of a slice, and nil otherwise.
	extremes []extreme
	fine     time.Duration
	cuts     *cuts // nil if none were asked for
	// cut is the number of cuts before the last entry, and area the integral until its end.
	cut  int
	area float64
}

// slice is a part of a course. area is the integral over it in unit × ns. covered is the nanoseconds behind it.
type slice struct{ area, covered float64 }

// extreme holds the least and the greatest value of the entries whose middle lies in a slice, to seven digits. least is above
// most if there is none.
type extreme struct{ least, most float32 }

// noExtreme is the extreme of nothing.
func noExtreme() extreme { return extreme{float32(math.Inf(1)), float32(math.Inf(-1))} }

// entered is one entry of a strip. Its times are relative to the strip's start.
type entered struct {
	from, to          time.Duration
	mean, least, most float64
}

// empty reports whether nothing was entered.
func (b *strip) empty() bool { return b.slices == nil && b.only == nil }

// resolution returns the length of a slice.
func (b *strip) resolution() time.Duration {
	b.fill()
	return b.width
}

// bound returns the largest number of slices.
func (b *strip) bound() int {
	if b.fine > 0 {
		return fineCount
	}
	return sliceCount
}

// fill creates the slices if there are none.
func (b *strip) fill() {
	if b.slices != nil {
		return
	}
	b.slices, b.width = make([]slice, 0, sliceCount), firstWidth
	if b.fine > 0 {
		b.width = b.fine
	}
	if e := b.only; e != nil {
		b.only = nil
		b.spread(*e)
	}
}

// copied returns an independent strip with the same content.
func (b *strip) copied() strip {
	c := *b // the entry behind only is never changed
	c.slices, c.extremes = slices.Clone(b.slices), slices.Clone(b.extremes)
	return c
}

// add enters the mean, the least and the greatest value over the time between from and to.
func (b *strip) add(from, to time.Duration, mean, least, most float64) {
	if b.cuts != nil {
		b.pass(from, to, mean)
	}
	from, to = from-b.start, to-b.start
	if from < b.low || to > b.high || to < from {
		b.spread(entered{from, to, mean, least, most})
		return
	}
	w := float64(to - from)
	s := &b.slices[b.current]
	s.area += mean * w
	s.covered += w
	if b.extremes != nil {
		b.extremes[b.current].take(float32(least), float32(most))
	}
}

// take adds values to the extremes.
func (e *extreme) take(least, most float32) {
	e.least, e.most = min(e.least, least), max(e.most, most)
}

// spread is add for a time outside the current slice.
func (b *strip) spread(e entered) {
	from, to := e.from, e.to
	if from < 0 || to <= from {
		return
	}
	if b.empty() {
		b.only = &e
		return
	}
	b.fill()
	for (to-1)/time.Duration(b.bound()) >= b.width {
		if b.width >= lastWidth {
			return
		}
		b.halve()
	}
	b.grow(int((to - 1) / b.width))
	if b.fine > 0 {
		b.extremes[(from+(to-from)/2)/b.width].take(float32(e.least), float32(e.most))
	}
	for from < to {
		i := from / b.width
		b.current, b.low = int(i), from-from%b.width
		b.high = b.low + b.width
		end := min(to, b.high)
		w := float64(end - from)
		b.slices[i].area += e.mean * w
		b.slices[i].covered += w
		from = end
	}
}

// grow adds empty slices up to the one with this number.
func (b *strip) grow(last int) {
	for len(b.slices) <= last {
		b.slices = append(b.slices, slice{})
		if b.fine > 0 {
			b.extremes = append(b.extremes, noExtreme())
		}
	}
}

func (b *strip) halve() {
	n := (len(b.slices) + 1) / 2
	for i := range n {
		s := b.slices[2*i]
		if 2*i+1 < len(b.slices) {
			s.area += b.slices[2*i+1].area
			s.covered += b.slices[2*i+1].covered
		}
		b.slices[i] = s
		if b.fine > 0 {
			e := b.extremes[2*i]
			if 2*i+1 < len(b.slices) {
				e.take(b.extremes[2*i+1].least, b.extremes[2*i+1].most)
			}
			b.extremes[i] = e
		}
	}
	b.slices = b.slices[:n]
	if b.fine > 0 {
		b.extremes = b.extremes[:n]
	}
	b.width *= 2
	b.low, b.high = 0, 0 // the bounds of the current slice are no longer right
}

// between returns the integral over a time, and the nanoseconds behind it. The course ends at end. All times are in ns
// after start. A slice that lies only partly in that time counts in proportion to its length there.
func (b *strip) between(from, to, end float64) (area, covered float64) {
	if b.empty() {
		return 0, 0
	}
	b.fill()
	width := float64(b.width)
	if to = min(to, end); to <= from { // both may lie in the last slice, behind the end
		return 0, 0
	}
	for i := max(0, int(from/width)); i < len(b.slices) && float64(i)*width < to; i++ {
		low, high := float64(i)*width, min(float64(i+1)*width, end)
		share := (min(to, high) - max(from, low)) / (high - low)
		area += share * b.slices[i].area
		covered += share * b.slices[i].covered
	}
	return area, covered
}

// extremesBetween returns the extremes of the slices that begin in a time. All times are in ns after start. least is above
// most if there are none.
func (b *strip) extremesBetween(from, to float64) extreme {
	e := noExtreme()
	width := float64(b.width)
	for i := max(0, int(math.Ceil(from/width))); i < len(b.extremes) && float64(i)*width < to; i++ {
		e.take(b.extremes[i].least, b.extremes[i].most)
	}
	return e
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
	if b.slices == nil || o.slices == nil || b.start != o.start || b.width != o.width {
		return false // one entry is too little to decide
	}
	var seen, same int
	var mine, theirs float64
	before := -1.0
	for i := range min(len(b.slices), len(o.slices)) {
		a, other := b.slices[i], o.slices[i]
		if a.covered == 0 || a.covered != other.covered || a.area == before {
			continue // An equal slice may come from the same increment.
		}
		before = a.area
		seen++
		mine, theirs = mine+a.area, theirs+other.area
		if near(a.area, other.area) {
			same++
		}
	}
	return seen >= enoughSlices && float64(same) >= alike*float64(seen) && math.Abs(mine-theirs) <= 0.01*mine
}

// near reports whether two numbers above 0 differ by a millionth at most.
func near(a, b float64) bool { return a > 0 && math.Abs(a-b) <= 1e-6*a }
