package datamodel

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// updateSlack is how late the value in a counter may be. RAPL moves about every millisecond, the ticks of /proc/stat
// every 10 ms, the energy counter of a GPU every 20 to 100 ms: what a counter gathered during that time may appear at
// once between two close readings, and is no sign of a fault.
const updateSlack = 100 * time.Millisecond

// absoluteZero is the least temperature, in Cel. Every other quantity here but the time of a clock is at least 0.
const absoluteZero = -273.15

// Series takes in the readings of one sensor, in the order they were made, and knows at any time what they come to.
// It holds no readings, so its size does not grow with the run. It is the one place where counters are differenced.
//
// A counter gives its last reading less its first, so that readings that failed in between cost nothing, and so does
// one that is plain wrong: a reading that steps back (with no wrap point declared) or rises faster than MaxRate is
// set aside, and the next one decides. Where that fits the last good reading, the odd one was junk. Where it only fits
// the odd one, the counter was reset: it counts on from there, and what it counted between the last good reading and
// the odd one is lost and said to be. Either way there is one more gap, and never a negative or impossible increment.
//
// A gauge is averaged over time by trapezoids: between two readings it is taken to go straight from one to the other.
// That is exact for a ramp, makes the mean of a power gauge the same number as its energy over its time, and treats
// both ends of the run alike; holding each reading until the next would count the first one for a whole interval and
// the last one for nothing. Where readings are missing the line bridges them: leaving that time out would drop its
// energy from the total. The bridged time is in a warning where an energy stands on it. Nothing is extended beyond the
// first and the last reading. One that spans the time since the reading before is held over that time instead.
//
// All sums are of float64 in base units. In joules that resolves 2 µJ at 16 GJ (500 W for a year).
type Series struct {
	sensor sensors.Sensor
	readBy string
	// ofTarget: the counters of the target family count from 0 at the target's start, which no reading can precede.
	ofTarget bool
	// lowest is the least reading that is believed.
	lowest float64
	// wrap is Sensor.Wrap or 0, maxRate Sensor.MaxRate per nanosecond or +Inf, blind the nanoseconds after which a
	// counter may have wrapped unseen.
	wrap, maxRate, blind float64

	// from and to are the times of the first and last rows, readings or not.
	rows     int64
	from, to time.Duration

	// Readings that were believed; last is the last one of them.
	count           int64
	firstAt, lastAt time.Duration
	first, last     float64
	// missed is the number of rows without a believed reading since the last one with, gaps that of all before.
	missed, gaps int64

	// The readings of a gauge or the rates of a counter, per nanosecond: extremes, and mean and sum of squared
	// deviations weighted by nanoseconds (West's form of Welford's sums: no cancellation however far the mean is
	// from 0).
	min, max, mean, m2 float64
	// weight is the nanoseconds that were counted or averaged over, rated those of them that the sums above stand on. What an
	// energy counter gathers between two updates comes at once: to a reader that looks more often it would be watts upon
	// watts and then none. So it is spread over pending, the nanoseconds since it last moved.
	weight, rated, pending float64
	// area is the integral of a gauge in unit × ns, areaLow what rounding lost of it (Neumaier's sum).
	area, areaLow float64
	bridged       time.Duration
	// The first and the last increment of a counter that was more than 0: by how much it rose, and in how many
	// nanoseconds since it last did; and how many have passed since the last.
	firstRise, firstTime, lastRise, lastTime, still float64

	// A counter counted carry up to the last reset, and since then last - origin + wraps × wrap.
	origin, carry float64
	wraps         int64
	// steps is the number of increments, loose the part of them in which no time passed.
	steps int64
	loose float64
	// lost is the time of which a reset took the count away, stuck that in which it did not move though it must have, movedAt
	// that of the last reading that was above the one before.
	lost, stuck, movedAt time.Duration
	// undo is not nil after a wrap that may have been none.
	undo *undo
	// hidden is how much may have been counted between readings too far apart, in wraps that nobody saw.
	hidden float64
	// odd is the reading set aside, where there is one.
	odd   float64
	oddAt time.Duration
	isOdd bool

	// firstAge and lastAge are how old what a counter showed in the first and the last row can have been; 0 is as old as
	// the sensor says.
	firstAge, lastAge time.Duration

	clock *clock // nil but for the sensors of the clocks
	doubt doubts
	strip strip
}

