package report

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// cell is one value of the summary for people. The zero value is an empty cell, which is not a missing value.
type cell struct {
	value units.Text
	from  sensors.Provenance
	// note is what helps to judge the value: a rate, a part of a whole.
	note string
	// spark is the course of the value over the run, nil where it is not shown.
	spark []float64
	unit  units.Unit
	// reason says why the value is missing, "" if nothing is said. absence is the ID of the absence that it comes down to.
	reason, absence string
}

func (c cell) missing() bool { return c.from == sensors.Missing }
func (c cell) empty() bool   { return c.from == "" }

// row is one line of the summary: what the command itself took, and what the whole machine did meanwhile.
type row struct {
	label string
	// depth is how far the row is indented below the one that it is a part of.
	depth            int
	command, machine cell
}

// line is the row of a metric of the catalogue, with its label and below its parent.
func line(name string, command, machine cell) row {
	d, _ := datamodel.Lookup(name)
	depth := 0
	for at := d; at.Parent != ""; depth++ {
		at, _ = datamodel.Lookup(at.Parent)
	}
	return row{d.Label, depth, command, machine}
}

// rows is the summary as people read it. A row of which nothing is known is in the list all the same.
func rows(r datamodel.Result) []row {
	s := summary(r)
	wall := s[datamodel.WallTime].Value
	show := func(name string) cell { return cellOf(s[name]) }
	// noted adds a note that is made of the value and the wall time, if both are known.
	noted := func(name string, note func(v float64) string) cell {
		c := cellOf(s[name])
		if !c.missing() && wall > 0 {
			c.note = note(s[name].Value)
		}
		return c
	}
	perSecond := func(name string) cell {
		return noted(name, func(v float64) string { return units.FormatRate(v/wall, s[name].Unit) })
	}
	// A course is drawn where the value stands on enough readings to have one, or does not say on how many.
	course := func(name, drawn string) cell {
		c := show(name)
		if n := s[name].Count; !c.missing() && (n == 0 || n > leastSpark) {
			c.spark = spark(r.Run, drawn)
		}
		return c
	}
	cpu, watts := course(datamodel.CPUUtilization, datamodel.SparkCPU), course(datamodel.Power, datamodel.SparkPower)
	// An estimate is shown with its range. Where none was asked for none is missing.
	guess := func(name string) cell {
		if !r.Run.Estimate {
			return cell{}
		}
		c, m := show(name), s[name]
		if !c.missing() {
			c.value = units.TextOf(m.Value, m.Unit)
			c.note = units.Format(m.Min, m.Unit) + " to " + units.Format(m.Max, m.Unit)
		}
		return c
	}
	memory := show(datamodel.PeakMemory)
	if total := r.Run.Host.Memory; total > 0 && !memory.missing() {
		memory.note = "of " + units.Format(float64(total), units.Byte)
		if most := r.Run.Host.Limits.Memory; most > 0 {
			memory.note = "of " + units.Format(float64(most), units.Byte) + " limit"
		}
	}
	out := []row{
		line(datamodel.WallTime, show(datamodel.WallTime), cell{}),
		line(datamodel.StoppedTime, stopped(r.Tree), cell{}),
		line(datamodel.CPUTime, noted(datamodel.CPUTime, func(v float64) string { return cpus(v/wall, r.Run.Host) }), cpu),
		line(datamodel.CPUUserTime, show(datamodel.CPUUserTime), cell{}),
		line(datamodel.CPUSystemTime, show(datamodel.CPUSystemTime), cell{}),
		line(datamodel.StealTime, cell{}, steal(r, wall)),
		line(datamodel.PeakMemory, memory, cell{}),
		line(datamodel.ProcessCount, atLeast(show(datamodel.ProcessCount)), forks(r.Tree, s[datamodel.ProcessCount].Value)),
		line(datamodel.DiskRead, perSecond(datamodel.DiskRead), cell{}),
		line(datamodel.DiskWrite, perSecond(datamodel.DiskWrite), cell{}),
		line(datamodel.NetworkReceive, cell{}, perSecond(datamodel.NetworkReceive)),
		line(datamodel.NetworkTransmit, cell{}, perSecond(datamodel.NetworkTransmit)),
	}
	out = append(out, energyRows(r, s, watts)...)
	out = append(out, line(datamodel.EstimatedEnergy, guess(datamodel.EstimatedTargetEnergy), guess(datamodel.EstimatedEnergy)))
	if !gpusSummed(s) {
		out = append(out, line(datamodel.GPUEnergy, part(s[datamodel.GPUTargetEnergy]), show(datamodel.GPUEnergy)))
	}
	return append(out, line(datamodel.GPUMemoryPeak, gpuMemory(r.Tree), show(datamodel.GPUMemoryPeak)))
}

