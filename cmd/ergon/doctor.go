package main

import (
	"encoding/json"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ergon-energy/ergon/internal/doctor"
	"github.com/ergon-energy/ergon/report"
)

func (p *program) doctorCommand() *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "what cannot be read here, why, and how to change that; it changes nothing itself",
		Description: "Exit code 0 where everything that exists can be read, else 1.",
		Flags:       append([]cli.Flag{resultsFlag(), &cli.BoolFlag{Name: "json", Usage: "one JSON object"}}, sensorFlags()...),
		Action:      p.doctor,
	}
}

// doctor looks at what is behind the list of sensors.
func (p *program) doctor(c *cli.Context) error {
	if c.NArg() > 0 {
		return misused("doctor", "doctor: takes no argument, not %q: --sensors selects", c.Args().First())
	}
	host, ready, err := p.everySensor(c)
	if err != nil {
		return err
	}
	readings := make([]doctor.Reading, len(ready.Sensors))
	for i, s := range ready.Sensors {
		readings[i] = doctor.Reading{Backend: s.Backend, Family: s.Family}
	}
	found := doctor.Examine(doctor.Probe(host, readings, ready.Missing))
	if err := p.printDiagnosis(found, c.Bool("json")); err != nil {
		return err
	}
	if !found.Well() {
		return status(1)
	}
	return nil
}

func (p *program) printDiagnosis(found doctor.Report, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(p.out)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false) // the commands are to be copied
		return out.Encode(found)
	}
	var b strings.Builder
	for _, line := range found.Text() {
		b.WriteString(report.Clean(line) + "\n")
	}
	_, err := p.out.WriteString(b.String())
	return err
}
