package datamodel

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// tick is the step of the times in /proc/stat (USER_HZ, 100 a second wherever Linux runs).
	tick = 10 * time.Millisecond
	// enoughTicks is how many must pass before a share made of them is worth saying: with 5 it is known to a fifth.
	enoughTicks = 5
	// raplStep is how often the RAPL counters move, where their sensor does not say so itself.
	raplStep = time.Millisecond
	// enoughUpdates of a counter, and enoughTime, must pass before the steps in which it moves no longer matter.
	enoughUpdates = 10
	enoughTime    = 20 * time.Millisecond
)

// summary is the metrics of the run in the order of the catalogue.
func (b *builder) summary() []Metric {
	of := make(map[string]Metric)
	for _, m := range slices.Concat(b.times(), b.sizes(), b.network(), b.energies()) {
		of[m.Name] = m
	}
	busy := b.machineCPU()
	of["cpu_utilization"] = busy.utilization()
	for _, m := range b.estimates(busy, of["cpu_time"]) {
		of[m.Name] = m
	}
	b.shared = b.attribution(busy, of["cpu_time"])
	for _, m := range append(slices.Clip(b.shared), b.gpuAttribution(of["gpu_energy"])) {
		of[m.Name] = m
	}
	of["net_energy"] = b.net(of["energy"], of["idle_energy"])
	of["profiler_cpu_time"] = b.profilerTime()
	of["cpu_limit_utilization"] = b.limitUtilization(of["cpu_time"])
	b.interference(busy, of)
	b.doubtContainer()
	fields := Summary()
	out := make([]Metric, len(fields))
	for i, f := range fields {
		m, ok := of[f.Name]
		if !ok {
			m = Missing(f.Name, f.Unit, "not measured")
		}
		out[i] = m
	}
	return out
}

func (b *builder) wall() (float64, bool) {
	if v, ok := have(b.in.Ledger.WallTime); ok {
		return v, true
	}
	return have(b.in.Run.WallTime)
}

func (b *builder) times() []Metric {
	wall := Missing("wall_time", units.Second, "the end of the command was not seen")
	if v, ok := b.wall(); ok {
		wall = Value("wall_time", v, units.Second, "delta", sensors.FromCounter, "monotonic clock")
	}
	waited := b.waited()
	total := b.trueToRusage(b.cpuTime(waited), waited)
	return append([]Metric{wall, total}, b.modes(total, waited)...)
}

// modeTimes are CPU times in s and where they are from; NaN where they are not known.
type modeTimes struct {
	total, user, system float64
	source              string
}

// waited is what wait4 said of the target and, where the runner reaps them, of its orphans.
func (b *builder) waited() modeTimes {
	l := b.in.Ledger
	user, hasUser := have(l.UserTime)
	system, hasSystem := have(l.SystemTime)
	if !hasUser || !hasSystem {
		return modeTimes{math.NaN(), math.NaN(), math.NaN(), fromWait}
	}
	t := modeTimes{user + system, user, system, fromWait}
	if orphans, ok := have(l.OrphansTime); ok {
		t.total += orphans
		t.source = "wait4, of the target and all its descendants that were waited for, orphans by ergon"
		if user, ok := have(l.OrphansUserTime); ok {
			t.user += user
			t.system += orphans - user
		}
	}
	return t
}

// accounting is how the target's sensor gets its CPU time.
type accounting uint8

const (
	// byWalk: what the sampler saw of the processes alive at its beats.
	byWalk accounting = iota
	// byPerf: an inherited task-clock, which misses a little of every process's start and end.
	byPerf
	// byGroup: the target's own cgroup, which nothing leaves without asking.
	byGroup
)

// accountingOf tells how the target's sensor gets its CPU time by its Source; a walk calls itself sampled.
func accountingOf(s sensors.Sensor) accounting {
	source := strings.ToLower(s.Source)
	switch {
	case s.Origin() != sensors.FromCounter:
		return byWalk
	case strings.Contains(source, "cgroup"), strings.Contains(source, "cpuacct"), strings.Contains(source, "cpu.stat"):
		return byGroup
	case strings.Contains(source, "perf"):
		return byPerf
	}
	return byWalk
}

