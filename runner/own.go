package runner

import (
	"math"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// mostOwn is how many figures of its own a command may tell, by their names. More would make a row of each reading too wide.
const mostOwn = 100

// ownFigures returns the figures that the command told of, as the readings of one source with a sensor for each name. left is
// the number of names beyond mostOwn. It returns nil if there are none.
func ownFigures(told []datamodel.Mark, host string) (rows []store.Rows, left int) {
	at := make(map[string]int)
	var names []string
	for _, m := range told {
		if _, known := at[m.Name]; m.Kind == datamodel.MetricMark && !known {
			at[m.Name] = len(names)
			names = append(names, m.Name)
		}
	}
	if len(names) == 0 {
		return nil, 0
	}
	left = max(0, len(names)-mostOwn)
	names = names[:len(names)-left]
	r := store.Rows{Header: store.SpoolHeader{Source: datamodel.OwnFamily, Host: host}}
	for _, name := range names {
		r.Header.Sensors = append(r.Header.Sensors, sensors.Sensor{
			ID: datamodel.OwnFamily + "/" + name, Family: datamodel.OwnFamily, Name: name, Unit: units.Ratio, Kind: sensors.Gauge,
			Source: "ERGON_METRIC of the command", Doc: "a figure that the command told of", OfTarget: true, Sparse: true,
		})
	}
	row := make([]float64, len(names))
	for _, m := range told {
		if m.Kind != datamodel.MetricMark || at[m.Name] >= len(names) {
			continue
		}
		for i := range row {
			row[i] = math.NaN()
		}
		row[at[m.Name]] = m.Value
		r.Append(m.At, row)
	}
	return []store.Rows{r}, left
}
