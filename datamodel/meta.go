package datamodel

import (
	"strconv"
	"time"

	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/sensors"
)

// DerivedMeta returns the metadata of a node that the run itself says: of a run, of a host, or of a sensor that the source
// readBy has read. Other metadata of the node follows it.
func DerivedMeta(n *Node, readBy string, run Run) []Pair {
	switch {
	case n.Level == RunLevel:
		return runMeta(run)
	case n.Level == HostLevel:
		return HostFacts(run.Host)
	case n.Sensor != nil:
		return precision(*n.Sensor, readBy, run.Sources)
	}
	return nil
}

// runMeta returns the metadata of the run's node.
func runMeta(r Run) []Pair {
	meta := []Pair{
		{Key: "command", Value: cmdline.Line(r.Command)},
		{Key: "folder", Value: r.Folder},
		{Key: "outcome", Value: string(r.Outcome)},
	}
	if r.Reason != "" {
		meta = append(meta, Pair{Key: "reason", Value: r.Reason})
	}
	if r.ExitCode != nil {
		meta = append(meta, Pair{Key: "exit_code", Value: strconv.Itoa(*r.ExitCode)})
	}
	if r.Signal != "" {
		meta = append(meta, Pair{Key: "signal", Value: r.Signal})
	}
	return append(meta, Pair{Key: "start", Value: r.Start.UTC().Format(time.RFC3339Nano)}, Pair{Key: "version", Value: r.Version})
}

// ReadBy is the key of the pair that names the source which has read a sensor.
const ReadBy = "read_by"

// precision describes the resolution and the update period of a sensor, and how long reading its source took, in base
// units. An unknown value has no line.
func precision(s sensors.Sensor, readBy string, sources []SourceStats) []Pair {
	var out []Pair
	add := func(key string, v float64) {
		if v > 0 {
			out = append(out, Pair{Key: key, Value: strconv.FormatFloat(v, 'g', 6, 64)})
		}
	}
	add("resolution", s.Resolution)
	add("update_period", s.Update.Seconds())
	for _, src := range sources {
		if src.Name == readBy && !src.Hung && src.Readings > 0 {
			out = append(out, Pair{Key: ReadBy, Value: src.Name})
			add("interval", src.Interval)
			add("read_time_mean", src.ReadTime/float64(src.Readings))
			add("read_time_worst", src.Worst)
		}
	}
	return out
}