// cpuTime is the best of what the ledger and the target's sensor know of the CPU time: a cgroup, else perf, else rusage,
// else a walk over the processes.
func (b *builder) cpuTime(waited modeTimes) Metric {
	const name = "cpu_time"
	l := b.in.Ledger
	read, how := b.targetTime(name, name)
	isRead := read.Reason == ""
	if v, ok := have(l.GroupTime); ok {
		return Value(name, v, units.Second, "delta", sensors.FromCounter, orElse(l.GroupTimeSource, "cgroup"))
	}
	if isRead && how == byGroup {
		return read
	}
	if v, ok := have(l.PerfTime); ok {
		return Value(name, v, units.Second, "delta", sensors.FromCounter, "perf task-clock")
	}
	if isRead && how == byPerf {
		return read
	}
	// Both are lower bounds. The walk sees more only where much was done by processes that nobody has waited for yet.
	if !math.IsNaN(waited.total) && !(isRead && waited.total < 0.95*read.Value && read.Value-waited.total > 0.010) {
		return Value(name, waited.total, units.Second, "delta", sensors.FromCounter, waited.source)
	}
	return read
}

// targetTime is what a sensor of the target says of a CPU time, and how it knows.
func (b *builder) targetTime(name, sensor string) (Metric, accounting) {
	s := b.find("target", sensor)
	if s == nil {
		return Missing(name, units.Second, b.whyMissing("target", "target/"+sensor)), byWalk
	}
	m := s.Metrics()[0]
	m.Name = name
	return m, accountingOf(s.sensor)
}

// trueToRusage is the CPU time that was chosen or, where that is less, what rusage says: that is a lower bound, as a
// process that was waited for did use that time. perf does not see the exits, which makes one part in ten of a tree of
// short processes. Where it is well below, that is told: a process may have moved itself to another cgroup.
func (b *builder) trueToRusage(chosen Metric, waited modeTimes) Metric {
	if chosen.Reason != "" || math.IsNaN(waited.total) || chosen.Value >= waited.total {
		return chosen
	}
	if chosen.Value < 0.95*waited.total && waited.total-chosen.Value > 0.010 {
		b.warn("target/cpu_time", "%s gave %.4g s of CPU time, less than the %.4g s of the processes waited for, "+
			"which are given instead", chosen.Source, chosen.Value, waited.total)
	}
	return Value(chosen.Name, waited.total, units.Second, "delta", sensors.FromCounter, waited.source)
}

// modes is the CPU time in user mode and in the kernel, by the best source of which the two come to the whole, or nearly:
// wait4 does not know what nobody waited for, nor the walk what ended between its looks, and that would be in neither.
func (b *builder) modes(whole Metric, waited modeTimes) []Metric {
	const user, system = "cpu_user_time", "cpu_system_time"
	l := b.in.Ledger
	ofLedger := func(userTime, systemTime float64, source string) []Metric {
		return []Metric{
			Value(user, userTime, units.Second, "delta", sensors.FromCounter, source),
			Value(system, systemTime, units.Second, "delta", sensors.FromCounter, source),
		}
	}
	var known [][]Metric // from the best to the worst
	groupUser, hasUser := have(l.GroupUserTime)
	groupSystem, hasSystem := have(l.GroupSystemTime)
	if hasUser && hasSystem {
		known = append(known, ofLedger(groupUser, groupSystem, orElse(l.GroupTimeSource, "cgroup")))
	}
	readUser, how := b.targetTime(user, "user_time")
	readSystem, _ := b.targetTime(system, "system_time")
	read := []Metric{readUser, readSystem}
	isRead := readUser.Reason == "" && readSystem.Reason == ""
	if isRead && how == byGroup {
		known = append(known, read)
	}
	if !math.IsNaN(waited.total) {
		known = append(known, ofLedger(waited.user, waited.system, waited.source))
	}
	if isRead && how != byGroup {
		known = append(known, read)
	}
	if len(known) == 0 {
		return read
	}
	for _, pair := range known {
		if math.Abs(pair[0].Value+pair[1].Value-whole.Value) <= max(0.05*whole.Value, 0.0001) {
			return pair
		}
	}
	reason := whole.Reason
	if reason == "" {
		best := known[0]
		reason = fmt.Sprintf("user and system come to %.3g s by %s, where %.3g s were used",
			best[0].Value+best[1].Value, best[0].Source, whole.Value)
	}
	return []Metric{Missing(user, units.Second, reason), Missing(system, units.Second, reason)}
}

