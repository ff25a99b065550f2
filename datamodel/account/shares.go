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
	// leastInterval and leastBusy are the shortest interval that is shared out by itself, in time and in busy time of
	// all CPUs. The times in /proc/stat count in ticks. With a hundred ticks, an error of one at either end is one
	// percent. If little runs, an interval is therefore longer, up to the whole run.
	leastInterval = 100 * tick
	leastBusy     = 100 * tick
)

// share is one recipient's part of an energy: what it is, as a sensor that nobody reads, and the metric of its total.
type share struct {
	sensor sensors.Sensor
	metric datamodel.Metric
}

// ground is a part of the machine whose energy is shared out by what ran on it. It is a package with its memory, or the
// whole machine.
type ground struct {
	// energy counts its energy. busy is the time its CPUs worked. used is the target's time on them.
	energy, busy, used []*series.Series
}

// cell is the energy of one ground in one interval, in J. busy is the time its CPUs worked, and used is the target's
// part of it, in s.
type cell struct {
	energy, idle, target float64
	busy, used           float64
}

// division is how an energy was shared out.
type division struct {
	// edges are the ends of the intervals.
	edges []time.Duration
	// on holds the grounds, and grounds is their number. cells holds the cells of the first interval, then of the second,
	// and so on.
	on      []ground
	grounds int
	cells   []cell
	// isIdle is true if the idle energy is known.
	isIdle bool
}

// divide shares out whole, the energy of the cover, in J. idle is its idle part, 0 if unknown. used is the target's CPU
// time in s.
func (h *host) divide(t busyTime, used, whole, idle float64) division {
	grounds := h.grounds()
	d := division{edges: h.intervals(grounds), on: grounds, grounds: len(grounds)}
	if len(d.edges) == 2 && len(grounds) == 1 {
		d.cells = []cell{{energy: whole, busy: t.busy, used: used}}
	} else if !d.count(grounds) {
		d.on, d.grounds = []ground{{energy: h.energy.cpu}}, 1
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
	// The course of the target's CPU time may lack processes that lived between two readings. Their total time is
	// known. It is assumed to be spread over time like the other processes' time. If that exceeds the busy time of an
	// interval, the rest goes to other intervals with busy time to spare.
	for i, v := range filled(used, profile, busy) {
		d.cells[i].used = v
	}
	// Idle power is constant over time, and never above what was measured.
	for i, v := range filled(idle, length, energy) {
		d.cells[i].idle = v
	}
	for i := range d.cells {
		c := &d.cells[i]
		c.target = min((c.energy-c.idle)*d.share(i, used/t.busy), c.energy-c.idle)
	}
	return d
}

// model describes how the energy was shared out: "busy CPU time, 2 s of 5 s". It gives the number of intervals if there
// are several, and names the packages if they were told apart.
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

// ofBusy describes a part of the CPUs' busy time. The target's own time is exact, but the machine's time counts in
// ticks. So for a short command the busy time can be less than the target's part. The target's part is then all of it.
func ofBusy(used, busy float64) string {
	if used > busy {
		return fmt.Sprintf("all of it: %.4g s, but the ticks of the machine's counters saw only %.4g s", used, busy)
	}
	return fmt.Sprintf("%.4g s of %.4g s", used, busy)
}

// share returns the target's part of the energy of a cell. It is the target's part of the busy time there. If almost
// nothing ran there, it is the target's part on the whole machine in that interval. If nothing ran in the interval, it
// is the target's part of the whole run.
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

// filled divides total in proportion to parts, with no part above its bound. What exceeds one bound goes to the others,
// in proportion to their room. The sum is total, or the sum of the bounds if that is less.
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

// grounds returns the packages if there are several, and each has counted energy and counted CPU time of the target on
// its CPUs. Otherwise it returns the machine as a whole. Cores have their own counters too (power_core), but a package
// contains more than its cores.
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

// usedOn returns the series of the target's CPU time on the package of a socket: none or one.
func (h *host) usedOn(socket int) []*series.Series {
	for _, s := range h.every(sensors.TargetPackageCPU) {
		if s.Sensor().Domain.Socket == socket {
			return []*series.Series{s}
		}
	}
	return nil
}

// holds reports whether a list of CPUs, as the kernel writes it ("0-15,32-47"), contains the CPU with this number.
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

// busy returns the counters of the time that the processor with this number worked. "" means all processors together.
func (h *host) busy(cpu string) []*series.Series {
	var out []*series.Series
	for _, mode := range cpuModes() {
		if mode.busy {
			out = append(out, h.of(mode.use, cpu)...)
		}
	}
	return out
}

// of returns the series with this use and processor: none or one. "" means all processors together.
func (h *host) of(use sensors.Use, cpu string) []*series.Series {
	for _, s := range h.every(use) {
		if s.Sensor().CPUs == cpu {
			return []*series.Series{s}
		}
	}
	return nil
}

// intervals returns the ends of the intervals that energy is shared out in, from the first to the last reading of the
// machine's energy. There is only one interval if the course of any counter is too coarse for more.
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
	if last < to && len(edges) > 1 { // The rest of the run belongs to the interval before.
		edges = edges[:len(edges)-1]
	}
	if last < to || len(edges) == 1 {
		edges = append(edges, to)
	}
	return edges
}

// count fills the cells with the energy, the busy time and the profile of the target's time. It returns false if one of
// them has no course.
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
		// If readings are missing, the course of a gauge has a gap, which its energy bridges. Otherwise the two differ
		// only by rounding.
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

// sums returns the totals over the cells of the first n intervals, in J.
func (d division) sums(n int) (target, other, idle float64) {
	for _, c := range d.cells[:n*d.grounds] {
		target += c.target
		idle += c.idle
		other += max(0, c.energy-c.idle-c.target)
	}
	return target, other, idle
}

// shares returns the shares of the CPUs' energy: the target's, others', and idle if that is known.
func (c cpuShares) shares() []share {
	if len(c.division.cells) == 0 {
		return nil
	}
	of := func(family string, m datamodel.Metric, doc string) share {
		return share{metric: m, sensor: sensors.Sensor{
			ID: family + "/energy", Family: family, Name: datamodel.Energy, Unit: units.Joule, Kind: sensors.Counter,
			Provenance: m.Provenance, Source: m.Source, Doc: doc,
		}}
	}
	out := []share{
		of("target", c.target, "energy of the target, by its share of the busy CPU time"),
		of("other", c.other, "energy of everything else, by its share of the busy CPU time"),
	}
	if c.division.isIdle {
		out = append(out, of("idle", c.idle, "energy that the machine would have used at idle"))
	}
	return out
}

// isCourse reports whether there are enough intervals to show a share over time.
func (d division) isCourse() bool { return len(d.edges) > leastReadings }
