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

// cell is one value of the summary for people. The zero value is an empty cell. An empty cell is not a missing value.
type cell struct {
	value units.Text
	from  sensors.Provenance
	// note helps to judge the value: a rate, a share of a whole.
	note string
	// spark is the course of the value over the run. It is nil if no course is shown.
	spark []float64
	unit  units.Unit
	// reason says why the value is missing. It may be "". absence is the ID of the absence that caused it, or "".
	reason, absence string
}

func (c cell) missing() bool { return c.from == sensors.Missing }
func (c cell) empty() bool   { return c.from == "" }

// row is one line of the summary: a value of the command, and a value of the whole machine at that time.
type row struct {
	label string
	// depth is the number of rows that contain this one, and so its indentation.
	depth            int
	command, machine cell
}

// line returns the row of a metric of the catalogue, with the metric's label and depth.
func line(name string, command, machine cell) row {
	d, _ := datamodel.Lookup(name)
	depth := 0
	for at := d; at.Parent != ""; depth++ {
		at, _ = datamodel.Lookup(at.Parent)
	}
	return row{d.Label, depth, command, machine}
}

// rows returns the summary for people. The list includes rows of which nothing is known.
func rows(r datamodel.Result) []row {
	s := summary(r)
	wall := s[datamodel.WallTime].Value
	show := func(name string) cell { return cellOf(s[name]) }
	// noted adds a note made from the value and the wall time, if both are known.
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
	// A course needs enough readings. A count of 0 means that their number is unknown.
	course := func(name, drawn string) cell {
		c := show(name)
		if n := s[name].Count; !c.missing() && (n == 0 || n > leastSpark) {
			c.spark = spark(r.Run, drawn)
		}
		return c
	}
	cpu, watts := course(datamodel.CPUUtilization, datamodel.SparkCPU), course(datamodel.Power, datamodel.SparkPower)
	// An estimate is shown with its range. If nobody asked for one, it is not missing.
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
	out := []row{
		line(datamodel.WallTime, show(datamodel.WallTime), cell{}),
		line(datamodel.StoppedTime, ofTarget(r.Tree, datamodel.StoppedTime), cell{}),
		line(datamodel.CPUTime, noted(datamodel.CPUTime, func(v float64) string { return cpus(v/wall, r.Run.Host) }), cpu),
		line(datamodel.CPUUserTime, show(datamodel.CPUUserTime), cell{}),
		line(datamodel.CPUSystemTime, show(datamodel.CPUSystemTime), cell{}),
		line(datamodel.StealTime, cell{}, steal(r, wall)),
		line(datamodel.PeakMemory, memory(r.Run.Host, s[datamodel.PeakMemory]), cell{}),
		charge(s[datamodel.PeakMemoryCharge]),
		line(datamodel.ProcessCount, show(datamodel.ProcessCount), forks(r.Tree, s[datamodel.ProcessCount].Value)),
		line(datamodel.DiskRead, perSecond(datamodel.DiskRead), cell{}),
		line(datamodel.DiskWrite, perSecond(datamodel.DiskWrite), disksBeside(r.Tree, s[datamodel.DiskWrite])),
		line(datamodel.NetworkReceive, ofTarget(r.Tree, datamodel.TargetNetworkReceive), perSecond(datamodel.NetworkReceive)),
		line(datamodel.NetworkTransmit, ofTarget(r.Tree, datamodel.TargetNetworkTransmit), perSecond(datamodel.NetworkTransmit)),
	}
	out = append(out, energyRows(r, s, watts)...)
	out = append(out, factorRows(r, s)...)
	out = append(out, line(datamodel.EstimatedEnergy, guess(datamodel.EstimatedTargetEnergy), guess(datamodel.EstimatedEnergy)))
	if !gpusSummed(s) {
		out = append(out, line(datamodel.GPUEnergy, part(s[datamodel.GPUTargetEnergy]), show(datamodel.GPUEnergy)))
	}
	return append(out, line(datamodel.GPUMemoryPeak, gpuMemory(r.Tree), show(datamodel.GPUMemoryPeak)))
}

