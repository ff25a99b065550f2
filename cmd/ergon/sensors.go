package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/ergon-energy/ergon/internal/screen"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// SensorsOptions are the options of `ergon sensors`.
type SensorsOptions struct {
	// Results is the results folder; its file system has a sensor in a run.
	Results string
	JSON    bool
	// Energy shows the energy sensors as a tree.
	Energy bool
	// Replay is a tape to list the sensors of; empty lists those of this machine.
	Replay string
	SensorOptions
}

func (p *program) sensorsCommand() *subcommand {
	o := SensorsOptions{Results: defaultResults, SensorOptions: defaultSensorOptions()}
	return &subcommand{
		name: "sensors", example: "ergon sensors --energy", usage: "what can be read here, from where, and why the rest cannot",
		options: append(table{
			resultsOption(&o.Results),
			{name: "json", usage: "one JSON object", value: toggle{&o.JSON}},
			{name: "energy", usage: "the energy counters as a tree: which are summed, and why the others are not", value: toggle{&o.Energy}},
			{
				name: "replay", scope: once, value: required{&o.Replay, "file"},
				usage: "the sensors of the machine that the tape was recorded on, with their first readings: `FILE`",
			},
		}, o.table(p.backends)...),
		run: func(ctx context.Context, words []string) error {
			if len(words) > 0 {
				return misused("sensors", "sensors: takes no argument, not %q: --sensors selects", words[0])
			}
			return p.sensors(ctx, o)
		},
	}
}

// sensors prints what can be read and what cannot.
func (p *program) sensors(ctx context.Context, o SensorsOptions) (err error) {
	var ready sampler.Ready
	if o.Replay != "" {
		ready, err = p.tapeSensors(o.Replay)
	} else {
		_, ready, err = p.everySensor(ctx, o.SensorOptions, o.Results)
	}
	if err != nil {
		return err
	}
	if o.Energy {
		return energyTree(p.out, p.backends, ready.Sensors, ready.Missing, o.JSON)
	}
	rows := make([]sensorRow, 0, len(ready.Sensors)+len(ready.Missing))
	for _, s := range ready.Sensors {
		rows = append(rows, present(s))
	}
	for _, a := range ready.Missing {
		rows = append(rows, absent(a))
	}
	if o.JSON {
		return writeJSON(p.out, struct {
			Schema  string      `json:"schema"`
			Sensors []sensorRow `json:"sensors"`
		}{"ergon.sensors/1", rows})
	}
	return p.sensorTable(rows)
}

// everySensor asks a sampler process for all sensors: no other process loads a driver's library. It also
// returns the setup that it asked for.
func (p *program) everySensor(ctx context.Context, o SensorOptions, resultsDir string) (setup sensors.Setup, ready sampler.Ready, err error) {
	config := o.config()
	config.List = true
	config.Setup.Runner = os.Getpid()
	if wd, err := os.Getwd(); err == nil {
		config.Setup.Dirs = append(config.Setup.Dirs, wd)
	}
	results, err := filepath.Abs(resultsDir)
	if err != nil {
		return setup, ready, err
	}
	config.Setup.Dirs = append(config.Setup.Dirs, standing(results))
	client, err := p.spawnSampler()
	if err != nil {
		return setup, ready, err
	}
	defer client.Wait()
	defer client.Close()
	if err := client.Configure(config); err != nil {
		return setup, ready, err
	}
	if err := client.Attach(sampler.Subject{}); err != nil {
		return setup, ready, err
	}
	ready, err = client.Ready(ctx)
	return config.Setup, ready, wrongSensors(err)
}

// tapeSensors returns the sensors of the recorded machine, each with its first reading on the tape.
func (p *program) tapeSensors(file string) (ready sampler.Ready, err error) {
	tape, run, err := runner.TapeSensors(file)
	if err != nil {
		return ready, fmt.Errorf("replay: %w", err)
	}
	names := sources(p.backends)
	place := func(name string) int { // a source we do not have comes last
		if i := slices.Index(names, name); i >= 0 {
			return i
		}
		return len(names)
	}
	slices.SortStableFunc(tape, func(a, b store.Readings) int { return cmp.Compare(place(a.Source), place(b.Source)) })
	for _, source := range tape {
		for i, sensor := range source.Sensors {
			listed := sampler.Listed{Sensor: sensor, Backend: source.Source, Interval: source.Interval}
			if v := source.Values[i]; !math.IsNaN(v) {
				listed.Reading = &v
			}
			ready.Sensors = append(ready.Sensors, listed)
		}
	}
	ready.Missing, ready.Accounting = run.Missing, run.Accounting
	return ready, nil
}

// sensorRow is one sensor of `ergon sensors --json`.
type sensorRow struct {
	ID       string     `json:"id"`
	Device   string     `json:"device"`
	Present  bool       `json:"present"`
	Readable bool       `json:"readable"`
	Unit     units.Unit `json:"unit,omitempty"`
	Kind     string     `json:"kind,omitempty"`
	Source   string     `json:"source,omitempty"`
	// Interval is the time between readings in seconds.
	Interval float64 `json:"interval,omitempty"`
	// Reading is a current one, null if there is none at the moment.
	Reading *float64 `json:"reading"`
	Doc     string   `json:"doc,omitempty"`
	// Cause says why it is not readable, for programs, and Reason for people.
	Cause  sensors.Cause `json:"cause,omitempty"`
	Reason string        `json:"reason,omitempty"`
}

func present(s sampler.Listed) sensorRow {
	return sensorRow{
		ID: s.ID, Device: s.Device, Present: true, Readable: true, Unit: s.Unit, Kind: s.Kind.String(), Source: s.Source,
		Interval: s.Interval.Seconds(), Reading: s.Reading, Doc: s.Doc,
	}
}

func absent(a sensors.Absence) sensorRow {
	return sensorRow{ID: a.ID, Present: a.Present(), Source: a.Source, Cause: a.Cause, Reason: a.Reason}
}

// sensorTable prints what can be read, then what cannot.
func (p *program) sensorTable(rows []sensorRow) error {
	c := newColumns(p.out, "SENSOR", "READING", "KIND", "EVERY", "SOURCE")
	for _, r := range rows {
		if r.Readable {
			c.row(r.ID, units.Format(orNaN(r.Reading), r.Unit), r.Kind, units.Format(r.Interval, units.Second), r.Source)
		}
	}
	if err := c.flush(); err != nil {
		return err
	}
	first := true
	for _, r := range rows {
		if r.Readable {
			continue
		}
		if first {
			fmt.Fprintln(p.out, "\nNot readable here:")
			first = false
		}
		fmt.Fprintf(p.out, "  %s: %s", screen.Clean(r.ID), screen.Clean(r.Reason))
		if r.Source != "" {
			fmt.Fprintf(p.out, " (%s)", screen.Clean(r.Source))
		}
		fmt.Fprintln(p.out)
	}
	if slices.ContainsFunc(rows, func(r sensorRow) bool { return r.Present && !r.Readable }) {
		fmt.Fprintln(p.out, "\nergon doctor tells what would help.")
	}
	return nil
}
