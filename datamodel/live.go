package datamodel

import (
	"math"
	"time"
)

// Now is what the readings of a run say of the moment. A value that is not known is NaN.
type Now struct {
	// Power is that of the machine's measured parts, GPUs included, in watts.
	Power float64
	// CPU is the busy share of all CPUs of the machine, from 0 to 1.
	CPU float64
	// Memory is what the command's tree holds, in bytes.
	Memory float64
}

// Live tells what the series of a run come to between two calls of Now. It has no arithmetic of its own: it asks what the
// result is made of, twice, and takes the difference.
type Live struct {
	energy map[*Series]meter
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
// The readings of series go on from call to call.
func (l *Live) Now(series []*Series, oldest time.Duration) Now {
	b := &builder{in: Input{Series: series}}
	now := Now{Power: l.power(series, oldest), CPU: l.utilization(b, oldest), Memory: math.NaN()}
	if s := b.find("target", "memory"); s != nil && s.count > 0 && s.lastAt >= oldest {
		now.Memory = s.last
	}
	return now
}

// utilization is the busy share of the machine's CPUs.
func (l *Live) utilization(b *builder, oldest time.Duration) float64 {
	t := b.machineCPU()
	if t.reason != "" {
		return math.NaN()
	}
	if t.total > l.all {
		l.cpu = (t.busy - l.busy) / (t.total - l.all)
		l.busy, l.all, l.cpuAt = t.busy, t.total, b.find("cpu", "idle").lastAt
	}
	if l.cpuAt < oldest {
		return math.NaN()
	}
	return l.cpu
}

// power sums the powers of what makes up the machine's energy. It is NaN if one of them is not known.
func (l *Live) power(series []*Series, oldest time.Duration) float64 {
	if l.energy == nil {
		l.energy = make(map[*Series]meter)
	}
	summed := chooseEnergy(series).summed()
	if len(summed) == 0 {
		return math.NaN()
	}
	sum := 0.0
	for _, s := range summed {
		before, ok := l.energy[s]
		if !ok {
			before = meter{at: s.firstAt, power: math.NaN()}
		}
		if s.lastAt > before.at {
			energy := s.energy().Value
			power := (energy - before.energy) / (s.lastAt - before.at).Seconds()
			if power < 0 { // a wrap was taken back that was none
				power = math.NaN()
			}
			before = meter{s.lastAt, energy, power}
			l.energy[s] = before
		}
		if before.at < oldest {
			return math.NaN()
		}
		sum += before.power
	}
	return sum
}
