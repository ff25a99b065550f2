package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

func (p *program) sensorsCommand() *cli.Command {
	return &cli.Command{
		Name: "sensors", Usage: "what can be read here, from where, and why the rest cannot",
		Flags: append([]cli.Flag{
			resultsFlag(),
			&cli.BoolFlag{Name: "json", Usage: "one JSON object"},
			&cli.BoolFlag{Name: "energy", Usage: "the energy counters as a tree: which are summed, and why the others are not"},
			replayFlag("those of the machine that the tape was recorded on, with their first readings: `FILE`"),
		}, sensorFlags()...),
		Action: p.sensors,
	}
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
	// Reading is a current one, null where there is none at the moment.
	Reading *float64 `json:"reading"`
	Doc     string   `json:"doc,omitempty"`
	// Reason says why it is not readable.
	Reason string `json:"reason,omitempty"`
}

// sensors prints what there is and what there is not.
func (p *program) sensors(c *cli.Context) error {
	if c.NArg() > 0 {
		return misused("sensors", "sensors: takes no argument, not %q: --sensors selects", c.Args().First())
	}
	var ready sampler.Ready
	var err error
	if c.IsSet("replay") {
		ready, err = p.tapeSensors(c.String("replay"))
	} else {
		_, ready, err = p.everySensor(c)
	}
	if err != nil {
		return err
	}
	if c.Bool("energy") {
		return energyTree(p.out, ready.Sensors, ready.Missing, c.Bool("json"))
	}
	rows := make([]sensorRow, 0, len(ready.Sensors)+len(ready.Missing))
	for _, s := range ready.Sensors {
		rows = append(rows, present(s))
	}
	for _, a := range ready.Missing {
		rows = append(rows, absent(a))
	}
	if c.Bool("json") {
		out := json.NewEncoder(p.out)
		out.SetIndent("", "  ")
		return out.Encode(struct {
			Schema  string      `json:"schema"`
			Sensors []sensorRow `json:"sensors"`
		}{"ergon.sensors/1", rows})
	}
	return p.sensorTable(rows)
}

// everySensor asks a sampler process for all sensors, as a driver's library is to be loaded nowhere else. The host is the one
// that was asked for.
func (p *program) everySensor(c *cli.Context) (host sensors.Host, ready sampler.Ready, err error) {
	config, err := p.config(c)
	if err != nil {
		return host, ready, err
	}
	config.List = true
	config.Host.Runner = os.Getpid()
	if wd, err := os.Getwd(); err == nil {
		config.Host.Dirs = append(config.Host.Dirs, wd)
	}
	results, err := filepath.Abs(c.String("results"))
	if err != nil {
		return host, ready, err
	}
	config.Host.Dirs = append(config.Host.Dirs, standing(results)) // whose file system has a sensor in a run
	client, err := p.startSampler(nil)
	if err != nil {
		return host, ready, err
	}
	defer client.Wait()
	defer client.Close()
	if err := client.Configure(config); err != nil {
		return host, ready, err
	}
	if err := client.Attach(sampler.Subject{}); err != nil {
		return host, ready, err
	}
	ready, err = client.Ready(context.Background())
	return config.Host, ready, wrongSensors(err)
}

func present(s sampler.Listed) sensorRow {
	return sensorRow{
		ID: s.ID, Device: s.Device, Present: true, Readable: true, Unit: s.Unit, Kind: s.Kind.String(), Source: s.Source,
		Interval: s.Interval.Seconds(), Reading: s.Reading, Doc: s.Doc,
	}
}

func absent(a sensors.Absence) sensorRow {
	return sensorRow{ID: a.ID, Present: a.Present, Source: a.Source, Reason: a.Reason}
}

// sensorTable writes what is there, then what is not.
func (p *program) sensorTable(rows []sensorRow) error {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SENSOR\tREADING\tKIND\tEVERY\tSOURCE")
	for _, r := range rows {
		if r.Readable {
			v := math.NaN()
			if r.Reading != nil {
				v = *r.Reading
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", report.Clean(r.ID), units.Format(v, r.Unit), r.Kind,
				units.Format(r.Interval, units.Second), report.Clean(r.Source))
		}
	}
	if err := w.Flush(); err != nil {
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
		fmt.Fprintf(p.out, "  %s: %s", report.Clean(r.ID), report.Clean(r.Reason))
		if r.Source != "" {
			fmt.Fprintf(p.out, " (%s)", report.Clean(r.Source))
		}
		fmt.Fprintln(p.out)
	}
	return nil
}