// memory returns the peak memory, with the memory that there is.
func memory(h datamodel.HostInfo, m datamodel.Metric) cell {
	if c, ok := bound(m); ok {
		return c
	}
	c := cellOf(m)
	if h.Memory > 0 && !c.missing() {
		c.note = "of " + units.Format(float64(h.Memory), units.Byte)
		if most := h.Limits.Memory; most > 0 {
			c.note = "of " + units.Format(float64(most), units.Byte) + " limit"
		}
	}
	return c
}

// charge returns the row of the charge of the command's cgroup, which stands below the peak memory: it bounds that from
// above. Most commands have no cgroup, so a missing charge is not shown.
func charge(m datamodel.Metric) row {
	if m.Provenance == sensors.Missing {
		return row{}
	}
	out := line(datamodel.PeakMemoryCharge, cellOf(m), cell{})
	out.depth, out.command.note = 1, "with page cache"
	return out
}

// atLeast marks a sampled number as a lower bound: a process that lived between two beats was not seen.
func atLeast(m datamodel.Metric) datamodel.Metric {
	if m.Provenance == sensors.Sampled {
		m.Bound = datamodel.LowerBound
	}
	return m
}

// bounded returns a formatted value with the sign of its bound: "≥ 5.00".
func bounded(t units.Text, b datamodel.Bound) units.Text {
	switch {
	case t.Number == units.None:
	case b == datamodel.LowerBound:
		t.Number = "≥ " + t.Number
	case b == datamodel.UpperBound:
		t.Number = "≤ " + t.Number
	}
	return t
}

// textOf formats the value of a metric. A bound has no ±: its other side is open.
func textOf(m datamodel.Metric) units.Text {
	if m.Bound != "" {
		return bounded(units.TextOf(m.Value, m.Unit), m.Bound)
	}
	return units.TextUncertain(m.Value, m.Uncertainty, m.Unit)
}

// gpuMemory returns the largest GPU memory that the command's own processes were seen to hold. The summary does not have it.
func gpuMemory(n *datamodel.Node) cell {
	if n == nil {
		return cell{}
	}
	if target := n.Find(datamodel.DeviceLevel, "target"); target != nil {
		if m := settled(target.Metric(datamodel.GPUMemoryPeak)); m.Provenance != sensors.Missing && m.Value > 0 {
			return cellOf(atLeast(m))
		}
	}
	return cell{}
}

