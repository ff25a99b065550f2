package rule_test

import (
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/rule"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// counted is a tree with an area in an area, an area that was not counted, and two file systems.
func counted() *datamodel.Node {
	host := &datamodel.Node{Level: datamodel.HostLevel}
	value := func(name string, v float64, unit units.Unit) datamodel.Metric {
		return datamodel.Value(name, v, unit, "last", sensors.FromCounter, "test")
	}
	area := func(a datamodel.Area, bytes map[string]float64) {
		n := datamodel.AreaNode(a)
		if a.Reason != "" {
			n.Metrics = []datamodel.Metric{datamodel.Missing(datamodel.FileBytes, units.Byte, a.Reason)}
		}
		host.Children = append(host.Children, n)
		for of, v := range bytes {
			n := datamodel.TypeNode(a, datamodel.FileType{Groups: []string{of}})
			n.Metrics = []datamodel.Metric{value(datamodel.FileBytes, v, units.Byte), value(datamodel.FilesMade, 1, units.Files)}
			host.Children = append(host.Children, n)
		}
	}
	kind := []string{"type"}
	area(datamodel.Area{Name: "data", Groups: kind, Mount: "/data"}, map[string]float64{"fits": 1e9, "log": 2e6})
	area(datamodel.Area{Name: "raw", Within: "data", Groups: kind}, map[string]float64{"fits": 5e9})
	area(datamodel.Area{Name: "closed", Groups: kind, Reason: "permission denied"}, nil)
	root := sensors.Sensor{Family: "disk", Device: "/", Name: "free"}
	sensorOf := map[string][]*datamodel.Node{"/": {{Level: datamodel.SensorLevel, Name: "free", Sensor: &root}}}
	for mount, free := range map[string]float64{"/": 1e9, "/data": 20e9} {
		host.Children = append(host.Children, &datamodel.Node{
			Name: "disk/" + mount, Level: datamodel.DeviceLevel, Family: "disk", Metrics: []datamodel.Metric{value("free", free, units.Byte)},
			Children: sensorOf[mount],
		})
	}
	return &datamodel.Node{Level: datamodel.App, Children: []*datamodel.Node{host}}
}

func TestFiles(t *testing.T) {
	get := rule.Files(counted())
	for text, want := range map[string]string{
		"inventory.bytes[data] < 7 GB":          "holds",   // 6.002 GB with the area within
		"inventory.bytes[data] < 6 GB":          "broken",  //
		"inventory.bytes[raw] == 5 GB":          "holds",   //
		"inventory.bytes[data/fits] == 1 GB":    "holds",   // without the area within
		"inventory.bytes[raw/fits] == 5 GB":     "holds",   //
		"max(inventory.bytes[data]) == 5 GB":    "holds",   //
		"min(inventory.bytes[data]) == 2 MB":    "holds",   //
		"mean(inventory.files_made[data]) == 1": "holds",   //
		"inventory.files_made == 3":             "holds",   //
		"inventory.bytes < 1 TB":                "unknown", // an area was not counted
		"inventory.bytes[closed] < 1 TB":        "unknown", //
		"inventory.bytes[nowhere] < 1 TB":       "unknown", //
		"disk.free[/data] > 10 GB":              "holds",   //
		"disk.free[/data/deep/er] > 10 GB":      "holds",   //
		"disk.free[/database] > 10 GB":          "broken",  // it lies in /
		"disk.free[/] > 10 GB":                  "broken",  //
		"energy < 1 J":                          "unknown", //
		"inventory.bytes[data] < +5 % @main":    "unknown", //
	} {
		r, err := rule.Parse(text, datamodel.Catalogue())
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := r.Check(get); got.Verdict.String() != want || want == "unknown" && got.Reason == "" {
			t.Errorf("%s: %s, want %s", text, got.Show(r), want)
		}
	}
	if m := rule.Files(nil)(rule.Term{Metric: "disk.free", Label: "/"}, ""); !strings.Contains(m.Reason, "no file system of /") {
		t.Errorf("without a tree: %+v", m)
	}
}