func (b *builder) sizes() []Metric {
	l := b.in.Ledger
	processes := b.ledgerOr("processes", units.Processes, nil, "", "", "processes_ever")
	return []Metric{
		b.peakMemory(),
		processes,
		b.ledgerOr("disk_read", units.Byte, l.ReadBytes, "delta", fromIO, "read"),
		b.ledgerOr("disk_write", units.Byte, l.WriteBytes, "delta", fromIO, "written"),
		b.gpuMemory(),
	}
}

// peakMemory is the memory controller's mark where there is one. Otherwise it is the greater of two lower bounds: the
// most seen at a beat, and the most any single process had.
func (b *builder) peakMemory() Metric {
	const name = "peak_memory"
	l := b.in.Ledger
	if v, ok := have(l.GroupMemoryPeak); ok {
		return Value(name, v, units.Byte, "max", sensors.FromCounter, orElse(l.GroupMemorySource, "cgroup"))
	}
	best := Missing(name, units.Byte, b.whyMissing("target", "target/memory_peak", "target/memory"))
	for _, sensor := range []string{"memory_peak", "memory"} {
		s := b.find("target", sensor)
		if s == nil {
			continue
		}
		m := s.gaugeMetric(name)
		if m.Reason != "" {
			if best.Count == 0 {
				best.Reason = m.Reason
			}
			continue
		}
		m.Value, m.Aggregation = m.Max, "max"
		if m.Provenance == sensors.FromCounter { // a memory controller's own mark, only read by the sampler
			return m
		}
		if best.Reason != "" || m.Value > best.Value {
			best = m
		}
	}
	rss, ok := have(l.MaxRSS)
	if !ok {
		return best
	}
	if floor, known := have(l.RSSFloor); known && rss <= floor {
		if best.Reason != "" {
			best.Reason = fmt.Sprintf("below the %.3g MB of the process that started it", floor/1e6)
		}
		return best
	}
	if best.Reason != "" || rss > best.Value {
		return Value(name, rss, units.Byte, "max", sensors.Sampled,
			"wait4 ru_maxrss: the largest single process, the tree may have held more")
	}
	return best
}

// gpuMemory is the most memory in use on the GPUs, whoever uses it.
func (b *builder) gpuMemory() Metric {
	m := b.gpuPeak("memory_used")
	if m.Reason == "" {
		m.Source += ", by whatever program"
	}
	return m
}

// gpuPeak adds each GPU's own maximum of a gauge of its memory: for one GPU that is the peak, for several an upper bound
// of it.
func (b *builder) gpuPeak(sensor string) Metric {
	const name = "gpu_memory_peak"
	var parts []Metric
	reason := ""
	for _, s := range b.in.Series {
		if s.sensor.Family != "gpu" || s.sensor.Name != sensor {
			continue
		}
		m := s.gaugeMetric(name)
		if m.Reason != "" {
			reason = m.Reason
			continue
		}
		m.Value = m.Max
		parts = append(parts, m)
	}
	switch len(parts) {
	case 0:
		return Missing(name, units.Byte, orElse(reason, b.whyMissing("gpu", "nvml")))
	case 1:
		m := parts[0]
		m.Aggregation = "max"
		return m
	}
	m := sum(name, units.Byte, parts, fmt.Sprintf("the maxima of %d GPUs added: at once it may have been less", len(parts)))
	m.Aggregation = "max"
	return m
}

// network adds the interfaces but for loopback.
func (b *builder) network() []Metric {
	out := make([]Metric, 0, 2)
	for _, name := range []string{"receive", "transmit"} {
		var parts []Metric
		var devices []string
		reason := ""
		for _, s := range b.in.Series {
			if s.sensor.Family != "network" || s.sensor.Name != name || s.sensor.Device == "lo" {
				continue
			}
			m := s.Metrics()[0]
			if m.Reason != "" {
				// An interface that came or went during the run may have been read once only.
				reason = m.Reason
				b.warn(s.sensor.ID, "not in network_%s: %s", name, m.Reason)
				continue
			}
			parts, devices = append(parts, m), append(devices, s.sensor.Device)
		}
		full := "network_" + name
		if len(parts) == 0 {
			out = append(out, Missing(full, units.Byte, orElse(reason, b.whyMissing("network"))))
			continue
		}
		out = append(out, sum(full, units.Byte, parts, strings.Join(devices, ", ")))
	}
	return out
}