// Align tells that what the counter showed in the first and the last row was no older than that; nil is not known. Ages
// of a row without a reading are of no use.
func (s *Series) Align(e Edge) {
	age := func(known *float64, useful bool) time.Duration {
		if !useful || known == nil || !(*known > 0 && *known < math.MaxInt64/1e9) {
			return 0
		}
		return max(1, time.Duration(*known*1e9))
	}
	s.firstAge, s.lastAge = age(e.First, s.firstAt == s.from), age(e.Last, s.lastAt == s.end())
}

// alignment says how exact the ends are, "" where nobody waited for an edge.
func (s *Series) alignment() string {
	switch {
	case s.aligned():
		return fmt.Sprintf("at an edge: the first reading to %v, the last to %v", s.firstAge, s.lastAge)
	case s.firstAge > 0:
		return fmt.Sprintf("the first reading at an edge, to %v; no edge at the end", s.firstAge)
	case s.lastAge > 0:
		return fmt.Sprintf("the last reading at an edge, to %v; no edge at the start", s.lastAge)
	}
	return ""
}

// aligned says whether both ends are at an edge.
func (s *Series) aligned() bool { return s.firstAge > 0 && s.lastAge > 0 }

// doubts counts what was strange, by kind.
type doubts struct {
	junk, disorder, back, fast, resets, blind int64
}

// NewSeries is an empty series of the readings of sensor.
func NewSeries(sensor sensors.Sensor) *Series {
	inf := math.Inf(1)
	s := &Series{sensor: sensor, ofTarget: sensor.Family == "target", maxRate: inf, blind: inf, min: inf, max: -inf}
	s.clock = clockOf(sensor)
	switch {
	case sensor.Kind != sensors.Gauge:
	case sensor.Unit == units.Celsius:
		s.lowest = absoluteZero
	case s.clock != nil: // it may be set back
		s.lowest = -math.MaxFloat64
	}
	if sensor.Wrap > 0 && sensor.Wrap <= math.MaxFloat64 {
		s.wrap = sensor.Wrap
	}
	if sensor.MaxRate > 0 {
		s.maxRate = sensor.MaxRate / 1e9
		if s.wrap > 0 {
			s.blind = s.wrap / s.maxRate
		}
	}
	return s
}

// ReadBy tells which source, a row of Run.Sources, the readings come from.
func (s *Series) ReadBy(source string) { s.readBy = source }

// Sensor is what the readings are of.
func (s *Series) Sensor() sensors.Sensor { return s.sensor }

// First is the first reading and its time; NaN where there is none.
func (s *Series) First() (at time.Duration, value float64) {
	if s.count == 0 {
		return 0, math.NaN()
	}
	return s.firstAt, s.first
}

// Last is the last reading that was believed and its time; NaN where there is none.
func (s *Series) Last() (at time.Duration, value float64) {
	if s.count == 0 {
		return 0, math.NaN()
	}
	return s.lastAt, s.last
}

// Window is the time between the first and the last row, readings or not.
func (s *Series) Window() time.Duration { return s.end() - s.from }

// end is the time of the last row, or of the last reading where a row came with an earlier time than that.
func (s *Series) end() time.Duration {
	if s.count == 0 {
		return s.to
	}
	return max(s.to, s.lastAt)
}

