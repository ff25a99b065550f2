package main

import (
	"context"
	"io"
	"os"
	"os/user"
	"strings"

	"github.com/ergon-energy/ergon/internal/screen"

	"github.com/ergon-energy/ergon/cmd/ergon/doctor"
)

// DoctorOptions are the options of `ergon doctor`.
type DoctorOptions struct {
	// Results is the results folder; its file system has a sensor in a run.
	Results string
	JSON    bool
	// Script prints a script of shell with all changes.
	Script bool
	SensorOptions
}

func (p *program) doctorCommand() *subcommand {
	o := DoctorOptions{Results: defaultResults, SensorOptions: defaultSensorOptions()}
	return &subcommand{
		name: "doctor", example: "ergon doctor", usage: "what cannot be read here, why, and how to change that; it changes nothing itself",
		description: "The exit code is 0 if everything that exists can be read, else 1. With --script it is 0.",
		options: append(table{
			resultsOption(&o.Results),
			{name: "json", usage: "one JSON object", value: toggle{&o.JSON}},
			{name: "script", usage: "all changes as one commented script with its undo, to be read and then run by root", value: toggle{&o.Script}},
		}, o.table(p.backends)...),
		run: func(ctx context.Context, words []string) error {
			if len(words) > 0 {
				return misused("doctor", "doctor: takes no argument, not %q: --sensors selects", words[0])
			}
			return p.doctor(ctx, o)
		},
	}
}

// doctor looks for the cause of everything that cannot be read.
func (p *program) doctor(ctx context.Context, o DoctorOptions) error {
	host, ready, err := p.everySensor(ctx, o.SensorOptions, o.Results)
	if err != nil {
		return err
	}
	readings := make([]doctor.Reading, len(ready.Sensors))
	for i, s := range ready.Sensors {
		readings[i] = doctor.Reading{Backend: s.Backend, Family: s.Family}
	}
	facts := doctor.Probe(host, readings, ready.Missing)
	facts.Static = static()
	found := doctor.Examine(facts)
	if o.Script {
		return p.printScript(found)
	}
	if err := p.printDiagnosis(found, o.JSON); err != nil {
		return err
	}
	if !found.Well() {
		return status(exitUnwell)
	}
	return nil
}

func (p *program) printDiagnosis(found doctor.Report, asJSON bool) error {
	if asJSON {
		return writeJSON(p.out, found)
	}
	var b strings.Builder
	for _, line := range found.Text() {
		b.WriteString(screen.Clean(line) + "\n")
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

// printScript prints the changes for the user who asks, or who called sudo.
func (p *program) printScript(found doctor.Report) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	name := ""
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if who, err := here().caller(); err == nil && who != nil {
		name = who.name
	}
	_, err = io.WriteString(p.out, found.Script(name, self))
	return err
}
