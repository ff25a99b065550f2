package datamodel

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// leastInterval and leastBusy are the least that an interval must have, in time and in busy time of all CPUs, for its
	// energy to be shared out by itself. /proc/stat counts in ticks: of a hundred, one too many or too few at either
	// end is a percent. Where little runs an interval is therefore longer, up to the whole run.
	leastInterval = 100 * tick
	leastBusy     = 100 * tick
)

// Derived is a course that nothing was read of: it follows from others by a model.
type Derived struct {
	Sensor sensors.Sensor
	// At and Values are as those of Series.Add.
	At     []time.Duration
	Values []float64
}

// Derive is the energy of the target, of all else and of idling as counters in J, of the processors and of each GPU, from the first reading of the
// machine's energy on, one value at each end of the intervals in which it was shared out. Their last values are
// target_energy, other_energy and idle_energy of the tree that Build makes of the same. What is not known is not there.
func Derive(in Input) []Derived {
	b := newBuilder(in)
	b.summary()
	gpus, _ := b.gpuDerived()
	return append(b.derived(), gpus...)
}

// ground is a part of the machine whose energy is shared out by what ran on it: a package with its memory, or all of it.
type ground struct {
	// energy is what counts its energy, busy the time its CPUs worked, used the target's time on them.
	energy, busy, used []*Series
}

// cell is what one ground took in one interval, in J, and how long its CPUs worked, in s: in all, and for the target.
type cell struct {
	energy, idle, target float64
	busy, used           float64
}

// division is how the energy was shared out.
type division struct {
	// edges are the ends of the intervals.
	edges []time.Duration
	// grounds is how many there are, cells those of the first interval, of the second, and so on.
	grounds int
	cells   []cell
	// isIdle is true where idle energy is known.
	isIdle bool
}

// divide shares out whole, the energy of the cover, of which so much is idle: 0 where that is not known.
func (b *builder) divide(t busyTime, used, whole, idle float64) division {
	grounds := b.grounds()
	d := division{edges: b.intervals(grounds), grounds: len(grounds)}
	if len(d.edges) == 2 && len(grounds) == 1 {
		d.cells = []cell{{energy: whole, busy: t.busy, used: used}}
	} else if !d.count(grounds) {
		d.grounds = 1
		d.edges = []time.Duration{d.edges[0], d.edges[len(d.edges)-1]}
		d.cells = []cell{{energy: whole, busy: t.busy, used: used}}
	}
	n := len(d.cells)
	energy, busy, profile, length := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for i, c := range d.cells {
		energy[i], busy[i], profile[i] = c.energy, c.busy, c.used
		k := i / d.grounds
		length[i] = float64(d.edges[k+1] - d.edges[k])
	}
	// The course of the target's CPU time may lack processes that lived between two readings. How long they ran in all
	// is known: they are taken to have come as the others did, and where these leave no room, to be what else was busy.
	for i, v := range filled(used, profile, busy) {
		d.cells[i].used = v
	}
	// Idling takes the same at any time, and never more than was measured.
	for i, v := range filled(idle, length, energy) {
		d.cells[i].idle = v
	}
	for i := range d.cells {
		c := &d.cells[i]
		c.target = min((c.energy-c.idle)*d.share(i, used/t.busy), c.energy-c.idle)
	}
	return d
}

// model is how the energy was shared out, in words: "busy CPU time, 2 s of 5 s", in how many intervals where there is
// more than one, and by package where that could be told.
func (d division) model(used, busy float64) string {
	what, all := "busy CPU time", ""
	if d.grounds > 1 {
		what, all = "each package's busy CPU time", " in all"
	}
	if n := len(d.edges) - 1; n > 1 {
		what, all = fmt.Sprintf("%s in each of %d intervals", what, n), " in all"
	}
	return what + ", " + ofBusy(used, busy) + all
}

// ofBusy is a part of the CPUs' busy time in words. The target's own time is exact and the machine's goes in ticks, so that of a
// short command it can be less than its part; that is then all of it.
func ofBusy(used, busy float64) string {
	if used > busy {
		return fmt.Sprintf("all of it: %.4g s, of which the ticks of the machine's counters saw %.4g s", used, busy)
	}
	return fmt.Sprintf("%.4g s of %.4g s", used, busy)
}

// share is the target's part of the energy of a cell: of the busy time there, of that of the whole machine in the
// interval where next to nothing ran there, and of that of the whole run where nothing ran at all.
func (d division) share(i int, ofRun float64) float64 {
	if c := d.cells[i]; c.busy >= enoughTicks*tick.Seconds() || d.grounds == 1 && c.busy > 0 {
		return c.used / c.busy
	}
	first := i - i%d.grounds
	var used, busy float64
	for _, c := range d.cells[first : first+d.grounds] {
		used, busy = used+c.used, busy+c.busy
	}
	if busy > 0 {
		return used / busy
	}
	return min(ofRun, 1)
}