// Add takes in the readings values[i] made at[i] after one fixed moment, NaN where there was none. Calls go on in the
// order of time; how the readings are spread over them makes no difference. Neither slice is kept. Where one is
// longer, what the other lacks is not looked at.
func (s *Series) Add(at []time.Duration, values []float64) {
	n := min(len(at), len(values))
	if n == 0 {
		return
	}
	at, values = at[:n], values[:n]
	if s.rows == 0 {
		s.from, s.to = at[0], at[0]
		s.strip.start = at[0]
	}
	s.rows += int64(n)
	s.to = at[n-1]
	s.clock.add(at, values)
	if s.sensor.Kind == sensors.Counter {
		s.addCounter(at, values)
	} else {
		s.addGauge(at, values)
	}
}

func (s *Series) addCounter(at []time.Duration, values []float64) {
	for i, v := range values {
		t := at[i]
		if !(v >= 0 && v <= math.MaxFloat64) {
			s.refuse(v)
			continue
		}
		if s.count == 0 {
			s.begin(t, v)
			continue
		}
		dt := t - s.lastAt
		if dt < 0 {
			s.doubt.disorder++
			s.missed++
			continue
		}
		if s.undo != nil {
			s.reconsider(t, v)
			dt = t - s.lastAt
		}
		d := v - s.last
		if d < 0 || d > s.maxRate*(float64(dt)+float64(updateSlack)) {
			var ok bool
			if d, dt, ok = s.unlikely(t, v); !ok {
				continue
			}
		}
		s.isOdd = false
		if d > 0 {
			s.movedAt = t
		}
		if s.missed != 0 {
			s.gaps += s.missed
			s.missed = 0
		}
		s.count++
		s.steps++
		s.last, s.lastAt = v, t
		if dt == 0 {
			s.loose += d
			continue
		}
		w := float64(dt)
		if w > s.blind {
			s.doubt.blind++
			s.hidden += max(0, math.Floor((s.maxRate*(w+float64(updateSlack))-d)/s.wrap)) * s.wrap
		}
		rise := d + s.loose
		s.weight += w
		// Where it is read more often than it moves, what it gathered while it stood still comes at once.
		if s.still += w; rise > 0 {
			s.stoodFor(s.still-w, w, rise)
			if s.firstTime == 0 {
				s.firstRise, s.firstTime = rise, s.still
			}
			s.lastRise, s.lastTime = rise, s.still
		}
		s.loose = 0
		if s.pending += w; rise > 0 || s.still > spread*float64(s.updates()) {
			s.rate(t, rise/s.pending)
		}
		if rise > 0 {
			s.still = 0
		}
	}
}

// spread is how many update periods a counter may stand still without being taken to count nothing.
const spread = 2

// updates is the update period of an energy counter, 0 where it is not known. Other counters may well stand still.
func (s *Series) updates() time.Duration {
	if s.sensor.Unit != units.Joule {
		return 0
	}
	return s.sensor.Update
}

// rate enters that a counter rose by so much per nanosecond in the pending time up to t.
func (s *Series) rate(t time.Duration, rate float64) {
	w := s.pending
	s.pending = 0
	s.min, s.max = min(s.min, rate), max(s.max, rate)
	s.rated += w
	off := rate - s.mean
	s.mean += off * (w / s.rated)
	s.m2 += w * off * (rate - s.mean)
	s.strip.add(t-time.Duration(w), t, rate)
}

// stoodFor takes note of an energy counter that stood still for so many nanoseconds and rose in the w after them. What was used
// while it stood is lost where it does not come with the rise.
func (s *Series) stoodFor(stood, w, rise float64) {
	if stuck := s.stuckAfter(); stuck > 0 && stood >= float64(stuck) && rise < s.max*(w+stood/2) {
		s.stuck += time.Duration(stood)
	}
}