// atLeast marks a sampled number as a lower bound: a process that lived between two beats was not seen. A count has no
// unit, so its number stands in the column of units, behind the sign.
func atLeast(c cell) cell {
	switch {
	case c.from != sensors.Sampled:
	case c.value.Unit == "":
		c.value = units.Text{Number: "≥", Unit: c.value.Number}
	default:
		c.value.Number = "≥ " + c.value.Number
	}
	return c
}

// gpuMemory is the most that the command's own processes were seen to hold. As forks it is no part of the summary.
func gpuMemory(n *datamodel.Node) cell {
	if n == nil {
		return cell{}
	}
	if target := n.Find(datamodel.DeviceLevel, "target"); target != nil {
		if m := settled(target.Metric(datamodel.GPUMemoryPeak)); m.Provenance != sensors.Missing && m.Value > 0 {
			return atLeast(cellOf(m))
		}
	}
	return cell{}
}

// forks is how many processes and threads were started on the whole machine at most: the number of the command's own is
// between what was seen of it and this. The command's first process is one of them, whose fork may have come before the
// first reading, while it was held back. It is no part of the summary, and not missing where it is not known, or less than the
// seen, of which a walk over processes may have counted one twice.
func forks(n *datamodel.Node, seen float64) cell {
	if n == nil {
		return cell{}
	}
	if n.Sensor != nil && n.Sensor.Use == sensors.Forks {
		m := settled(n.Metric(n.Sensor.Name))
		if m.Provenance == sensors.Missing {
			return cell{}
		}
		if m.Value++; m.Value < seen {
			return cell{}
		}
		c := cellOf(m)
		c.note = "started at most, threads included"
		return c
	}
	for _, child := range n.Children {
		if c := forks(child, seen); !c.empty() {
			return c
		}
	}
	return cell{}
}

// stopped is the part of the wall time in which the command was stopped; it is shown where there was any.
func stopped(n *datamodel.Node) cell {
	if n == nil {
		return cell{}
	}
	if n.Level == datamodel.DeviceLevel && n.Family == "target" {
		if m := settled(n.Metric(datamodel.StoppedTime)); m.Value > 0 {
			return cellOf(m)
		}
		return cell{}
	}
	for _, child := range n.Children {
		if c := stopped(child); !c.empty() {
			return c
		}
	}
	return cell{}
}

func cellOf(m datamodel.Metric) cell {
	return cell{
		value: units.TextUncertain(m.Value, m.Uncertainty, m.Unit), from: m.Provenance, unit: m.Unit,
		reason: printable(m.Reason), absence: m.Absence,
	}
}

// cpus shows how many processors were busy on average, of those that the command might use where that is not all.
func cpus(n float64, h datamodel.HostInfo) string {
	s := strconv.FormatFloat(n, 'f', 2, 64)
	if s == "0.00" && n > 0 {
		s = "<0.01"
	}
	most, _ := h.Limits.CPUs()
	switch {
	case most > 0:
		return s + " of " + strconv.FormatFloat(most, 'g', 3, 64) + map[bool]string{true: " CPU", false: " CPUs"}[most == 1]
	case s == "1.00":
		return s + " CPU"
	default:
		return s + " CPUs"
	}
}

// leastSteal is the least part of all CPU time that others must have been given for it to be shown.
const leastSteal = 0.01