// filled divides total in proportion to parts, none above its bound; what is too much for one goes to the others, by
// the room they have. The sum is total, or that of the bounds where that is less.
func filled(total float64, parts, bounds []float64) []float64 {
	out := make([]float64, len(parts))
	var all, most, sum float64
	for i := range parts {
		all, most = all+parts[i], most+bounds[i]
	}
	if total >= most {
		return append(out[:0], bounds...)
	}
	for i := range parts {
		if all > 0 {
			out[i] = min(total*(parts[i]/all), bounds[i])
		}
		sum += out[i]
	}
	if room := most - sum; room > 0 && total > sum {
		for i := range out {
			out[i] = min(out[i]+(total-sum)*((bounds[i]-out[i])/room), bounds[i])
		}
	}
	return out
}

// grounds is the packages, where for each of several the energy and the target's CPU time on its CPUs are counted, else
// the machine as a whole. Cores have counters of their own too (power_core), but the package has more in it than cores.
func (b *builder) grounds() []ground {
	whole := []ground{{energy: b.energy.cpu, busy: b.busy(""), used: b.all("target", "", "cpu_time")}}
	var names []string
	at := make(map[string]*ground)
	for _, s := range b.energy.cpu {
		name := socketPackage(s.sensor)
		g := at[name]
		if g == nil {
			g = &ground{used: b.all("target", name, "cpu_time")}
			if name == "" || len(g.used) == 0 {
				return whole
			}
			for _, o := range b.in.Series {
				if o.sensor.Family == "cpu" && o.sensor.Name == "user" && holds(g.used[0].sensor.CPUs, o.sensor.Device) {
					g.busy = append(g.busy, b.busy(o.sensor.Device)...)
				}
			}
			if len(g.busy) == 0 {
				return whole
			}
			at[name] = g
			names = append(names, name)
		}
		g.energy = append(g.energy, s)
	}
	if len(names) < 2 {
		return whole
	}
	var out []ground
	for _, name := range names {
		out = append(out, *at[name])
	}
	return out
}

// socketPackage is the package an energy counter of the processors' own belongs to, its memory's included; "" where it
// belongs to none.
func socketPackage(s sensors.Sensor) string {
	device, ofCPU := strings.CutPrefix(keyOf(s), "cpu/")
	name, _, _ := strings.Cut(device, "/")
	if !ofCPU || !isPackage(name) {
		return ""
	}
	name, _, _ = strings.Cut(name, "-die-")
	return name
}

// holds says whether a list of CPUs as the kernel writes it, "0-15,32-47", has the device in it, "cpu12".
func holds(list, device string) bool {
	digits, ok := strings.CutPrefix(device, "cpu")
	n, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil {
		return false
	}
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err := strconv.ParseUint(low, 10, 32)
		to, err2 := strconv.ParseUint(high, 10, 32)
		if err == nil && err2 == nil && from <= n && n <= to {
			return true
		}
	}
	return false
}

// busy is the counters of the time that a processor worked, of all processors for "".
func (b *builder) busy(device string) []*Series {
	var out []*Series
	for _, mode := range cpuModes() {
		if mode.busy {
			out = append(out, b.all("cpu", device, mode.name)...)
		}
	}
	return out
}

// all is the series of that sensor, at most one on one host.
func (b *builder) all(family, device, name string) []*Series {
	for i, s := range b.in.Series {
		if s.sensor.Family == family && s.sensor.Device == device && s.sensor.Name == name {
			return b.in.Series[i : i+1]
		}
	}
	return nil
}

// intervals is the ends of the intervals that energy is shared out in, from the first reading of the machine's energy to
// the last. There is only one where the course of any of the counters is not known well enough for more.
func (b *builder) intervals(grounds []ground) []time.Duration {
	from, to := b.energy.cpu[0].firstAt, b.energy.cpu[0].lastAt
	for _, s := range b.energy.cpu {
		from, to = min(from, s.firstAt), max(to, s.lastAt)
	}
	least, step := leastInterval, firstWidth
	for _, g := range grounds {
		for _, list := range [][]*Series{g.energy, g.busy, g.used} {
			if len(list) == 0 {
				return []time.Duration{from, to}
			}
			for _, s := range list {
				if s.strip.empty() || s.count < 2 {
					return []time.Duration{from, to}
				}
				least, step = max(least, (s.lastAt-s.firstAt)/time.Duration(s.count-1)), max(step, s.strip.resolution())
			}
		}
	}
	edges := []time.Duration{from}
	last, busy := from, 0.0
	for at := from; at < to; at += step {
		end := min(at+step, to)
		for _, g := range grounds {
			busy += amounts(g.busy, at, end)
		}
		if end-last >= least && busy >= leastBusy.Seconds() {
			edges, last, busy = append(edges, end), end, 0
		}
	}
	if last < to && len(edges) > 1 { // What is left of the run belongs to the interval before.
		edges = edges[:len(edges)-1]
	}
	if last < to || len(edges) == 1 {
		edges = append(edges, to)
	}
	return edges
}