// energies is energy, power and gpu_energy.
func (b *builder) energies() []Metric {
	c := b.energy
	var energy, gpu Metric
	if parts := energies(c.gpus); len(parts) > 0 {
		gpu = sum("gpu_energy", units.Joule, parts, c.sourceGPU())
	} else {
		gpu = Missing("gpu_energy", units.Joule, b.whyNoEnergy("gpu", "nvml"))
	}
	if parts := energies(c.summed()); len(parts) > 0 {
		energy = sum("energy", units.Joule, parts, c.source())
	} else {
		energy = Missing("energy", units.Joule, b.whyNoEnergy("rapl"))
	}
	power := Missing("power", units.Watt, energy.Reason)
	if energy.Reason == "" {
		power = b.power()
		if wall, ok := b.wall(); ok && wall > 0 {
			energy.Uncertainty += b.beside(wall)
			b.doubtWindow(wall)
		}
	}
	return []Metric{energy, power, gpu}
}

// power is the sum of the mean powers of what is summed. Each is its energy over the time between its own readings, which is
// not quite the time the command took: of a command of a millisecond it is twice that.
func (b *builder) power() Metric {
	c := b.energy
	parts := make([]Metric, 0, len(c.cpu)+len(c.gpus))
	for _, s := range c.summed() {
		m := s.energy()
		if s.weight == 0 {
			return Missing("power", units.Watt, "no time passed between the readings")
		}
		m.Value, m.Uncertainty = meanPower(s), m.Uncertainty/(s.weight/1e9)
		parts = append(parts, m)
	}
	power := sum("power", units.Watt, parts, c.source())
	power.Aggregation = "mean"
	return power
}

// beside is the energy, at the greatest power that was seen, of the time by which the readings of what is summed span more or
// less than the command: whether it was used while the command ran is not known.
func (b *builder) beside(wall float64) float64 {
	sum := 0.0
	for _, s := range b.energy.summed() {
		peak := s.max
		if s.sensor.Kind == sensors.Counter {
			peak *= 1e9 // it is per nanosecond
		}
		sum += math.Abs((s.lastAt-s.firstAt).Seconds()-wall) * max(peak, 0)
	}
	return finite(sum)
}

// whyNoEnergy is the reason why a family gave none: that of its sensors, if they were read.
func (b *builder) whyNoEnergy(family string, ids ...string) string {
	if reason := b.stoodStill(); family == "rapl" && reason != "" {
		return reason
	}
	for _, s := range b.in.Series {
		if s.sensor.Family == family && (s.sensor.Unit == units.Joule || s.sensor.Unit == units.Watt) {
			if m := s.energy(); m.Reason != "" {
				return m.Reason
			}
		}
	}
	return b.whyMissing(family, ids...)
}

// doubtWindow warns where the energy is of clearly more or less time than the command ran for, where a counter stood still in
// it, and where it is of so little that the steps of the counters count.
func (b *builder) doubtWindow(wall float64) {
	told := make(map[string]bool)
	for _, s := range b.energy.summed() {
		window := (s.lastAt - s.firstAt).Seconds()
		if math.Abs(window-wall) > 0.1*wall {
			b.warn(s.sensor.ID, "its energy is that of %.3g s, the command ran for %.3g s", window, wall)
		}
		if stood := s.standing(); stood > 0 {
			b.warn(s.sensor.ID, "the counter did not move for %s: what was used then is missing", brief(stood))
		}
		update := s.sensor.Update
		if update == 0 && isMachineEnergy(s.sensor) {
			update = raplStep
		}
		if told[s.sensor.Family] || s.sensor.Kind != sensors.Counter || window <= 0 || update <= 0 {
			continue
		}
		steps := window / update.Seconds()
		if s.aligned() || steps >= enoughUpdates && window >= enoughTime.Seconds() {
			continue
		}
		told[s.sensor.Family] = true
		part := s.uncertainty() / s.delta()
		if math.IsNaN(part) {
			part = 1 / steps
		}
		b.warn(s.sensor.ID, "the counter moves about every %s: in %.3g s it is known to ± %.0f %%", update, window, 100*part)
	}
}

