package rule

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Of returns the values of all terms in a run. It knows no baseline.
//
// The value of a metric of the summary is that of the summary, and that of a derived metric follows from the factors of the run. The
// largest memory at one moment is the peak memory. Any other metric is that of the run's sensors: a gauge as the aggregate over
// time says, a counter as the sum over time.
func Of(r datamodel.Result) Values {
	summary := make(map[string]datamodel.Metric, len(r.Summary))
	for _, m := range r.Summary {
		summary[m.Name] = m
	}
	if w := r.Run.WallTime; w != nil && r.Summary == nil { // nothing could be processed
		summary[datamodel.WallTime] = datamodel.Value(datamodel.WallTime, *w, units.Second, "delta", "", "runner")
	}
	for _, m := range r.Run.Factors.Derive(summary) {
		summary[m.Name] = m
	}
	return func(t Term, baseline string) datamodel.Metric {
		d, _ := datamodel.Lookup(t.Metric)
		if baseline != "" {
			return datamodel.Missing(d.Name, d.Unit, "there is nothing to compare with")
		}
		m := of(r, summary, t, d)
		m.Name, m.Unit = d.Name, unitOf(m, d.Unit)
		if math.IsNaN(m.Value) {
			m.Reason = cmp.Or(m.Reason, "not measured")
		}
		return m
	}
}

func of(r datamodel.Result, summary map[string]datamodel.Metric, t Term, d datamodel.Definition) datamodel.Metric {
	switch {
	case d.Labels == datamodel.RegionLabel && t.Label != "":
		return ofRegions(r.Regions, t, d)
	case d.Labels == datamodel.GroupLabel:
		return datamodel.Missing(d.Name, d.Unit, fmt.Sprintf("no group %q was measured", t.Label))
	case r.Tree == nil && !d.Summary:
		return datamodel.Missing(d.Name, d.Unit, "there is no result")
	case d.Labels == datamodel.AreaLabel:
		return Files(r.Tree)(t, "")
	case d.Labels == datamodel.PathLabel && t.Label != "":
		return over(Files(r.Tree)(t, ""), t.Aggregate)
	case t.Metric == datamodel.Memory && t.Aggregate == datamodel.Max:
		return named(summary, datamodel.PeakMemory)
	case t.Metric == datamodel.MemoryCharge && t.Aggregate == datamodel.Max:
		return named(summary, datamodel.PeakMemoryCharge)
	case d.Summary || d.Derived:
		if extremeOfPower(t) {
			return ofCourse(r.Charts, t, d)
		}
		return ofSummary(named(summary, d.Name), t, d)
	}
	if m, ok := ofNodes(r.Tree, d); ok {
		return m
	}
	return ofSensors(r.Tree, t, d)
}

