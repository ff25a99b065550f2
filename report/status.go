package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// Status is what is known about a run while the command runs.
type Status struct {
	// Elapsed is the time since the command was started.
	Elapsed time.Duration
	datamodel.Now
}

// Line returns the status as one line without a line end, at most o.Width columns wide if that is set. It leaves out
// unknown values. If the line is too long, it also leaves out values at its end.
func (s Status) Line(o Options) string {
	line, of := "ergon "+clock(s.Elapsed), ""
	for _, part := range []struct {
		of, name string
		value    float64
		unit     units.Unit
	}{
		{"machine", "power", s.Power, units.Watt},
		{"machine", "cpu", s.CPU, units.Ratio},
		{"command", "memory", s.Memory, units.Byte},
	} {
		if math.IsNaN(part.value) || math.IsInf(part.value, 0) {
			continue
		}
		next := line + "  "
		if part.of != of {
			next += part.of + " "
		}
		next += part.name + " " + units.Format(part.value, part.unit)
		if o.Width > 0 && columns(next) > o.Width {
			break
		}
		line, of = next, part.of
	}
	if !o.Unicode {
		line = ascii(line)
	}
	if o.Width > 0 && columns(line) > o.Width {
		line = strings.TrimRight(line[:o.Width], " ") // ASCII: only "ergon 1:02:03" is left
	}
	return line
}

// clock formats elapsed time as m:ss or h:mm:ss, so that the line does not change its length every second.
func clock(d time.Duration) string {
	s := int64(max(0, d) / time.Second)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