func (s *Series) addGauge(at []time.Duration, values []float64) {
	for i, v := range values {
		t := at[i]
		if !(v >= s.lowest && v <= math.MaxFloat64) {
			s.refuse(v)
			continue
		}
		if v < s.min {
			s.min = v
		}
		if v > s.max {
			s.max = v
		}
		dt, before := t-s.lastAt, s.last
		switch {
		case s.count == 0 && s.sensor.Spans:
			s.missed = max(0, s.missed-1) // the row that it counts from
			s.begin(t, v)
			dt = t - s.from
		case s.count == 0:
			s.begin(t, v)
			continue
		case dt < 0:
			s.doubt.disorder++
			s.missed++
			continue
		default:
			s.count++
			s.last, s.lastAt = v, t
		}
		if s.sensor.Spans {
			before = v
		}
		w := float64(dt)
		if dt > 0 {
			mid := before*0.5 + v*0.5 // half first: the sum of two readings may be too large for a float64
			a := mid * w
			sum := s.area + a
			if math.Abs(s.area) >= math.Abs(a) {
				s.areaLow += s.area - sum + a
			} else {
				s.areaLow += a - sum + s.area
			}
			s.area = sum
			s.weight, s.rated = s.weight+w, s.rated+w
			off, step := mid-s.mean, v-before
			s.mean += off * (w / s.rated)
			// The second term is the variance along the line from one reading to the other.
			s.m2 += w * (off*(mid-s.mean) + step*step/12)
			if s.missed == 0 || s.sensor.Spans {
				s.strip.add(t-dt, t, mid)
			}
		}
		if s.missed != 0 {
			if !s.sensor.Spans {
				s.bridged += dt
			}
			s.gaps += s.missed
			s.missed = 0
		}
	}
}

// refuse counts a row whose value is no reading.
func (s *Series) refuse(v float64) {
	s.missed++
	if !math.IsNaN(v) {
		s.doubt.junk++
	}
}

// begin takes the first reading. Before it the target's readings are not missing: there was no target.
func (s *Series) begin(t time.Duration, v float64) {
	s.count = 1
	s.first, s.last, s.origin = v, v, v
	s.firstAt, s.lastAt, s.movedAt = t, t, t
	if !s.ofTarget {
		s.gaps += s.missed
	} else if s.sensor.Kind == sensors.Counter {
		s.origin = 0
	}
	s.missed = 0
}

// unlikely decides on a reading of a counter that steps back or rises too fast from the last good one. It is a wrap,
// or it goes on from the reading set aside before it, or it is set aside itself; in the first two cases it gives the
// increment and the time it took.
func (s *Series) unlikely(t time.Duration, v float64) (d float64, dt time.Duration, ok bool) {
	d, dt = v-s.last, t-s.lastAt
	if d < 0 && s.wrap > 0 {
		if d += s.wrap; d >= 0 && s.possible(d, dt) {
			if !s.usual(d, t, 0) {
				s.undo = &undo{s.copied(), t, v}
			}
			s.wraps++
			return d, dt, true
		}
	}
	if s.isOdd && t >= s.oddAt && v >= s.odd && s.possible(v-s.odd, t-s.oddAt) {
		s.startAnew()
		return v - s.odd, t - s.oddAt, true
	}
	if v < s.last {
		s.doubt.back++
	} else {
		s.doubt.fast++
	}
	s.missed++
	s.odd, s.oddAt, s.isOdd = v, t, true
	return 0, 0, false
}

// startAnew takes the counter as reset to the odd reading.
func (s *Series) startAnew() {
	s.carry += s.last - s.origin
	s.origin = s.odd
	s.loose = 0
	s.lost += s.oddAt - s.lastAt
	s.doubt.resets++
}

// jump is how many times the greatest power before and after a wrap the power across it may be.
const jump = 4

// undo is what was known before a wrap that may have been none, and the reading behind it. Close to the wrap point a reset,
// or a reading of 0, leaves a rise that MaxRate allows, though it is far above what the counter does as a rule.
type undo struct {
	before Series
	at     time.Duration
	value  float64
}

