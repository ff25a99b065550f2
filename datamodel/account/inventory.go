package account

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// inventory adds nodes for what was counted in folders: one for each area and one for each type in it. Each file is in one
// node of a type, so their sum is right. device returns the node of a device.
func (h *host) inventory(device func(family, name string) *datamodel.Node) {
	all := h.Ledger.Inventory
	if all == nil {
		return
	}
	add := func(n *datamodel.Node) {
		name := strings.TrimPrefix(n.Name, n.Family+"/")
		*device(n.Family, name) = *n
	}
	for _, a := range all.Areas {
		a.Reason = cmp.Or(a.Reason, all.Reason)
		n := datamodel.AreaNode(a)
		n.Metrics = areaMetrics(a)
		add(n)
		for _, t := range a.Types {
			n := datamodel.TypeNode(a, t)
			n.Metrics = typeMetrics(a, t)
			add(n)
		}
		h.space(a, device)
	}
}

// areaMetrics returns the number of errors of an area. If the area was not counted, it also returns why there are no files.
func areaMetrics(a datamodel.Area) []datamodel.Metric {
	if a.Reason != "" {
		return []datamodel.Metric{
			datamodel.Missing(datamodel.Files, units.Files, a.Reason), datamodel.Missing(datamodel.FileBytes, units.Byte, a.Reason),
			datamodel.Missing(datamodel.FileErrors, units.Errors, a.Reason),
		}
	}
	source := "walk of " + a.Path
	var kinds []string
	for _, k := range []struct {
		n    int64
		kind string
	}{{a.Dangling, "dangling links"}, {a.Vanished, "vanished"}, {a.Unread, "unreadable"}, {a.Loops, "loops"}} {
		if k.n > 0 {
			kinds = append(kinds, fmt.Sprintf("%d %s", k.n, k.kind))
		}
	}
	if len(kinds) > 0 {
		source += ": " + strings.Join(kinds, ", ")
	}
	return []datamodel.Metric{
		datamodel.Value(datamodel.FileErrors, float64(a.Errors()), units.Errors, "last", sensors.FromCounter, source),
	}
}

// typeMetrics returns the metrics of a type. If something in the area could not be read, they are lower bounds.
func typeMetrics(a datamodel.Area, t datamodel.FileType) []datamodel.Metric {
	var out []datamodel.Metric
	add := func(name string, n int64, unit units.Unit, aggregation, unknown string) {
		m := datamodel.Value(name, float64(n), unit, aggregation, sensors.FromCounter, "walk of "+a.Path)
		switch {
		case unknown != "":
			m = m.Lacking(unknown)
		case a.Unreadable != "":
			m = m.Least(math.NaN())
		}
		out = append(out, m)
	}
	for _, of := range []struct {
		files, bytes string
		amount       datamodel.FileAmount
		aggregation  string
	}{
		{datamodel.Files, datamodel.FileBytes, t.After, "last"},
		{datamodel.FilesBefore, datamodel.BytesBefore, t.Before, "first"},
		{datamodel.FilesMade, datamodel.BytesMade, t.Made, "delta"},
		{datamodel.FilesGrown, datamodel.BytesGrown, t.Grown, "delta"},
		{datamodel.FilesShrunk, datamodel.BytesShrunk, t.Shrunk, "delta"},
		{datamodel.FilesDeleted, datamodel.BytesDeleted, t.Deleted, "delta"},
	} {
		unknown := ""
		if of.aggregation == "delta" {
			unknown = a.Unknown
		}
		add(of.files, of.amount.Files, units.Files, of.aggregation, unknown)
		add(of.bytes, of.amount.Bytes, units.Byte, of.aggregation, unknown)
	}
	return out
}

// space adds the size of an area's file system to its node. A sensor of the file system knows better how much was free, as it
// looked while the command ran.
func (h *host) space(a datamodel.Area, device func(family, name string) *datamodel.Node) {
	if a.Mount == "" {
		return
	}
	n := device("disk", a.Mount)
	for _, s := range []struct {
		name  string
		value float64
	}{{datamodel.SpaceFree, a.Free}, {datamodel.SpaceUsed, a.Used}, {datamodel.SpaceTotal, a.Total}} {
		known := func(m datamodel.Metric) bool { return m.Name == s.name && m.Reason == "" }
		if slices.ContainsFunc(n.Metrics, known) {
			continue
		}
		n.Metrics = slices.DeleteFunc(n.Metrics, func(m datamodel.Metric) bool { return m.Name == s.name })
		n.Metrics = append(n.Metrics, datamodel.Value(s.name, s.value, units.Byte, "last", sensors.FromCounter, "statfs "+a.Path))
	}
}

// doubtInventory reports what could not be counted.
func (h *host) doubtInventory(w *doubts) {
	if h.Ledger.Inventory == nil {
		return
	}
	if reason := h.Ledger.Inventory.Reason; reason != "" {
		w.add(datamodel.InventoryFamily, "the files were not counted: %s", reason)
		return
	}
	for _, a := range h.Ledger.Inventory.Areas {
		if a.Reason != "" {
			w.add(datamodel.InventoryFamily, "%s was not counted: %s", a.Name, a.Reason)
			continue
		}
		if a.Unreadable != "" {
			w.add(datamodel.InventoryFamily, "%s has what cannot be read, so its figures are lower bounds: %s", a.Name, a.Unreadable)
		}
		if a.Unknown != "" {
			w.add(datamodel.InventoryFamily, "which files of %s changed is not known: %s", a.Name, a.Unknown)
		}
		if a.Merged > 0 {
			w.add(datamodel.InventoryFamily, "%s has too many types: the %d smallest count as other", a.Name, a.Merged)
		}
	}
}