// steal is the CPU time that a hypervisor gave to others; empty where it is little.
func steal(r datamodel.Result, wall float64) cell {
	if r.Tree == nil {
		return cell{}
	}
	host := r.Tree.First(datamodel.HostLevel)
	if host == nil {
		return cell{}
	}
	m := settled(host.Metric(datamodel.StealTime))
	part := m.Value / (wall * float64(r.Run.Host.CPUs))
	if !(part > leastSteal) || math.IsInf(part, 0) {
		return cell{}
	}
	c := cellOf(m)
	c.note = units.Format(part, units.Ratio) + " of all CPU time"
	return c
}

// known is the rows that have a value in at least one cell.
func known(all []row) []row {
	var out []row
	for _, r := range all {
		if has := func(c cell) bool { return !c.empty() && !c.missing() }; has(r.command) || has(r.machine) {
			out = append(out, r)
		}
	}
	return out
}

// gap is a value that is missing: what a person calls it, why it is missing, "" if nothing is said, and the absence that
// is the reason, "" for none.
type gap struct{ label, reason, absence string }

// lacking is the gap that a cell leaves.
func (c cell) lacking(label string) gap { return gap{label, c.reason, c.absence} }

// gaps lists what is missing. Where the machine's value is missing as well, the command's is not said apart, and where
// all values of a family are missing for one reason, the family is said once.
func gaps(all []row) []gap {
	var out []gap
	above := "" // the label of the row that indented ones are a part of
	for _, r := range all {
		label := r.label
		if r.depth == 0 {
			above = label
		} else {
			label = above + " " + label
		}
		command, machine := r.command.missing(), r.machine.missing()
		switch {
		case machine && (command || r.command.empty()):
			out = append(out, r.machine.lacking(label))
		case command && r.machine.empty():
			out = append(out, r.command.lacking(label))
		case machine:
			out = append(out, r.machine.lacking(label+" of the machine"))
		case command:
			out = append(out, r.command.lacking(label+" of the command"))
		}
	}
	for _, family := range [][]string{
		{"cpu", "cpu", "cpu user", "cpu system"},
		{"disk", "disk read", "disk write"},
		{"network", "network in", "network out"},
		{"gpu", "gpu energy", "gpu memory"},
	} {
		out = folded(out, family[0], family[1:])
	}
	return out
}

// folded is gs with one gap in place of those with the labels, which follow each other, if all are there for one reason.
func folded(gs []gap, family string, labels []string) []gap {
	at := slices.IndexFunc(gs, func(g gap) bool { return g.label == labels[0] })
	if at < 0 || at+len(labels) > len(gs) {
		return gs
	}
	for i, label := range labels {
		if g := gs[at+i]; g.label != label || g.reason != gs[at].reason {
			return gs
		}
	}
	gs[at].label = family
	return slices.Delete(gs, at+1, at+len(labels))
}

// byReason says the gaps in one line, those with the same reason together and the reason once.
func byReason(gs []gap) string {
	var reasons []string
	labels := make(map[string][]string)
	for _, g := range gs {
		if _, seen := labels[g.reason]; !seen {
			reasons = append(reasons, g.reason)
		}
		labels[g.reason] = append(labels[g.reason], g.label)
	}
	parts := make([]string, len(reasons))
	for i, reason := range reasons {
		parts[i] = strings.Join(labels[reason], ", ")
		if reason != "" {
			parts[i] += " (" + reason + ")"
		}
	}
	return strings.Join(parts, "; ")
}

// mark is the sign behind a value that is not the difference of a counter, and what it means.
func mark(p sensors.Provenance) (sign, meaning string) {
	switch p {
	case sensors.Sampled:
		return "~", "sampled"
	case sensors.Integrated:
		return "∫", "integrated"
	case sensors.Attributed:
		return "≈", "modelled share, ± of counters"
	case sensors.Estimated:
		return "?", "estimated, no sensor"
	case sensors.FromCounter, sensors.Missing:
	}
	return "", ""
}

// legend explains the marks that the rows show, and also those, and no others.
func legend(rs []row, also ...sensors.Provenance) string {
	used := make(map[sensors.Provenance]bool)
	for _, p := range also {
		used[p] = true
	}
	for _, r := range rs {
		used[r.command.from], used[r.machine.from] = true, true
	}
	var parts []string
	for _, p := range []sensors.Provenance{sensors.Sampled, sensors.Integrated, sensors.Attributed, sensors.Estimated} {
		if used[p] {
			sign, meaning := mark(p)
			parts = append(parts, sign+" "+meaning)
		}
	}
	return strings.Join(parts, "   ")
}

