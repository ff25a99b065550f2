package account

import (
	"cmp"
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// tree returns the result of a run as a tree. The hosts are its leaves at this point.
func tree(run datamodel.Run, summary []datamodel.Metric, hosts []*datamodel.Node) *datamodel.Node {
	node := &datamodel.Node{Name: "0", Level: datamodel.RunLevel, Metrics: summary, Children: hosts}
	node.Meta = datamodel.DerivedMeta(node, "", run)
	multi := &datamodel.Node{
		Name: cmp.Or(run.ID, "run"), Level: datamodel.MultiRun, Metrics: slices.Clone(summary), Children: []*datamodel.Node{node},
	}
	return &datamodel.Node{
		Name: cmp.Or(run.Project, "app"), Level: datamodel.App, Metrics: slices.Clone(summary), Children: []*datamodel.Node{multi},
	}
}

func (h *host) name() string { return cmp.Or(h.Machine.Name, "localhost") }

// node returns the node of the host, with what was measured on the machine and on its devices.
func (h *host) node(summary []datamodel.Metric, cpus cpuShares, gpus gpuShares) *datamodel.Node {
	return &datamodel.Node{
		Name: h.name(), Level: datamodel.HostLevel, Meta: h.meta(),
		Metrics: h.metrics(summary, gpus), Children: h.devices(summary, cpus, gpus),
	}
}

// meta returns the metadata of the host's node.
func (h *host) meta() []datamodel.Pair {
	meta := datamodel.HostFacts(h.Machine)
	if len(h.energy.summed()) > 0 {
		meta = append(meta, datamodel.Pair{Key: "energy", Value: h.energy.source()})
	}
	if base := h.Baseline; base != nil {
		meta = append(meta, datamodel.Pair{Key: "baseline", Value: base.String()})
	}
	return meta
}

// metrics returns the summary's metrics of the machine, and the shares of its energy.
func (h *host) metrics(summary []datamodel.Metric, gpus gpuShares) []datamodel.Metric {
	var out []datamodel.Metric
	for _, name := range []string{
		datamodel.Energy, datamodel.Power, datamodel.GPUEnergy, datamodel.GPUMemoryPeak, datamodel.CPUUtilization,
		datamodel.NetworkReceive, datamodel.NetworkTransmit,
		datamodel.TargetEnergy, datamodel.OtherEnergy, datamodel.IdleEnergy, datamodel.NetEnergy, datamodel.GPUTargetEnergy,
		datamodel.EstimatedEnergy, datamodel.EstimatedTargetEnergy,
	} {
		out = append(out, datamodel.Pick(summary, name))
	}
	return append(out, h.stealTime(), gpus.other, gpus.idle)
}

// devices groups the series by family and device, in their order. The target and the profiler are present even without
// a series.
func (h *host) devices(summary []datamodel.Metric, cpus cpuShares, gpus gpuShares) []*datamodel.Node {
	var out []*datamodel.Node
	at := make(map[string]*datamodel.Node)
	device := func(family, name string) *datamodel.Node {
		full := family
		if name != "" {
			full += "/" + name
		}
		n := at[full]
		if n == nil {
			n = &datamodel.Node{Name: full, Level: datamodel.DeviceLevel, Family: family}
			at[full] = n
			out = append(out, n)
		}
		return n
	}
	leaf := func(sensor sensors.Sensor, metrics ...datamodel.Metric) *datamodel.Node {
		n := device(sensor.Family, sensor.Device)
		l := &datamodel.Node{
			Name: sensor.Name, Level: datamodel.SensorLevel, Family: sensor.Family, Sensor: &sensor, Metrics: metrics,
		}
		n.Children = append(n.Children, l)
		return l
	}
	summed := make(map[*datamodel.Node]bool) // leaves whose energy is in the sum
	for _, s := range h.Series {
		l := leaf(*s.Sensor(), s.Metrics()...)
		l.Meta = datamodel.DerivedMeta(l, s.Source(), datamodel.Run{Sources: h.Sources})
		if said := s.Alignment(); said != "" {
			l.Meta = append(l.Meta, datamodel.Pair{Key: "aligned", Value: said})
		}
		v, known := h.energy.verdict[s]
		if !known {
			continue
		}
		l.Meta = append(l.Meta, datamodel.Pair{Key: "summed", Value: v.text})
		if v.summed {
			summed[l] = true
			n := device(s.Sensor().Family, s.Sensor().Device)
			n.Meta = append(n.Meta, datamodel.Pair{Key: "summed", Value: v.text})
		}
	}
	for _, c := range cpus.shares() {
		m := c.metric
		m.Name = c.sensor.Name
		leaf(c.sensor, m)
	}
	target, profiler := device("target", ""), device("profiler", "")
	for _, n := range out {
		if n != target && n != profiler {
			n.Metrics = deviceMetrics(n, summed)
		}
	}
	for _, g := range gpus.each {
		n := device("gpu", g.device)
		n.Metrics = append(n.Metrics, g.target, g.other, g.idle)
	}
	for _, c := range gpus.shares() {
		leaf(c.sensor, c.metric)
	}
	h.inventory(device)
	target.Metrics = h.targetMetrics(summary)
	profiler.Metrics = h.profilerMetrics(summary)
	return out
}

// deviceMetrics returns the metrics of a device's sensors. Two sensors may give the same metric: the counter and the
// power gauge of a GPU both give energy and power. Then the sensor in the sum wins, or else the sensor with the
// metric's name.
func deviceMetrics(device *datamodel.Node, summed map[*datamodel.Node]bool) []datamodel.Metric {
	var out []datamodel.Metric
	rank := make(map[string]int)
	for _, leaf := range device.Children {
		for _, m := range leaf.Metrics {
			r := 0
			switch {
			case m.Provenance == sensors.Missing:
				r = 3
			case m.Name == datamodel.Energy && summed[leaf]:
			case m.Name == leaf.Name:
				r = 1
			default:
				r = 2
			}
			old, known := rank[m.Name]
			if known && old <= r {
				continue
			}
			rank[m.Name] = r
			if i := slices.IndexFunc(out, func(o datamodel.Metric) bool { return o.Name == m.Name }); i >= 0 {
				out[i] = m
			} else {
				out = append(out, m)
			}
		}
	}
	return out
}

// targetMetrics returns the metrics of the target, in the summary or outside it.
func (h *host) targetMetrics(summary []datamodel.Metric) []datamodel.Metric {
	var out []datamodel.Metric
	for _, name := range []string{
		datamodel.CPUTime, datamodel.CPUUserTime, datamodel.CPUSystemTime, datamodel.PeakMemory, datamodel.PeakMemoryCharge,
		datamodel.ProcessCount, datamodel.DiskRead, datamodel.DiskWrite,
		datamodel.TargetEnergy, datamodel.GPUTargetEnergy, datamodel.EstimatedTargetEnergy,
	} {
		out = append(out, datamodel.Pick(summary, name))
	}
	l := h.Ledger
	for _, f := range []struct {
		name        string
		known       *float64
		aggregation string
		source      string
		use         sensors.Use
	}{
		{datamodel.ReadChars, l.ReadChars, "delta", fromIO, sensors.TargetReadChars},
		{datamodel.WriteChars, l.WriteChars, "delta", fromIO, sensors.TargetWriteChars},
		{datamodel.ReadCalls, l.ReadCalls, "delta", fromIO, sensors.TargetReadCalls},
		{datamodel.WriteCalls, l.WriteCalls, "delta", fromIO, sensors.TargetWriteCalls},
		{datamodel.MinorFaults, l.MinorFaults, "delta", fromWait, sensors.TargetMinorFaults},
		{datamodel.MajorFaults, l.MajorFaults, "delta", fromWait, sensors.TargetMajorFaults},
		{datamodel.VoluntarySwitches, l.VoluntarySwitches, "delta", fromWait, sensors.TargetVoluntarySwitches},
		{datamodel.InvoluntarySwitches, l.InvoluntarySwitches, "delta", fromWait, sensors.TargetInvoluntarySwitches},
		{datamodel.Survivors, l.Survivors, "last", "processes of the tree at the target's end", ""},
		{datamodel.StoppedTime, nil, "", "", sensors.TargetStopped},
	} {
		out = append(out, h.ledgerOr(f.name, f.known, f.aggregation, f.source, f.use))
	}
	if s := h.find(sensors.TargetThreads); s != nil {
		out = append(out, s.Metrics()...)
	}
	out = append(out, h.ownNetwork(datamodel.TargetNetworkReceive, sensors.TargetReceived),
		h.ownNetwork(datamodel.TargetNetworkTransmit, sensors.TargetSent))
	return append(out, h.gpuPeak(sensors.GPUTargetMemory))
}

// profilerMetrics returns the cost of measuring: CPU time, memory, and the wall time spent reading each source.
func (h *host) profilerMetrics(summary []datamodel.Metric) []datamodel.Metric {
	out := []datamodel.Metric{datamodel.Pick(summary, datamodel.ProfilerCPUTime)}
	if s := h.find(sensors.SamplerMemory); s != nil {
		out = append(out, s.Metrics()...)
	}
	var missed, late float64
	for _, src := range h.Sources {
		missed += float64(src.Missed)
		late += float64(src.Late)
		name := datamodel.ReadTime + "/" + src.Name
		if src.Hung {
			out = append(out, datamodel.Missing(name, units.Second, "the source did not answer at the end"))
			continue
		}
		m := datamodel.Value(name, src.ReadTime, units.Second, "sum", sensors.FromCounter, "monotonic clock around each reading")
		m.Count, m.Gaps = src.Readings, src.Failed
		out = append(out, m)
	}
	if len(h.Sources) > 0 {
		out = append(out,
			datamodel.Value(datamodel.MissedBeats, missed, units.Beats, "sum", sensors.FromCounter, "sampler"),
			datamodel.Value(datamodel.LateBeats, late, units.Beats, "sum", sensors.FromCounter, "sampler"))
	}
	return out
}