// usual says whether a rise up to t is not far above those before and the rate, per nanosecond, after it.
func (s *Series) usual(d float64, t time.Duration, after float64) bool {
	return d <= jump*max(s.max, after)*float64(t-s.movedAt+s.sensor.Update)
}

// copied is the series by itself, with nothing to undo.
func (s *Series) copied() Series {
	c := *s
	c.undo = nil
	c.strip = s.strip.copied()
	return c
}

// reconsider decides on the last wrap with the reading after it, where the power across it is far above that before and after.
// A reading that fits the one before the wrap makes what lies between junk; one that only goes on from there makes it a reset.
func (s *Series) reconsider(t time.Duration, v float64) {
	u, before := s.undo, s.undo.before
	if t <= u.at {
		return
	}
	s.undo = nil
	goesOn := v >= u.value && s.possible(v-u.value, t-u.at)
	after := 0.0
	if goesOn {
		after = (v - u.value) / float64(t-u.at)
	}
	fits := v >= before.last && before.possible(v-before.last, t-before.lastAt)
	rise := u.value - before.last + s.wrap
	if !goesOn && !fits || before.usual(rise, u.at, after) {
		return
	}
	if !fits && !before.usual(u.value, u.at, after) {
		return // From 0, where a reset begins, it would have had to rise as steeply: so it did, and wrapped.
	}
	before.rows, before.to = s.rows, s.to
	before.missed += 1 + s.missed
	before.doubt.back++
	if !fits {
		before.odd, before.oddAt = u.value, u.at
		before.startAnew()
		before.hidden += rise // should it have wrapped after all
		before.last, before.lastAt, before.movedAt = u.value, u.at, u.at
	}
	*s = before
}

// possible says whether a counter can rise by d in dt.
func (s *Series) possible(d float64, dt time.Duration) bool {
	return d <= s.maxRate*(float64(dt)+float64(updateSlack))
}

// Delta is what a counter counted from its first reading to its last, in Unit; a counter of the target from the
// target's start. It is NaN where that is not known, and for a gauge.
func (s *Series) Delta() float64 {
	if s.whyNoDelta() != "" {
		return math.NaN()
	}
	return s.delta()
}

func (s *Series) delta() float64 {
	// Every increment is at least 0; rounding of their sum must not make it less.
	return max(0, s.carry+(s.last-s.origin)+float64(s.wraps)*s.wrap)
}

// whyNoDelta is the reason why a counter has no delta, "" where it has one.
func (s *Series) whyNoDelta() string {
	switch {
	case s.sensor.Kind != sensors.Counter:
		return "not a counter"
	case s.count == 0:
		return s.whyNone()
	case s.steps == 0 && !s.ofTarget && s.doubt.back+s.doubt.fast+s.doubt.disorder > 0:
		return "no reading fits the first one"
	case s.steps == 0 && !s.ofTarget:
		return "only one reading, and a counter needs two"
	case s.delta() > math.MaxFloat64:
		return "too large for a number"
	case s.sensor.Unit == units.Joule && s.delta() == 0:
		// Nothing that is switched on uses no energy: the counter is stuck, or coarser than the run was long.
		window := s.lastAt - s.firstAt
		stood := fmt.Sprintf("the counter did not move in %s", brief(window))
		if window > 0 && s.sensor.MaxRate > 0 && s.sensor.MaxRate <= math.MaxFloat64 {
			most := s.sensor.MaxRate * window.Seconds()
			return fmt.Sprintf(Below+"%s: %s", units.Format(most, units.Joule), stood)
		}
		return stood
	}
	return ""
}

// whyNone is the reason why there is not a single reading.
func (s *Series) whyNone() string {
	if s.rows == 0 {
		return "never read"
	}
	return fmt.Sprintf("no reading in %d tries", s.rows)
}

// gapCount is the rows that were missing or refused. For the target those after its end do not count.
func (s *Series) gapCount() int64 {
	if s.ofTarget {
		return s.gaps
	}
	return s.gaps + s.missed
}