// verdict says how the run ended: "exit 0", "ended by SIGTERM", "not found".
func verdict(run datamodel.Run) string {
	var parts []string
	switch run.Outcome {
	case datamodel.Done, datamodel.TargetFailed:
	case datamodel.TimedOut:
		parts = append(parts, "time limit")
	case datamodel.ProfilerFailed:
		parts = append(parts, "ergon failed")
	default:
		parts = append(parts, strings.ReplaceAll(printable(string(run.Outcome)), "_", " "))
	}
	switch {
	case run.Signal != "":
		parts = append(parts, "ended by "+printable(run.Signal))
	case run.ExitCode != nil:
		parts = append(parts, "exit "+strconv.Itoa(*run.ExitCode))
	case len(parts) == 0:
		parts = append(parts, strings.ReplaceAll(string(run.Outcome), "_", " "))
	}
	return strings.Join(parts, ", ")
}

// why is the reason of an outcome that the exit code does not explain; else it is empty.
func why(run datamodel.Run) string {
	if run.Outcome == datamodel.Done || run.Outcome == datamodel.TargetFailed {
		return ""
	}
	return printable(run.Reason)
}

// replayed says of a run made from a tape that it was, and where what it shows comes from; else it is empty.
func replayed(run datamodel.Run) string {
	if run.Replayed == nil {
		return ""
	}
	s := "replayed from " + printable(run.Replayed.Tape) + ", measured " + run.Start.UTC().Format("2006-01-02 15:04:05 MST") +
		" by ergon " + printable(run.Version)
	if len(run.Replayed.LeftOut) > 0 {
		s += "; not on it: " + printable(strings.Join(run.Replayed.LeftOut, ", "))
	}
	return s
}

// size describes the size of the computer in a few words.
func size(h datamodel.HostInfo) string {
	var parts []string
	if h.CPUs > 0 {
		n := strconv.Itoa(h.CPUs) + " CPUs"
		if h.CPUs == 1 {
			n = "1 CPU"
		}
		parts = append(parts, n)
	}
	if h.Memory > 0 {
		parts = append(parts, units.Format(float64(h.Memory), units.Byte))
	}
	return strings.Join(parts, ", ")
}

// named is size with the host's name before it.
func named(h datamodel.HostInfo) string {
	return strings.Join(nonEmpty(printable(h.Name), size(h)), ", ")
}

// nonEmpty is the texts that say something.
func nonEmpty(texts ...string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

// leastRate is from how many seconds on ergon's own CPU time is shown as a share of the time.
const leastRate = 1

// own says what ergon itself took, and how many of its beats it missed.
func own(r datamodel.Result) string {
	s := summary(r)
	m, wall := s[datamodel.ProfilerCPUTime], s[datamodel.WallTime].Value
	var parts []string
	if !math.IsNaN(m.Value) {
		cost := units.Format(m.Value, units.Second) + " of CPU time"
		if sign, _ := mark(m.Provenance); sign != "" {
			cost += " " + sign
		}
		if wall >= leastRate { // of a shorter one it is mostly that of starting up
			cost += " (" + units.Format(m.Value/wall, units.Ratio) + " of one CPU)"
		}
		parts = append(parts, cost)
	}
	var read, missed int64
	for _, src := range r.Run.Sources {
		read, missed = read+src.Readings, missed+src.Missed
	}
	if missed > 0 {
		parts = append(parts, units.Format(float64(missed), units.Beats)+" of "+
			units.Format(float64(read+missed), units.Beats)+" beats missed")
	}
	return strings.Join(parts, ", ")
}

// warning is one warning in a line.
func warning(w datamodel.Warning) string {
	s := printable(w.Text)
	if w.Subject != "" && w.Subject != "run" {
		s = printable(w.Subject) + ": " + s
	}
	if w.Count > 1 {
		s += " (" + units.Format(float64(w.Count), "{time}") + " times)"
	}
	return s
}
