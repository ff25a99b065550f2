package account

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
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

// share is a course of what an energy was shared out to, and the metric that it comes to.
type share struct {
	datamodel.Course
	metric datamodel.Metric
}

// courses is the courses of shares.
func courses(shares []share) []datamodel.Course {
	var out []datamodel.Course
	for _, s := range shares {
		out = append(out, s.Course)
	}
	return out
}

// ground is a part of the machine whose energy is shared out by what ran on it: a package with its memory, or all of it.
type ground struct {
	// energy is what counts its energy, busy the time its CPUs worked, used the target's time on them.
	energy, busy, used []*series.Series
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
func (h *host) divide(t busyTime, used, whole, idle float64) division {
	grounds := h.grounds()
	d := division{edges: h.intervals(grounds), grounds: len(grounds)}
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
func (h *host) grounds() []ground {
	whole := []ground{{energy: h.energy.cpu, busy: h.busy(""), used: h.of(sensors.TargetCPU, "")}}
	var order []int
	at := make(map[int]*ground) // by socket
	for _, s := range h.energy.cpu {
		d := s.Sensor().Domain
		if d.Kind != sensors.PackageDomain && d.Kind != sensors.DRAMDomain {
			return whole
		}
		g := at[d.Socket]
		if g == nil {
			g = &ground{used: h.usedOn(d.Socket)}
			if len(g.used) == 0 {
				return whole
			}
			for _, o := range h.every(sensors.CPUUser) {
				if n := o.Sensor().CPUs; n != "" && holds(g.used[0].Sensor().CPUs, n) {
					g.busy = append(g.busy, h.busy(n)...)
				}
			}
			if len(g.busy) == 0 {
				return whole
			}
			at[d.Socket] = g
			order = append(order, d.Socket)
		}
		g.energy = append(g.energy, s)
	}
	if len(order) < 2 {
		return whole
	}
	var out []ground
	for _, socket := range order {
		out = append(out, *at[socket])
	}
	return out
}

// usedOn is the series of the target's CPU time on the package of a socket, none or one.
func (h *host) usedOn(socket int) []*series.Series {
	for _, s := range h.every(sensors.TargetPackageCPU) {
		if s.Sensor().Domain.Socket == socket {
			return []*series.Series{s}
		}
	}
	return nil
}

// holds says whether a list of CPUs as the kernel writes it, "0-15,32-47", has the CPU of that number in it.
func holds(list, number string) bool {
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
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

// busy is the counters of the time that the processor of that number worked, of all processors for "".
func (h *host) busy(cpu string) []*series.Series {
	var out []*series.Series
	for _, mode := range cpuModes() {
		if mode.busy {
			out = append(out, h.of(mode.use, cpu)...)
		}
	}
	return out
}

// of is the series of that use and processor, of all processors for "": none or one.
func (h *host) of(use sensors.Use, cpu string) []*series.Series {
	for _, s := range h.every(use) {
		if s.Sensor().CPUs == cpu {
			return []*series.Series{s}
		}
	}
	return nil
}

// intervals is the ends of the intervals that energy is shared out in, from the first reading of the machine's energy to
// the last. There is only one where the course of any of the counters is not known well enough for more.
func (h *host) intervals(grounds []ground) []time.Duration {
	from, to := ends(h.energy.cpu[0])[0], ends(h.energy.cpu[0])[1]
	for _, s := range h.energy.cpu {
		from, to = min(from, ends(s)[0]), max(to, ends(s)[1])
	}
	least, step := leastInterval, series.FirstStep
	for _, g := range grounds {
		for _, list := range [][]*series.Series{g.energy, g.busy, g.used} {
			if len(list) == 0 {
				return []time.Duration{from, to}
			}
			for _, s := range list {
				if !s.HasCourse() || s.Count() < 2 {
					return []time.Duration{from, to}
				}
				least, step = max(least, s.Span()/time.Duration(s.Count()-1)), max(step, s.Step())
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
			energy += s.Energy().Value
		}
		for k := range n {
			from, to := d.edges[k], d.edges[k+1]
			c := &d.cells[k*len(grounds)+g]
			c.busy, c.used = amounts(ground.busy, from, to), amounts(ground.used, from, to)
			busy += c.busy
			v, bare := 0.0, 0.0
			for _, s := range ground.energy {
				amount, covered := s.Amount(from, to)
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

func amounts(list []*series.Series, from, to time.Duration) float64 {
	sum := 0.0
	for _, s := range list {
		v, _ := s.Amount(from, to)
		sum += v
	}
	return sum
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

// shares is what the energy of the CPUs was shared out to over time: to the target, to others, and idle if that is known.
func (c cpuShares) shares() []share {
	if len(c.division.cells) == 0 {
		return nil
	}
	of := func(family string, m datamodel.Metric, doc string) share {
		return share{metric: m, Course: datamodel.Course{Sensor: sensors.Sensor{
			ID: family + "/energy", Family: family, Name: datamodel.Energy, Unit: units.Joule, Kind: sensors.Counter,
			Provenance: m.Provenance, Source: m.Source, Doc: doc,
		}}}
	}
	out := []share{
		of("target", c.target, "energy that the target used, by its share of the busy CPU time"),
		of("other", c.other, "energy that all else used, by its share of the busy CPU time"),
	}
	if c.division.isIdle {
		out = append(out, of("idle", c.idle, "energy that the machine would have taken idle"))
	}
	return c.division.fill(out)
}

// fill gives the courses of target, other and maybe idle their values.
func (d division) fill(shares []share) []share {
	for n, at := range d.edges {
		target, other, idle := d.sums(n)
		for i, v := range []float64{target, other, idle}[:len(shares)] {
			c := &shares[i]
			c.At, c.Values = append(c.At, at), append(c.Values, v)
		}
	}
	return shares
}
