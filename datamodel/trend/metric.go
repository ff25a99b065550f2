package trend

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/nearest"
	"github.com/ergon-energy/ergon/sensors"
)

// Metric is a metric to follow.
type Metric struct {
	datamodel.Definition
	// Label is what stands in brackets after the name, else "". It is a glob.
	Label string
}

// all is the label of the sum over all areas.
const all = "all"

// diskFamily is the family of the file systems.
const diskFamily = "disk"

// space lists the metrics of file systems that --inventory reads.
func space() []string {
	return []string{datamodel.SpaceTotal, datamodel.SpaceUsed, datamodel.SpaceFree}
}

// Parse reads a metric: energy, inventory.bytes, inventory.files[data/fits], disk.free[/data].
func Parse(text string) (Metric, error) {
	name, label, labelled := strings.Cut(text, "[")
	d, ok := datamodel.Lookup(name)
	m := Metric{Definition: d}
	switch {
	case labelled && (!strings.HasSuffix(label, "]") || len(label) < 2):
		return m, fmt.Errorf("%q: not a metric (examples: energy, inventory.bytes, inventory.files[data/fits])", text)
	case !ok || !m.inSummary() && !m.NeedsTree():
		return m, unknown(name)
	case labelled && m.inSummary():
		return m, fmt.Errorf("%q: the summary of a run has no label (leave it out)", text)
	case labelled:
		m.Label = strings.TrimSuffix(label, "]")
		if _, err := path.Match(m.Label, ""); err != nil {
			return m, fmt.Errorf("%q: not a glob (examples: data/fits, data/*)", m.Label)
		}
	}
	return m, nil
}

func unknown(name string) error {
	var names []string
	for _, d := range datamodel.Catalogue() {
		if m := (Metric{Definition: d}); m.inSummary() || m.NeedsTree() {
			names = append(names, d.Name)
		}
	}
	if word := nearest.Word(name, names); word != "" {
		return fmt.Errorf("no metric %q of many runs (did you mean %q?)", name, word)
	}
	return fmt.Errorf("no metric %q of many runs (one of %s)", name, strings.Join(names, ", "))
}

// String returns the metric as Parse reads it.
func (m Metric) String() string {
	if m.Label == "" {
		return m.Name
	}
	return m.Name + "[" + m.Label + "]"
}

func (m Metric) inSummary() bool { return m.Summary || m.Derived }

// NeedsTree reports whether the metric is of files or file systems, which the summary of a run lacks.
func (m Metric) NeedsTree() bool {
	return m.Family == datamodel.InventoryFamily || m.Family == diskFamily && slices.Contains(space(), m.Sensor)
}

// figure is a value of a run.
type figure struct {
	command, label string
	datamodel.Metric
}

// of returns the values that a run has. types are those of all runs.
func (m Metric) of(r *Run, types map[string][]string, commands commandLines) (list []figure) {
	switch {
	case m.NeedsTree():
		return m.ofTree(r, types, commands.of(r.Command))
	case r.Bench == nil:
		return []figure{{command: commands.of(r.Command), Metric: r.Summary(m.Name)}}
	}
	for i, c := range r.Bench.Commands {
		f := figure{command: commands.of(c.Command), Metric: datamodel.Missing(m.Name, m.Unit, "the bench did not end")}
		if i < len(r.Bench.Results) {
			f.Metric = datamodel.Missing(m.Name, m.Unit, "no round measured it")
			if short, ok := r.Bench.Results[i].Medians[m.Name]; ok {
				f.Metric = short.Metric(m.Name)
			}
		}
		list = append(list, f)
	}
	return list
}