// unread is the rows without a reading, where that is a sign of a fault, no other warning tells of them, and there are readings
// beside. What is read of processes is not read at each beat, and what spans time has no value where the kernel counted none.
func (s *Series) unread() int64 {
	switch {
	case s.count == 0 || s.ofTarget || s.sensor.Spans || s.bridged > 0 && s.sensor.Unit == units.Watt:
		return 0
	case s.sensor.Family == "profiler" || s.sensor.Family == "gpu" && s.comesLate():
		return 0
	}
	return max(0, s.gapCount()-s.doubt.junk-s.doubt.disorder-s.doubt.back-s.doubt.fast)
}

// comesLate says whether a sensor of a GPU has nothing to tell at first: how often it moves, what processes do on it.
func (s *Series) comesLate() bool {
	name := s.sensor.Name
	return name == "update_period" || strings.HasPrefix(name, "target_") || strings.HasPrefix(name, "other_")
}

// Metrics is what the readings come to: first one metric named as the sensor is, the delta of a counter or the mean
// of a gauge; then energy and power where the sensor is one of the two and has the other. Those that are not known
// are in it with the reason.
func (s *Series) Metrics() []Metric {
	switch {
	case s.sensor.Kind == sensors.Counter && s.sensor.Unit == units.Joule:
		return s.named(s.deltaMetric(s.sensor.Name), s.deltaMetric("energy"), s.rateMetric("power", units.Watt))
	case s.sensor.Kind == sensors.Counter:
		return []Metric{s.deltaMetric(s.sensor.Name)}
	case s.sensor.Unit == units.Watt:
		return s.named(s.gaugeMetric(s.sensor.Name), s.gaugeMetric("power"), s.integralMetric("energy"))
	default:
		return []Metric{s.gaugeMetric(s.sensor.Name)}
	}
}

// named is own and those of others that have another name.
func (s *Series) named(own Metric, others ...Metric) []Metric {
	out := []Metric{own}
	for _, m := range others {
		if m.Name != own.Name {
			out = append(out, m)
		}
	}
	return out
}

// energy is the energy metric of a joule counter or a power gauge.
func (s *Series) energy() Metric {
	if s.sensor.Kind == sensors.Counter {
		return s.deltaMetric("energy")
	}
	return s.integralMetric("energy")
}

func (s *Series) metric(name string, unit units.Unit, aggregation string) Metric {
	m := Value(name, math.NaN(), unit, aggregation, s.sensor.Origin(), s.sensor.Source)
	m.Count, m.Gaps = s.count, s.gapCount()
	return m
}

// missing turns m into a metric without a value.
func (m Metric) missing(reason string) Metric {
	out := Missing(m.Name, m.Unit, reason)
	out.Source, out.Count, out.Gaps = m.Source, m.Count, m.Gaps
	return out
}

// withValue gives m its value, if that is one.
func (m Metric) withValue(v float64) Metric {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return m.missing("too large for a number")
	}
	m.Value = v
	return m
}

func (s *Series) deltaMetric(name string) Metric {
	m := s.metric(name, s.sensor.Unit, "delta")
	if reason := s.whyNoDelta(); reason != "" {
		return m.missing(reason)
	}
	m.Uncertainty = s.uncertainty()
	return s.described(m, 1e9).withValue(s.delta())
}

