package rule

import (
	"fmt"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
)

// Files returns the values of the terms about counted files and file systems, from the tree of a run. Any other term has no
// value.
//
// A label of files is an area, which includes the areas within it, or an area and a type: "data", "data/fits". Without a
// label the term is about all areas. A label of a file system is a path in it.
func Files(tree *datamodel.Node) Values {
	return func(t Term, baseline string) datamodel.Metric {
		d, _ := datamodel.Lookup(t.Metric)
		switch {
		case baseline != "":
			return datamodel.Missing(d.Sensor, d.Unit, "the tree of a run has no baseline")
		case d.Labels == datamodel.AreaLabel:
			return files(tree, t, d)
		case d.Labels == datamodel.PathLabel && t.Label != "":
			return fileSystem(tree, t, d)
		}
		return datamodel.Missing(d.Sensor, d.Unit, t.Metric+" is not about files")
	}
}

// files returns the value of a term about counted files.
func files(tree *datamodel.Node, t Term, d datamodel.Definition) datamodel.Metric {
	areas := datamodel.InventoryOf(tree)
	var nodes []*datamodel.Node
	found := t.Label == "" && len(areas) > 0
	for _, a := range areas {
		all := t.Label == "" || inArea(areas, a, t.Label)
		found = found || all
		if all {
			nodes = append(nodes, a.Node)
		}
		for _, of := range a.Types {
			if one := a.Name+"/"+strings.Join(of.Groups, "/") == t.Label; all || one {
				nodes, found = append(nodes, of.Node), true
			}
		}
	}
	if !found {
		return datamodel.Missing(d.Sensor, d.Unit, fmt.Sprintf("no files were counted in %q", t.Label))
	}
	var parts []datamodel.Metric
	for _, n := range nodes {
		for _, m := range n.Metrics { // an area has only its errors or the reason why it was not counted
			if m.Name != d.Sensor {
				continue
			}
			if m.Reason != "" {
				return m
			}
			parts = append(parts, m)
		}
	}
	out := datamodel.Total(d.Sensor, d.Unit, parts, "sum over the types")
	switch t.Aggregate {
	case datamodel.Max, datamodel.Min:
		for i, m := range parts {
			if i == 0 || (t.Aggregate == datamodel.Max) == (m.Value > out.Value) {
				out = m
			}
		}
	case datamodel.Mean:
		out = out.WithValue(out.Value / float64(max(1, len(parts))))
	case datamodel.Sum, datamodel.Last:
	}
	return out
}

// inArea reports whether an area has this name or lies within the area that has it.
func inArea(all []datamodel.CountedArea, a datamodel.CountedArea, name string) bool {
	for range all { // as often as areas can lie within each other
		if a.Name == name {
			return true
		}
		around := a.Within
		for _, b := range all {
			if b.Name == around && around != "" {
				a = b
			}
		}
	}
	return false
}

// fileSystem returns the value of a term about the file system that holds a path: the one with the longest mount point.
func fileSystem(tree *datamodel.Node, t Term, d datamodel.Definition) datamodel.Metric {
	mounts := mountPoints(tree, d.Family)
	for _, a := range datamodel.InventoryOf(tree) {
		if a.Mount != "" {
			mounts = append(mounts, mounted{a.Mount, a.Mount})
		}
	}
	longest := mounted{}
	for _, m := range mounts {
		if len(m.folder) > len(longest.folder) && strings.HasPrefix(t.Label+"/", strings.TrimSuffix(m.folder, "/")+"/") {
			longest = m
		}
	}
	if longest.folder == "" {
		return datamodel.Missing(d.Sensor, d.Unit, "no file system of "+t.Label+" was measured (those of the working folder, the results and the areas of --inventory are)")
	}
	return tree.Find(datamodel.DeviceLevel, d.Family+"/"+longest.device).Metric(d.Sensor)
}

// mounted is a device of the tree, and the folder that it is mounted on.
type mounted struct{ device, folder string }

// mountPoints returns the file systems whose free space was read.
func mountPoints(n *datamodel.Node, family string) []mounted {
	if n == nil {
		return nil
	}
	var out []mounted
	if s := n.Sensor; s != nil && s.Family == family && s.Name == datamodel.SpaceFree {
		out = append(out, mounted{s.Device, sensors.MountOf(s.Device)})
	}
	for _, c := range n.Children {
		out = append(out, mountPoints(c, family)...)
	}
	return out
}