func (m Metric) ofTree(r *Run, types map[string][]string, command string) (list []figure) {
	if r.Unread != "" {
		return nil // it is not known which areas it has; the caller tells
	}
	add := func(label string, value datamodel.Metric) {
		value.Name = m.Name
		list = append(list, figure{command, label, value})
	}
	if m.Family == diskFamily {
		for _, n := range fileSystems(r.Tree) {
			mount := strings.TrimPrefix(n.Name, diskFamily+"/")
			if v := n.Metric(m.Sensor); v.Name == m.Sensor && v.Unit != "" && fits(m.Label, mount) {
				add(mount, v)
			}
		}
		return list
	}
	areas := datamodel.InventoryOf(r.Tree)
	if m.Label == all {
		if len(areas) > 0 {
			add(all, m.total(areas))
		}
		return list
	}
	for _, a := range areas {
		if m.Label != "" && fits(m.Label, a.Name) || m.Sensor == datamodel.FileErrors {
			if fits(m.Label, a.Name) {
				add(a.Name, m.total(below(areas, a)))
			}
			continue
		}
		if v := a.Node.Metric(datamodel.FileErrors); v.Provenance == sensors.Missing {
			for _, label := range types[r.Project+"\x00"+command+"\x00"+a.Name] {
				if fits(m.Label, label) {
					add(label, datamodel.Missing(m.Name, m.Unit, v.Reason))
				}
			}
			continue
		}
		known := map[string]datamodel.Metric{}
		for _, t := range a.Types {
			known[typeLabel(a, t)] = t.Node.Metric(m.Sensor)
		}
		for _, label := range types[r.Project+"\x00"+command+"\x00"+a.Name] {
			if !fits(m.Label, label) {
				continue
			}
			v, ok := known[label]
			if !ok { // the area was counted, and had no such file
				v = datamodel.Value(m.Name, 0, m.Unit, "last", sensors.FromCounter, "walk of "+a.Path)
				if len(a.Types) >= mostTypes {
					v = v.Lacking("the area had too many types to tell them all apart")
				}
			}
			add(label, v)
		}
	}
	return list
}

// mostTypes is from how many types on a walk counts the rarest ones as "other" (inventory.MostTypes).
const mostTypes = 200

// fits reports whether a label is asked for.
func fits(glob, label string) bool {
	ok, _ := path.Match(glob, label)
	return ok || glob == "" || glob == label
}

func typeLabel(a datamodel.CountedArea, t datamodel.CountedType) string {
	return a.Name + "/" + strings.Join(t.Groups, "/")
}

// types returns the types that any run of a project and command found in an area, as labels.
func (m Metric) types(runs []*Run) map[string][]string {
	if !m.NeedsTree() || m.Family != datamodel.InventoryFamily {
		return nil
	}
	out := map[string][]string{}
	commands := commandLines{}
	for _, r := range runs {
		for _, a := range datamodel.InventoryOf(r.Tree) {
			key := r.Project + "\x00" + commands.of(r.Command) + "\x00" + a.Name
			for _, t := range a.Types {
				if label := typeLabel(a, t); !slices.Contains(out[key], label) {
					out[key] = append(out[key], label)
				}
			}
		}
	}
	return out
}

// below returns an area and those within it.
func below(areas []datamodel.CountedArea, area datamodel.CountedArea) []datamodel.CountedArea {
	out := []datamodel.CountedArea{area}
	for _, a := range areas {
		if a.Within == area.Name && a.Name != area.Name {
			out = append(out, below(areas, a)...)
		}
	}
	return out
}

// total adds a metric over areas. No file is in two of them. It is missing if one of them was not counted.
func (m Metric) total(areas []datamodel.CountedArea) datamodel.Metric {
	var parts []datamodel.Metric
	for _, a := range areas {
		errors := a.Node.Metric(datamodel.FileErrors)
		if errors.Provenance == sensors.Missing {
			return datamodel.Missing(m.Name, m.Unit, errors.Reason)
		}
		if m.Sensor == datamodel.FileErrors {
			parts = append(parts, errors)
			continue
		}
		for _, t := range a.Types {
			v := t.Node.Metric(m.Sensor)
			if v.Provenance == sensors.Missing {
				return datamodel.Missing(m.Name, m.Unit, v.Reason)
			}
			parts = append(parts, v)
		}
	}
	return datamodel.Total(m.Name, m.Unit, parts, "sum over the types")
}

// fileSystems returns the nodes of file systems.
func fileSystems(n *datamodel.Node) (list []*datamodel.Node) {
	if n == nil {
		return nil
	}
	if n.Level == datamodel.DeviceLevel && n.Family == diskFamily {
		return []*datamodel.Node{n}
	}
	for _, c := range n.Children {
		list = append(list, fileSystems(c)...)
	}
	return list
}