// forks returns an upper bound for the processes and threads that were started on the machine. The number of the command's
// processes lies between seen and this bound. The bound includes the command's first process, which may have been forked
// before the first reading. The summary does not have this value, so the cell is empty if it is unknown. The cell is also
// empty if the bound is below seen: a walk over processes may have counted one twice.
func forks(n *datamodel.Node, seen float64) cell {
	if n == nil {
		return cell{}
	}
	if gives(n, "cpu", "forks") {
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

// ofTarget returns a figure of the command that is not in the summary, such as the time in which it was stopped. The cell is
// empty unless the figure is above 0.
func ofTarget(n *datamodel.Node, name string) cell {
	if n == nil {
		return cell{}
	}
	if n.Level == datamodel.DeviceLevel && n.Family == "target" {
		if m := settled(n.Metric(name)); m.Value > 0 {
			return cellOf(m)
		}
		return cell{}
	}
	for _, child := range n.Children {
		if c := ofTarget(child, name); !c.empty() {
			return c
		}
	}
	return cell{}
}

func cellOf(m datamodel.Metric) cell {
	return cell{
		value: textOf(m), from: m.Provenance, unit: m.Unit,
		reason: printable(m.Reason), absence: m.Absence,
	}
}

// cpus formats how many CPUs the command kept busy on average. If the command has a limit, the text includes it.
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

// leastSteal is the smallest share of all CPU time from which steal time is shown.
const leastSteal = 0.01

// steal returns the CPU time that a hypervisor gave to others. The cell is empty if it is below leastSteal.
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

// disksBeside returns what all disks wrote, if the command's figure is only an upper bound. Otherwise the cell is empty.
func disksBeside(n *datamodel.Node, command datamodel.Metric) cell {
	if n == nil || command.Bound != datamodel.UpperBound {
		return cell{}
	}
	var parts []datamodel.Metric
	var add func(*datamodel.Node)
	add = func(n *datamodel.Node) {
		if gives(n, "disk", "written") {
			if m := settled(n.Metric(n.Sensor.Name)); m.Provenance != sensors.Missing {
				parts = append(parts, m)
			}
		}
		for _, child := range n.Children {
			add(child)
		}
	}
	add(n)
	if len(parts) == 0 {
		return cell{}
	}
	return cellOf(datamodel.Total(datamodel.DiskWrite, units.Byte, parts, "all disks"))
}

// known returns the rows that have a value in at least one cell.
func known(all []row) []row {
	var out []row
	for _, r := range all {
		if has := func(c cell) bool { return !c.empty() && !c.missing() }; has(r.command) || has(r.machine) {
			out = append(out, r)
		}
	}
	return out
}

// gap is a missing value: its label, the reason why it is missing, and the ID of the absence that caused it. The reason and
// the ID may be "".
type gap struct{ label, reason, absence string }

// lacking returns the gap of a missing cell.
func (c cell) lacking(label string) gap { return gap{label, c.reason, c.absence} }

// gaps returns the missing values of the rows. If both cells of a row are missing, the row gives one gap. If all values of a
// family are missing for the same reason, the family gives one gap.
func gaps(all []row) []gap {
	var out []gap
	above := "" // the label of the row that contains the indented ones
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

// folded replaces the gaps with these labels by one gap with the label family. It does so only if they follow each other
// and have the same reason.
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

// byReason formats the gaps in one line. Gaps with the same reason stand together, followed by the reason.
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

// mark returns the sign that follows a value of this provenance, and its meaning. Counters and missing values have none.
func mark(p sensors.Provenance) (sign, meaning string) {
	switch p {
	case sensors.Sampled:
		return "~", "sampled"
	case sensors.Integrated:
		return "∫", "integrated"
	case sensors.Attributed:
		return "≈", "modelled share"
	case sensors.Estimated:
		return "?", "estimated, no sensor"
	case sensors.FromCounter, sensors.Missing:
	}
	return "", ""
}

// legend explains the marks that occur in the rows or in also.
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

// verdict returns how the run ended: "exit 0", "ended by SIGTERM", "not found".
func verdict(run datamodel.Run) string {
	var parts []string
	switch run.Outcome {
	case datamodel.Done, datamodel.TargetFailed:
	case datamodel.TimedOut:
		parts = append(parts, "time limit")
	case datamodel.OverBudget:
		parts = append(parts, "over budget")
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

// why returns the reason of an outcome that the exit code does not explain. For other outcomes it is empty.
func why(run datamodel.Run) string {
	if run.Outcome == datamodel.Done || run.Outcome == datamodel.TargetFailed || run.Outcome == datamodel.OverBudget { // the budgets say it
		return ""
	}
	return printable(run.Reason)
}

// replayed describes the tape from which the run was made. It is empty for a measured run.
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

// size returns the number of CPUs and the memory of the machine: "8 CPUs, 15.6 GiB".
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

// named returns size with the host's name before it.
func named(h datamodel.HostInfo) string {
	return strings.Join(nonEmpty(printable(h.Name), size(h)), ", ")
}

// nonEmpty returns the texts that are not empty.
func nonEmpty(texts ...string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

// leastRate is the wall time in s from which ergon's own CPU time is also shown as a share of it.
const leastRate = 1

// own returns the CPU time of ergon itself, and the number of beats that it missed.
func own(r datamodel.Result) string {
	s := summary(r)
	m, wall := s[datamodel.ProfilerCPUTime], s[datamodel.WallTime].Value
	var parts []string
	if !math.IsNaN(m.Value) {
		cost := units.Format(m.Value, units.Second) + " of CPU time"
		if sign, _ := mark(m.Provenance); sign != "" {
			cost += " " + sign
		}
		if wall >= leastRate { // in a shorter run it is mostly the start-up
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

// warning formats one warning as a line.
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

// gives reports whether a node is the sensor of a family that gives a quantity.
func gives(n *datamodel.Node, family, name string) bool {
	return n.Sensor != nil && n.Sensor.Family == family && n.Sensor.Name == name
}
