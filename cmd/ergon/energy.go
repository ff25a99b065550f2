package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/internal/screen"

	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// energyRow is one domain of `ergon sensors --energy --json`.
type energyRow struct {
	ID       string `json:"id"`
	Family   string `json:"family"`
	Device   string `json:"device"`
	Readable bool   `json:"readable"`
	// Summed says that the sensor is part of the machine's energy. Why says what becomes of it.
	Summed bool   `json:"summed"`
	Why    string `json:"why"`
	// Parent is the sensor whose domain contains this one. Same is the sensor that is summed instead. Both may be null.
	Parent *string    `json:"parent"`
	Same   *string    `json:"same"`
	Unit   units.Unit `json:"unit,omitempty"`
	Kind   string     `json:"kind,omitempty"`
	Source string     `json:"source,omitempty"`
	// Reading is a current one, null if there is none.
	Reading *float64 `json:"reading"`
}

// energyTree prints what the energy sensors measure, which of them are summed, and why the others are not.
func energyTree(to io.Writer, backends []sensors.Backend, list []sampler.Listed, missing []sensors.Absence, asJSON bool) error {
	all := make([]sensors.Sensor, len(list))
	readings := make(map[string]*float64)
	for i, s := range list {
		all[i], readings[s.ID] = s.Sensor, s.Reading
	}
	r := account.Resolve(all, missing)
	if asJSON {
		rows := make([]energyRow, len(r.Domains))
		for i, d := range r.Domains {
			rows[i] = energyRow{
				ID: d.Sensor.ID, Family: d.Sensor.Family, Device: d.Sensor.Device, Readable: d.Sensor.Unit != "",
				Summed: d.Covered, Why: d.Why, Parent: orNull(d.Parent), Same: orNull(d.Same), Unit: d.Sensor.Unit,
				Source: d.Sensor.Source, Reading: readings[d.Sensor.ID],
			}
			if rows[i].Readable {
				rows[i].Kind = d.Sensor.Kind.String()
			}
		}
		return writeJSON(to, struct {
			Schema  string      `json:"schema"`
			Cover   *string     `json:"cover"`
			Domains []energyRow `json:"domains"`
		}{"ergon.energy/1", orNull(r.Name()), rows})
	}
	return energyText(to, r, readings, missing, energyFamilies(backends))
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func energyText(to io.Writer, r account.Resolution, readings map[string]*float64, missing []sensors.Absence, families map[string]bool) error {
	if name := r.Name(); name != "" {
		fmt.Fprintf(to, "Energy of this machine: %s\n", screen.Clean(name))
	} else {
		fmt.Fprintln(to, "Energy of this machine: none can be summed")
	}
	if len(r.Domains) > 0 {
		fmt.Fprintln(to)
		c := newColumns(to, "DOMAIN", "SENSOR", "READING", "")
		for _, line := range energyLines(r.Domains) {
			s := line.domain.Sensor
			c.row(strings.Repeat("  ", line.depth)+line.name, s.ID, units.Format(orNaN(readings[s.ID]), s.Unit), line.domain.Why)
		}
		if err := c.flush(); err != nil {
			return err
		}
	}
	first := true
	for _, a := range missing {
		if strings.Count(a.ID, "/") > 1 || !families[a.Family] {
			continue
		}
		if first {
			fmt.Fprintln(to)
			first = false
		}
		fmt.Fprintf(to, "%s: %s\n", screen.Clean(a.ID), screen.Clean(a.Reason))
	}
	if slices.ContainsFunc(missing, func(a sensors.Absence) bool { return a.Present() && families[a.Family] }) {
		fmt.Fprintln(to, "\nergon doctor tells what would help.")
	}
	return nil
}

// energyFamilies returns the families that can measure energy.
func energyFamilies(backends []sensors.Backend) map[string]bool {
	families := make(map[string]bool)
	for _, b := range backends {
		families[b.FamilyName()] = families[b.FamilyName()] || b.Energy
		families[b.Name] = families[b.FamilyName()] // as older tapes have it
	}
	return families
}

// energyLine is a domain in the order of the tree.
type energyLine struct {
	domain account.Domain
	name   string
	depth  int
}

// energyLines puts the domains in the order of the tree. After each come the domains inside it, then the sensors that read the
// same thing. In the other order the inner domains would seem to lie in those sensors.
func energyLines(all []account.Domain) []energyLine {
	var out []energyLine
	done := make([]bool, len(all))
	var add func(i, depth int, above string)
	add = func(i, depth int, above string) {
		if done[i] {
			return
		}
		done[i] = true
		d := all[i]
		name := strings.TrimPrefix(d.Sensor.Device, above+"/")
		if d.Sensor.Name != "energy" && d.Sensor.Name != "power" {
			name += " " + d.Sensor.Name
		}
		out = append(out, energyLine{d, name, depth})
		for j, other := range all {
			if other.Parent == d.Sensor.ID && other.Same == "" {
				add(j, depth+1, d.Sensor.Device)
			}
		}
		for j, other := range all {
			if other.Same == d.Sensor.ID {
				add(j, depth, above)
			}
		}
	}
	for i, d := range all {
		if d.Parent == "" && d.Same == "" {
			add(i, 0, "")
		}
	}
	for i := range all { // whatever the IDs say, none is left out
		add(i, 0, "")
	}
	return out
}