// uncertainty bounds how far the energy by a counter can be off, in J; NaN where its update period is not known. What
// it shows may be as old as that period: the energy of up to one period is missing at the end, and as much of what was
// before the start may be in it. The two work against each other, so the greater is the bound. What a period takes is
// told from the increment at that end, but is no less than the mean of the run: in an increment as short as a period
// the counter may not have moved. Where the age of what was shown at an end is known, it takes the period's place. To that
// comes what may be lost around a reset, and while it stood still, at the greatest power that was seen, and what may have been
// counted in wraps that nobody saw or that were taken for a reset.
func (s *Series) uncertainty() float64 {
	update := s.sensor.Update
	if update <= 0 && s.aligned() {
		update = max(s.firstAge, s.lastAge)
	}
	if s.sensor.Unit != units.Joule || s.sensor.Kind != sensors.Counter || update <= 0 || s.weight == 0 {
		return math.NaN()
	}
	// In a time of w the counter moved on by the energy of at least as many periods as w holds in full.
	period := func(rise, w float64) float64 { return rise / max(1, math.Floor(w/float64(update))) }
	mean := period(s.delta(), s.weight)
	end := func(rise, w float64, age time.Duration) float64 {
		part := 1.0
		if age > 0 {
			part = min(1, float64(age)/float64(update))
		}
		return max(period(rise, w), mean) * part
	}
	ends := max(end(s.firstRise, s.firstTime, s.firstAge), end(s.lastRise, s.lastTime, s.lastAge))
	return finite(ends + s.max*float64(s.lost+s.standing()) + s.hidden)
}

// stuckAfter is how long an energy counter can stand still while the machine is on, 0 where that is not known: 100 of its
// updates, and more than any pause that was seen.
func (s *Series) stuckAfter() time.Duration {
	const least, most = 200 * time.Millisecond, 100
	if s.updates() <= 0 {
		return 0
	}
	return max(least, most*s.updates())
}

// standing is the time in which the counter did not move, where that is longer than it ever stands still: at its last reading
// and before. It is 0 where it never moved at all, which is told in another way.
func (s *Series) standing() time.Duration {
	stood, stuck := s.lastAt-s.movedAt, s.stuckAfter()
	if stuck == 0 || stood < stuck || stood == s.lastAt-s.firstAt {
		return s.stuck
	}
	return s.stuck + stood
}

// rateMetric is the mean rate of a counter over the time it was counted in.
func (s *Series) rateMetric(name string, unit units.Unit) Metric {
	m := s.metric(name, unit, "mean")
	if reason := s.whyNoDelta(); reason != "" {
		return m.missing(reason)
	}
	if s.weight == 0 {
		return m.missing("no time passed between the readings")
	}
	m = s.described(m, 1e9)
	m.Uncertainty = s.uncertainty() / (s.weight / 1e9)
	return m.withValue(m.Mean)
}

// gaugeMetric is the mean of a gauge, or its greatest reading where its name says that this is what counts: one that
// only ever rises, such as memory_peak or processes_ever.
func (s *Series) gaugeMetric(name string) Metric {
	m := s.metric(name, s.sensor.Unit, "mean")
	if s.count == 0 {
		return m.missing(s.whyNone())
	}
	m = s.described(m, 1)
	if strings.HasSuffix(name, "_peak") || strings.HasSuffix(name, "_ever") {
		m.Aggregation = "max"
		return m.withValue(m.Max)
	}
	if s.sensor.Window > 0 && s.weight > 0 {
		return m.withValue(s.integral() / (s.weight / 1e9))
	}
	return m.withValue(m.Mean)
}

// integralMetric is a gauge times time; for power an energy.
func (s *Series) integralMetric(name string) Metric {
	m := s.metric(name, units.Joule, "integral")
	if m.Provenance == sensors.Sampled {
		m.Provenance = sensors.Integrated
	}
	switch {
	case s.count == 0:
		return m.missing(s.whyNone())
	case s.weight == 0:
		return m.missing("only one reading, and energy needs two")
	}
	return s.described(m, 1).withValue(s.integral())
}