// count fills the cells with the energy, the busy time and the profile of the target's; not ok where there is no course
// of one of them.
func (d *division) count(grounds []ground) bool {
	n := len(d.edges) - 1
	d.cells = make([]cell, n*len(grounds))
	var busy float64
	for g, ground := range grounds {
		var energies, blind []float64
		var energy, seen, unseen float64
		for _, s := range ground.energy {
			energy += s.energy().Value
		}
		for k := range n {
			from, to := d.edges[k], d.edges[k+1]
			c := &d.cells[k*len(grounds)+g]
			c.busy, c.used = amounts(ground.busy, from, to), amounts(ground.used, from, to)
			busy += c.busy
			v, bare := 0.0, 0.0
			for _, s := range ground.energy {
				amount, covered := s.amount(from, to)
				v, bare = v+amount, bare+max(0, float64(to-from)-covered)
			}
			energies, blind = append(energies, v), append(blind, bare)
			seen, unseen = seen+v, unseen+bare
		}
		// Where readings are missing the course of a gauge has a gap, which its energy bridges. Else the two are the same
		// but for rounding.
		rest := 0.0
		if unseen > 0 {
			rest = max(0, energy-seen)
		}
		if seen+rest <= 0 {
			return false
		}
		for k := range n {
			v := energies[k]
			if rest > 0 {
				v += rest * (blind[k] / unseen)
			}
			d.cells[k*len(grounds)+g].energy = v * (energy / (seen + rest))
		}
	}
	return busy > 0
}

func amounts(list []*Series, from, to time.Duration) float64 {
	sum := 0.0
	for _, s := range list {
		v, _ := s.amount(from, to)
		sum += v
	}
	return sum
}

// amount is by how much a counter rose from one time to another, or the integral of a gauge in Unit × s, and how many
// nanoseconds of that time it stands on.
func (s *Series) amount(from, to time.Duration) (v, covered float64) {
	start := s.strip.start
	v, covered = s.strip.between(float64(from-start), float64(to-start), float64(s.lastAt-start))
	if s.sensor.Kind != sensors.Counter {
		return v / 1e9, covered
	}
	if s.ofTarget && s.firstAt > s.from { // What it had counted when it was first read, it counted since the first row.
		if w := min(to, s.firstAt) - max(from, s.from); w > 0 {
			v += s.first * (float64(w) / float64(s.firstAt-s.from))
		}
	}
	return v, covered
}

// sums is what the cells of the first n intervals come to.
func (d division) sums(n int) (target, other, idle float64) {
	for _, c := range d.cells[:n*d.grounds] {
		target += c.target
		idle += c.idle
		other += max(0, c.energy-c.idle-c.target)
	}
	return target, other, idle
}

// derived is the courses of what the energy was shared out to.
func (b *builder) derived() []Derived {
	d := b.division
	if len(d.cells) == 0 {
		return nil
	}
	out := []Derived{
		{Sensor: b.derivedSensor("target", "target_energy", "energy that the target used, by its share of the busy CPU time")},
		{Sensor: b.derivedSensor("other", "other_energy", "energy that all else used, by its share of the busy CPU time")},
	}
	if d.isIdle {
		out = append(out, Derived{Sensor: b.derivedSensor("idle", "idle_energy", "energy that the machine would have taken idle")})
	}
	for n, at := range d.edges {
		target, other, idle := d.sums(n)
		for i, v := range []float64{target, other, idle}[:len(out)] {
			out[i].At, out[i].Values = append(out[i].At, at), append(out[i].Values, v)
		}
	}
	return out
}

func (b *builder) derivedSensor(family, metric, doc string) sensors.Sensor {
	return sensors.Sensor{
		ID: family + "/energy", Family: family, Name: "energy", Unit: units.Joule, Kind: sensors.Counter,
		Provenance: pick(b.shared, metric).Provenance, Source: pick(b.shared, metric).Source, Doc: doc,
	}
}
