package account

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// counted is an inventory of five areas: one within another, one with something unreadable, one with too many files, and one
// that does not exist.
func counted() *datamodel.Inventory {
	one := func(groups []string, before, after, made, deleted int64) datamodel.FileType {
		amount := func(n int64) datamodel.FileAmount { return datamodel.FileAmount{Files: n, Bytes: 100 * n} }
		return datamodel.FileType{Groups: groups, Before: amount(before), After: amount(after), Made: amount(made), Deleted: amount(deleted)}
	}
	kind, both := []string{"type"}, []string{"instrument", "type"}
	return &datamodel.Inventory{Areas: []datamodel.Area{
		{
			Name: "data", Path: "/data", Groups: kind, Mount: "/data", Total: 1000, Used: 600, Free: 300, Dangling: 2, Vanished: 1,
			Types: []datamodel.FileType{one([]string{"log"}, 5, 7, 3, 1), one([]string{"other"}, 1, 1, 0, 0)},
		},
		{
			Name: "raw", Path: "/data/raw", Within: "data", Groups: both, Mount: "/data", Total: 1000, Used: 600, Free: 300, Pattern: "p",
			Types: []datamodel.FileType{one([]string{"nircam", "a/b"}, 0, 2, 2, 0)},
		},
		{
			Name: "closed", Path: "/c", Groups: kind, Mount: "/", Total: 9, Used: 8, Free: 1, Unread: 1, Unreadable: "/c/x: permission denied",
			Types: []datamodel.FileType{one([]string{"x"}, 1, 1, 0, 0)},
		},
		{Name: "many", Path: "/m", Groups: kind, Unknown: "too many", Merged: 3, NoSpace: "no", Types: []datamodel.FileType{one([]string{"x"}, 9, 9, 0, 0)}},
		{Name: "none", Path: "/n", Groups: kind, Reason: "no such folder", Types: []datamodel.FileType{}},
	}}
}

func TestInventory(t *testing.T) {
	free := sensor("disk//data/free", sensors.Gauge, units.Byte, "statfs /data")
	free.Family, free.Device, free.Name = "disk", "/data", "free"
	in := input{Ledger: datamodel.Ledger{WallTime: new(1.0), Inventory: counted()}}
	in.Series = append(in.Series, line(free, 500, 500, time.Second))
	tree, warnings := build(t, in)

	// Each file is in one row, so the sum over all rows is right.
	sums := map[string]float64{}
	var walk func(n *datamodel.Node)
	walk = func(n *datamodel.Node) {
		for _, m := range n.Metrics {
			if n.Family == datamodel.InventoryFamily && m.Reason == "" {
				sums[m.Name] += m.Value
				if _, known := datamodel.OfSensor(n.Family, m.Name); !known {
					t.Errorf("the catalogue lacks %s", m.Name)
				}
			}
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(tree)
	for name, want := range map[string]float64{
		datamodel.Files: 20, datamodel.FileBytes: 2000, datamodel.FilesBefore: 16, datamodel.FilesMade: 5, datamodel.BytesMade: 500,
		datamodel.FilesDeleted: 1, datamodel.FilesGrown: 0, datamodel.FileErrors: 4,
	} {
		if sums[name] != want {
			t.Errorf("the rows of %s add up to %v, want %v", name, sums[name], want)
		}
	}

	areas := datamodel.InventoryOf(tree)
	var names []string
	for _, a := range areas {
		names = append(names, a.Name)
	}
	if !slices.Equal(names, []string{"data", "raw", "closed", "many", "none"}) {
		t.Fatalf("areas: %v", names)
	}
	raw := areas[1]
	if raw.Within != "data" || raw.Path != "/data/raw" || raw.Mount != "/data" || raw.Pattern != "p" ||
		!slices.Equal(raw.Groups, []string{"instrument", "type"}) || len(raw.Types) != 1 || !slices.Equal(raw.Types[0].Groups, []string{"nircam", "a/b"}) {
		t.Errorf("raw: %+v", raw)
	}
	if m := areas[2].Types[0].Node.Metric(datamodel.Files); m.Bound != datamodel.LowerBound || m.Value != 1 {
		t.Errorf("files of an area with something unreadable: %+v", m)
	}
	if m := areas[3].Types[0].Node.Metric(datamodel.FilesMade); m.Reason != "too many" {
		t.Errorf("files made of too many: %+v", m)
	}
	if m := areas[3].Types[0].Node.Metric(datamodel.Files); m.Value != 9 || m.Bound != "" {
		t.Errorf("files of too many: %+v", m)
	}
	if m := areas[4].Node.Metric(datamodel.Files); m.Reason != "no such folder" {
		t.Errorf("files of no folder: %+v", m)
	}

	// The sensor looked while the command ran, so its figure of the free space stays.
	disk := tree.Find(datamodel.DeviceLevel, "disk//data")
	if m := disk.Metric(datamodel.SpaceFree); m.Value != 500 || m.Provenance != sensors.Sampled {
		t.Errorf("free: %+v", m)
	}
	if m := disk.Metric(datamodel.SpaceUsed); m.Value != 600 || m.Unit != units.Byte {
		t.Errorf("used: %+v", m)
	}
	if m := tree.Find(datamodel.DeviceLevel, "disk//").Metric(datamodel.SpaceFree); m.Value != 1 {
		t.Errorf("free of the other file system: %+v", m)
	}

	var said []string
	for _, w := range warnings {
		if w.Subject == datamodel.InventoryFamily {
			said = append(said, w.Text)
		}
	}
	for i, want := range []string{"closed has what cannot be read", "which files of many changed is not known", "the 3 smallest count as other", "none was not counted"} {
		if len(said) != 4 || !strings.Contains(said[i], want) {
			t.Fatalf("warnings: %q, want %q", said, want)
		}
	}
}

// TestInventoryInterrupted has no count: each area is there with the reason.
func TestInventoryInterrupted(t *testing.T) {
	in := input{Ledger: datamodel.Ledger{Inventory: &datamodel.Inventory{
		Reason: "interrupted by SIGINT", Areas: []datamodel.Area{{Name: "a", Path: "/a", Groups: []string{"type"}}},
	}}}
	tree, warnings := build(t, in)
	areas := datamodel.InventoryOf(tree)
	if len(areas) != 1 || areas[0].Node.Metric(datamodel.Files).Reason != "interrupted by SIGINT" || len(warnings) != 1 {
		t.Errorf("%+v, %v", areas, warnings)
	}
}

// TestInventoryOfStrangers has nodes that no ergon makes: they are left out and nothing fails.
func TestInventoryOfStrangers(t *testing.T) {
	device := func(meta ...datamodel.Pair) *datamodel.Node {
		return &datamodel.Node{Level: datamodel.DeviceLevel, Family: datamodel.InventoryFamily, Meta: meta}
	}
	tree := &datamodel.Node{Children: []*datamodel.Node{
		device(), device(datamodel.Pair{Key: "of_area", Value: "nobody"}), device(datamodel.Pair{Key: "area", Value: "a"}),
		device(datamodel.Pair{Key: "of_area", Value: "a"}),
		device(datamodel.Pair{Key: "of_area", Value: "a"}, datamodel.Pair{Key: "x", Value: "1"}, datamodel.Pair{Key: "y", Value: "2"}),
		device(datamodel.Pair{Key: "of_area", Value: "a"}, datamodel.Pair{Key: "type", Value: "fits"}),
	}}
	areas := datamodel.InventoryOf(tree)
	if len(areas) != 1 || len(areas[0].Types) != 1 {
		t.Errorf("%+v", areas)
	}
}