// busyTime is how long the machine's CPUs worked, by the counters of the whole machine, which one reading of
// /proc/stat gives together.
type busyTime struct {
	busy, total float64
	count, gaps int64
	from        sensors.Provenance
	source      string
	reason      string
	// mean is the utilization as a gauge, where there are no counters.
	mean *Metric
}

// cpuMode is one of the times that /proc/stat has of a processor.
type cpuMode struct {
	name string
	// busy says that it worked, required that every kernel has it.
	busy, required bool
}

// cpuModes lists them. Idle and iowait are idle. Steal is time others had: part of the whole but not busy here. That of
// virtual machines run here is in user already.
func cpuModes() []cpuMode {
	return []cpuMode{
		{"user", true, true},
		{"nice", true, false},
		{"system", true, true},
		{"idle", false, true},
		{"iowait", false, false},
		{"irq", true, false},
		{"softirq", true, false},
		{"steal", false, false},
	}
}

// machineCPU adds the times by mode.
func (b *builder) machineCPU() busyTime {
	t := busyTime{from: sensors.FromCounter}
	if s := b.find("cpu", "utilization"); s != nil {
		if m := s.gaugeMetric("cpu_utilization"); m.Reason == "" {
			t.mean = &m
		}
	}
	var window time.Duration
	for _, mode := range cpuModes() {
		s := b.find("cpu", mode.name)
		if s == nil {
			if mode.required {
				t.reason = b.whyMissing("cpu", "cpu/"+mode.name)
				return t
			}
			continue
		}
		if reason := s.whyNoDelta(); reason != "" {
			t.reason = mode.name + ": " + reason
			return t
		}
		d := s.delta()
		t.total += d
		if mode.busy {
			t.busy += d
		}
		if mode.name == "idle" {
			window = s.lastAt - s.firstAt
			t.count, t.source = s.count, s.sensor.Source
		}
		t.from = weaker(t.from, s.sensor.Origin())
		t.gaps = max(t.gaps, s.gapCount())
	}
	if window < enoughTicks*tick || t.total <= 0 {
		t.mean = nil
		t.reason = fmt.Sprintf("%s are too short for counters that go in steps of %s", brief(window), tick)
	}
	return t
}

func (t busyTime) utilization() Metric {
	const name = "cpu_utilization"
	switch {
	case t.reason == "":
		m := Value(name, min(max(t.busy/t.total, 0), 1), units.Ratio, "share", t.from, t.source)
		m.Count, m.Gaps = t.count, t.gaps
		if t.mean != nil {
			m.Min, m.Max, m.Mean, m.Std = t.mean.Min, t.mean.Max, t.mean.Mean, t.mean.Std
		}
		return m
	case t.mean != nil:
		return *t.mean
	}
	return Missing(name, units.Ratio, t.reason)
}

// profilerTime is the CPU time of the runner and the sampler, by the ledger where it knows, else by their sensors.
func (b *builder) profilerTime() Metric {
	const name = "profiler_cpu_time"
	part := func(who string, known *float64, sensor string) Metric {
		if v, ok := have(known); ok {
			return Value(name, v, units.Second, "delta", sensors.FromCounter, who)
		}
		if s := b.find("profiler", sensor); s != nil {
			m := s.Metrics()[0]
			if m.Reason == "" {
				return m
			}
		}
		return Missing(name, units.Second, "that of the "+who+" is not known")
	}
	parts := []Metric{
		part("runner", b.in.Ledger.RunnerTime, "runner_cpu_time"), part("sampler", b.in.Ledger.SamplerTime, "cpu_time"),
	}
	for _, p := range parts {
		if p.Reason != "" {
			return Missing(name, units.Second, p.Reason)
		}
	}
	return sum(name, units.Second, parts, "getrusage of runner and sampler")
}
