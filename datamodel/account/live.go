package account

import (
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
)

// Live computes the current figures of a run between two calls of Now. It has no arithmetic of its own. It evaluates
// the same functions as the result, twice, and takes the difference.
type Live struct {
	energy map[*series.Series]meter
	// busy and all are the CPUs' times at the last call, in s. cpuAt is the time of that reading.
	busy, all float64
	cpuAt     time.Duration
	cpu       float64
}

// meter is the progress of one series' energy.
type meter struct {
	at     time.Duration // of its last reading
	energy float64       // in J, since its first reading
	power  float64       // in W, over the time before at; NaN if unknown
}

// Now returns the figures for the time since the last call, or since the beginning at the first call. A figure without
// a new reading keeps its value until its last reading is older than oldest, on the clock of the readings. Then it is
// NaN. The readings in list must continue from call to call.
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

// utilization returns the busy share of the machine's CPUs, 0 to 1.
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

// power returns the sum of the powers that make up the machine's energy, in W. It returns NaN if one of them is
// unknown.
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
		energy := s.Energy().Value
		if s.Stands() { // its energy so far is known, but not its power
			return math.NaN()
		}
		if last > before.at && !(energy == before.energy && s.Sensor().Kind == sensors.Counter) {
			power := (energy - before.energy) / (last - before.at).Seconds()
			if power < 0 { // a wrap that was not one was undone
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
