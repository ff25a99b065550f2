package account

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
)

// Live tells what the series of a run come to between two calls of Now. It has no arithmetic of its own: it asks what the
// result is made of, twice, and takes the difference.
type Live struct {
	energy map[*series.Series]meter
	// busy and all are the seconds that the CPUs had come to at the last call, cpuAt the time of that reading.
	busy, all float64
	cpuAt     time.Duration
	cpu       float64
}

// meter is how far the energy of a series has come.
type meter struct {
	at     time.Duration // of its last reading
	energy float64       // joules since its first one
	power  float64       // watts over the time before at; NaN if not known
}

// Now returns the figures of the time since the last call, or since the beginning at the first. A figure without a new
// reading stays as it was, until its last reading is older than oldest, on the clock of the readings; then it is NaN.
// The readings of list go on from call to call.
func (l *Live) Now(list []*series.Series, oldest time.Duration) datamodel.Now {
	h := &host{Host: Host{Series: list}}
	now := datamodel.Now{Power: l.power(list, oldest), CPU: l.utilization(h, oldest), Memory: math.NaN()}
	if s := h.find(sensors.TargetMemory); s != nil && s.Count() > 0 {
		if at, v := s.Last(); at >= oldest {
			now.Memory = v
		}
	}
	return now
}

// utilization is the busy share of the machine's CPUs.
func (l *Live) utilization(h *host, oldest time.Duration) float64 {
	t := h.machineCPU()
	if t.why != (why{}) {
		return math.NaN()
	}
	if t.total > l.all {
		l.cpu = (t.busy - l.busy) / (t.total - l.all)
		l.busy, l.all = t.busy, t.total
		l.cpuAt, _ = h.find(sensors.CPUIdle).Last()
	}
	if l.cpuAt < oldest {
		return math.NaN()
	}
	return l.cpu
}

// power sums the powers of what makes up the machine's energy. It is NaN if one of them is not known.
func (l *Live) power(list []*series.Series, oldest time.Duration) float64 {
	if l.energy == nil {
		l.energy = make(map[*series.Series]meter)
	}
	summed := chooseEnergy(list).summed()
	if len(summed) == 0 {
		return math.NaN()
	}
	sum := 0.0
	for _, s := range summed {
		first, _ := s.First()
		last, _ := s.Last()
		before, ok := l.energy[s]
		if !ok {
			before = meter{at: first, power: math.NaN()}
		}
		if last > before.at {
			energy := s.Energy().Value
			power := (energy - before.energy) / (last - before.at).Seconds()
			if power < 0 { // a wrap was taken back that was none
				power = math.NaN()
			}
			before = meter{last, energy, power}
			l.energy[s] = before
		}
		if before.at < oldest {
			return math.NaN()
		}
		sum += before.power
	}
	return sum
}
