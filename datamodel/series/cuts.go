package series

import (
	"math"
	"sort"
	"time"

	"github.com/ergon-energy/ergon/sensors"
)

// cuts are moments at which the integral of a course is kept, however coarse its slices are.
type cuts struct {
	at []time.Duration
	// area is the integral until each cut, and off how far the nearer of the two readings around it is.
	area []float64
	off  []time.Duration
	// highest is the greatest reading between the cut before and each cut, and at the end the greatest one after the last.
	highest []float64
}

// Cut keeps the amount at these moments, which are in ascending order. It is called before Add.
func (s *Series) Cut(at []time.Duration) {
	if s.rows != 0 || len(at) == 0 {
		return
	}
	c := &cuts{at: at, area: make([]float64, len(at)), off: make([]time.Duration, len(at))}
	if s.sensor.Kind == sensors.Gauge {
		c.highest = make([]float64, len(at)+1)
		for i := range c.highest {
			c.highest[i] = math.Inf(-1)
		}
	}
	s.strip.cuts = c
}

// pass keeps the integral at the cuts up to the end of an entry. If a reading turns out to be wrong, the strip before it is
// restored, with the number of cuts, and the cuts are passed again.
func (b *strip) pass(from, to time.Duration, mean float64) {
	c := b.cuts
	for ; b.cut < len(c.at) && c.at[b.cut] <= to; b.cut++ {
		at := max(from, c.at[b.cut]) // nothing is known of the time between two entries
		c.area[b.cut] = b.area + mean*float64(at-from)
		c.off[b.cut] = min(at-from, to-at)
	}
	b.area += mean * float64(to-from)
}

// note keeps the greatest reading between two cuts.
func (c *cuts) note(at time.Duration, v float64) {
	if c == nil || c.highest == nil {
		return
	}
	i := sort.Search(len(c.at), func(i int) bool { return c.at[i] >= at })
	c.highest[i] = max(c.highest[i], v)
}

// UpTo returns how much a counter rose until a cut, or the integral of a gauge in Unit × s. off is how far the cut is from the
// nearer of the readings around it: in that time, the amount is assumed to rise evenly. A cut after the last reading has the
// total.
func (s *Series) UpTo(cut int) (amount float64, off time.Duration) {
	c := s.strip.cuts
	if c == nil {
		return math.NaN(), 0
	}
	amount = s.strip.area
	if cut < s.strip.cut {
		amount, off = c.area[cut], c.off[cut]
	}
	if s.sensor.Kind != sensors.Counter {
		amount /= 1e9
	}
	return amount, off
}

// HasCuts reports whether amounts are known at cuts.
func (s *Series) HasCuts() bool { return s.strip.cuts != nil && s.HasCourse() }

// Peaks returns the greatest readings of a gauge between any two cuts, or nil if there are no cuts.
func (s *Series) Peaks() *Peaks {
	c := s.strip.cuts
	if c == nil || c.highest == nil {
		return nil
	}
	p := &Peaks{levels: [][]float64{c.highest}}
	for width := 1; 2*width <= len(c.highest); width *= 2 {
		last := p.levels[len(p.levels)-1]
		next := make([]float64, len(c.highest)-2*width+1)
		for i := range next {
			next[i] = max(last[i], last[i+width])
		}
		p.levels = append(p.levels, next)
	}
	return p
}

// Peaks answers for the greatest reading between two cuts, in a time that does not depend on their distance. Level k has the
// greatest readings of 2^k neighbouring times.
type Peaks struct{ levels [][]float64 }

// Between returns the greatest reading after a cut, up to another. It is NaN if there is none.
func (p *Peaks) Between(from, to int) float64 {
	if to <= from {
		return math.NaN()
	}
	level := 0
	for 2<<level <= to-from {
		level++
	}
	first := from + 1 // the time that ends with the cut from+1
	v := max(p.levels[level][first], p.levels[level][to+1-1<<level])
	if math.IsInf(v, -1) {
		return math.NaN()
	}
	return v
}