// ofRegions returns a metric of all regions that the label names: by the path, such as train/epoch, else by the name. The aggregate
// is that over the times that the region ran.
func ofRegions(regions *datamodel.Regions, t Term, d datamodel.Definition) datamodel.Metric {
	missing := datamodel.Missing(d.Name, d.Unit, fmt.Sprintf("no region %q was measured", t.Label))
	if regions == nil {
		return missing
	}
	members := regionsOf(regions, func(one datamodel.Region) string { return one.Path }, t.Label)
	if len(members) == 0 {
		members = regionsOf(regions, func(one datamodel.Region) string { return one.Name }, t.Label)
	}
	if len(members) == 0 {
		return missing
	}
	f := regions.Figure(d.Name)
	var parts []datamodel.Metric
	for _, i := range members {
		if f.Reason != "" || i >= len(f.Values) || math.IsNaN(f.Values[i]) {
			return datamodel.Missing(d.Name, d.Unit, cmp.Or(f.Reason, fmt.Sprintf("not measured in each region %q", t.Label)))
		}
		m := datamodel.Value(d.Name, f.Values[i], d.Unit, "", f.Provenance, f.Source)
		if i < len(f.Uncertainty) {
			m.Uncertainty = f.Uncertainty[i]
		}
		parts = append(parts, m)
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return together(parts, t.Aggregate, d)
}

// regionsOf returns the indices of the regions with this name.
func regionsOf(regions *datamodel.Regions, name func(datamodel.Region) string, label string) (list []int) {
	for i, one := range regions.List {
		if name(one) == label {
			list = append(list, i)
		}
	}
	return list
}

// named returns the metric of a summary, or one that is missing.
func named(summary map[string]datamodel.Metric, name string) datamodel.Metric {
	if m, ok := summary[name]; ok {
		return m
	}
	return datamodel.Missing(name, "", "")
}

// ofSummary returns a metric of the summary. Only a mean has other values over time; a total is one value.
func ofSummary(m datamodel.Metric, t Term, d datamodel.Definition) datamodel.Metric {
	if d.Aggregate != datamodel.Mean || t.Aggregate == datamodel.Mean || math.IsNaN(m.Value) {
		return m
	}
	return over(m, t.Aggregate)
}

// extremeOfPower reports whether a term is about the largest or smallest power of the machine, which only its course tells.
func extremeOfPower(t Term) bool {
	return t.Metric == datamodel.Power && (t.Aggregate == datamodel.Max || t.Aggregate == datamodel.Min)
}

// ofCourse returns the largest or smallest mean power of the machine over a part of the grid.
func ofCourse(charts []datamodel.Chart, t Term, d datamodel.Definition) datamodel.Metric {
	out := datamodel.Missing(d.Name, d.Unit, "there is no course of power over time: the run was too short, or it was not measured")
	for _, chart := range charts {
		courses := chart.Course(datamodel.Power, datamodel.MachineCourse)
		if len(courses) == 0 {
			continue
		}
		from, to := chart.Span(courses)
		for _, v := range total(chart, courses).Values[from:to] {
			if math.IsNaN(v) || !math.IsNaN(out.Value) && (v > out.Value) != (t.Aggregate == datamodel.Max) {
				continue
			}
			out = datamodel.Value(d.Name, v, d.Unit, string(t.Aggregate), sensors.Integrated, "course of power")
		}
	}
	return out
}

// over returns the value of a gauge over time as the aggregate says. Of a counter it returns the total.
func over(m datamodel.Metric, a datamodel.Aggregate) datamodel.Metric {
	if math.IsNaN(m.Value) || m.Aggregation == "delta" {
		return m
	}
	switch {
	case a == datamodel.Max:
		return m.WithExtreme(m.Max)
	case a == datamodel.Min:
		return m.WithExtreme(m.Min)
	case a == datamodel.Mean && !math.IsNaN(m.Mean):
		return m.WithValue(m.Mean)
	case a == datamodel.Mean, string(a) == m.Aggregation:
		return m
	case a == datamodel.Last && m.Min == m.Max && !math.IsNaN(m.Min):
		return m.WithValue(m.Min)
	}
	return m.Lacking(fmt.Sprintf("the %s over time is not kept (max, min and mean are)", a))
}

// ofNodes returns a metric that the host or the command has under the name of the catalogue.
func ofNodes(tree *datamodel.Node, d datamodel.Definition) (datamodel.Metric, bool) {
	if d.Sensor != "" && d.Name == d.Family+"."+d.Sensor {
		return datamodel.Metric{}, false // a metric of single devices
	}
	var parts []datamodel.Metric
	walk(tree, func(n *datamodel.Node) {
		if n.Level != datamodel.HostLevel && n.Level != datamodel.DeviceLevel {
			return
		}
		for _, m := range n.Metrics {
			if m.Name == d.Name && m.Unit == d.Unit && (n.Level == datamodel.HostLevel || n.Family == "target") && !isGauge(m) {
				parts = append(parts, m)
			}
		}
	})
	switch len(parts) {
	case 0:
		return datamodel.Metric{}, false
	case 1:
		return parts[0], true
	}
	return together(parts, d.Aggregate, d), true
}

// isGauge reports whether a metric is the mean of a gauge, whose other values over time its sensor has.
func isGauge(m datamodel.Metric) bool { return m.Aggregation == "mean" }

// ofSensors returns the value of one sensor, or of those of all devices.
func ofSensors(tree *datamodel.Node, t Term, d datamodel.Definition) datamodel.Metric {
	var parts []datamodel.Metric
	var devices []string
	whole := -1
	walk(tree, func(n *datamodel.Node) {
		s := n.Sensor
		if s == nil || n.Level != datamodel.SensorLevel || s.Family != d.Family || s.Name != d.Sensor || t.Label != "" && s.Device != t.Label {
			return
		}
		if s.Device == "" {
			whole = len(parts)
		}
		parts, devices = append(parts, over(n.Metric(s.Name), t.Aggregate)), append(devices, s.Device)
	})
	switch {
	case len(parts) == 0 && t.Label != "":
		return datamodel.Missing(d.Name, d.Unit, fmt.Sprintf("no %s %q was measured", d.Labels, t.Label))
	case len(parts) == 0:
		return datamodel.Missing(d.Name, d.Unit, "")
	case len(parts) == 1:
		return parts[0]
	case !d.Adds && t.Aggregate == datamodel.Sum && whole >= 0: // the others are parts of it
		return parts[whole]
	case !d.Adds && t.Aggregate == datamodel.Sum:
		return datamodel.Missing(d.Name, d.Unit, fmt.Sprintf("the values of several devices have no sum (name one: %s[%s])", d.Name, devices[0]))
	}
	return together(parts, t.Aggregate, d)
}

// together makes one value of those of several devices or hosts. If one is missing, so is the whole.
func together(parts []datamodel.Metric, a datamodel.Aggregate, d datamodel.Definition) datamodel.Metric {
	if i := slices.IndexFunc(parts, func(m datamodel.Metric) bool { return math.IsNaN(m.Value) }); i >= 0 {
		return parts[i]
	}
	out := parts[0]
	switch a {
	case datamodel.Max, datamodel.Min:
		for _, m := range parts[1:] {
			if (m.Value > out.Value) == (a == datamodel.Max) {
				out = m
			}
		}
	case datamodel.Mean:
		out = datamodel.Total(d.Name, d.Unit, parts, "mean of the devices")
		out = out.WithValue(out.Value / float64(len(parts)))
		out.Uncertainty /= float64(len(parts))
		out.AtMost = math.NaN()
	case datamodel.Sum:
		out = datamodel.Total(d.Name, d.Unit, parts, "sum over the devices")
	case datamodel.Last:
		return datamodel.Missing(d.Name, d.Unit, "there are several devices: name one")
	}
	return out
}

// walk visits a tree from the top down.
func walk(n *datamodel.Node, visit func(*datamodel.Node)) {
	if n == nil {
		return
	}
	visit(n)
	for _, c := range n.Children {
		walk(c, visit)
	}
}

// OfRounds returns the values of a command of a bench: the medians over the rounds that have a value. It knows the metrics of a
// round only, as the catalogue aggregates them.
func OfRounds(b datamodel.Bench, command int) Values {
	return func(t Term, baseline string) datamodel.Metric {
		d, _ := datamodel.Lookup(t.Metric)
		name := t.Metric
		switch {
		case baseline != "":
			return datamodel.Missing(d.Name, d.Unit, "there is nothing to compare with")
		case t.Aggregate == datamodel.Max && name == datamodel.Memory:
			name = datamodel.PeakMemory
		case t.Aggregate == datamodel.Max && name == datamodel.MemoryCharge:
			name = datamodel.PeakMemoryCharge
		case t.Label != "", t.Aggregate != d.Aggregate, !d.Summary && !d.OfRounds:
			return datamodel.Missing(d.Name, d.Unit, "a bench keeps only the metrics of the summary")
		}
		out := datamodel.Missing(d.Name, d.Unit, "not measured")
		var values []float64
		for _, r := range b.Of(command) {
			m := r.Metric(name)
			if math.IsNaN(m.Value) {
				out.Reason = cmp.Or(m.Reason, out.Reason)
				continue
			}
			values = append(values, m.Value)
			out.Provenance = out.Provenance.Weaker(m.Provenance)
			if len(values) == 1 {
				out.Provenance, out.Unit = m.Provenance, unitOf(m, d.Unit)
			}
		}
		if len(values) == 0 {
			return out
		}
		out.Reason, out.Aggregation, out.Source = "", "median", "median of the rounds"
		out.Count = int64(len(values))
		return out.WithValue(median(values))
	}
}

// median returns the middle of values, which it sorts.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