// integral is the sum of the trapezoids in Unit × s. Of readings that are means over a Window before them these sum up a
// time that lies half a window earlier. So what is missing at the end, half a window at the last reading, is added, and
// as much at the first one, which was before it, is taken away: exact where the power did not change within a window
// before the start and before the end. Where the whole time is shorter than a window, the last reading has it all, and
// beside it only what went before.
func (s *Series) integral() float64 {
	sum := (s.area + s.areaLow) / 1e9
	window := s.sensor.Window.Seconds()
	if !(window > 0) || s.count < 2 {
		return sum
	}
	shifted := sum + window/2*(s.last-s.first)
	if length := (s.lastAt - s.firstAt).Seconds(); length < window {
		shifted = window*s.last - (window-length)*s.first
	}
	if shifted < 0 { // the power was another just before the start
		return sum
	}
	return shifted
}

// described gives m the minimum, maximum, mean and standard deviation of the readings or rates, each times scale.
func (s *Series) described(m Metric, scale float64) Metric {
	if s.min > s.max { // a counter without a rate
		return m
	}
	lo, hi := s.min, s.max
	mean := s.last
	switch {
	case s.weight > 0 && s.sensor.Kind == sensors.Counter:
		// Of what was counted in that time; s.mean is the same but for rounding, and for readings at the same moment.
		mean = (s.delta() - s.loose - s.before()) / s.weight
	case s.weight > 0:
		mean = (s.area + s.areaLow) / s.weight
	}
	if s.pending > 0 { // what it was read to gather in that time will come later, and the mean is without it
		lo = min(lo, mean)
	}
	mean = min(max(mean, lo), hi)
	m.Min, m.Max, m.Mean = finite(lo*scale), finite(hi*scale), finite(mean*scale)
	if s.rated > 0 {
		// No spread is more than half the range; rounding can make it so.
		m.Std = finite(min(math.Sqrt(max(0, s.m2/s.rated)), hi/2-lo/2) * scale)
	}
	return m
}

// before is what a counter of the target had counted when it was first read.
func (s *Series) before() float64 {
	if s.ofTarget {
		return s.first
	}
	return 0
}

// finite is v, or NaN where it is infinite.
func finite(v float64) float64 {
	if math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

// Warnings is what is doubtful about the readings, in a fixed order.
func (s *Series) Warnings() []Warning {
	var out []Warning
	add := func(count int64, format string, args ...any) {
		if count > 0 {
			out = append(out, Warning{Subject: s.sensor.ID, Text: fmt.Sprintf(format, args...), Count: count})
		}
	}
	unit := s.sensor.Unit
	if s.sensor.MaxRate <= 0 { // where it is known, blind counts the readings so far apart that one could hide
		add(s.wraps, "the counter wrapped at %g %s; a further wrap between two readings cannot be excluded", s.wrap, unit)
	}
	add(s.doubt.blind, "readings more than %s apart, within which the counter could wrap unseen: it is a lower bound, at most %s more",
		brief(time.Duration(min(s.blind, math.MaxInt64/2))), units.Format(s.hidden, unit))
	if !s.mayStepBack() {
		add(s.doubt.back, "the counter stepped back; the reading was set aside")
	}
	add(s.doubt.fast, "the counter rose faster than %g %s/s, which is not possible; the reading was set aside",
		s.sensor.MaxRate, unit)
	add(s.doubt.resets, "the counter started anew; what it counted just before, within %s, is lost", brief(s.lost))
	add(s.doubt.junk, "the reading was infinite or below %g %s and was refused", s.lowest, unit)
	add(s.doubt.disorder, "the reading came with an earlier time than the one before and was refused")
	out = append(out, s.clock.warnings()...)
	if s.bridged > 0 && unit == units.Watt {
		add(s.gaps, "readings are missing; %s are bridged by straight lines", brief(s.bridged))
	}
	return out
}

// mayStepBack says whether stepping back a little is what the counter is documented to do: the times of idle and
// iowait in /proc/stat, see proc_stat(5). A warning each time would hide those that matter.
func (s *Series) mayStepBack() bool {
	return s.sensor.Family == "cpu" && (s.sensor.Name == "iowait" || s.sensor.Name == "idle")
}

// brief is a duration with three digits, for texts.
func brief(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.String()
}
