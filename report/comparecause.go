package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/units"
)

// This file says in words which programs changed.

// saidPrograms is how many programs a sentence names.
const saidPrograms = 5

// plainName quotes the name of a program in text.
func plainName(name string) string { return "`" + printable(name) + "`" }

// causeText says in one sentence which programs changed: "+31 J: `cc1` +12 s CPU, 170 → 182 starts; `ld` reads +400 MiB; the
// rest unchanged". name quotes the name of a program. The text is "" if nothing changed, or if there are no process tables.
func causeText(b compare.Benchmark, name func(string) string) string {
	c := b.Cause
	if c.Base == 0 || c.New == 0 {
		return ""
	}
	head := headText(b)
	if len(c.Programs) == 0 {
		switch {
		case head == "":
			return ""
		case !c.Tested:
			return head + ": no program changed by more than the threshold (the rounds are too few to know the noise)"
		}
		return head + ": no program changed beyond its noise"
	}
	var parts []string
	for _, p := range c.Programs[:min(saidPrograms, len(c.Programs))] {
		parts = append(parts, programText(p, name))
	}
	if more := len(c.Programs) - len(parts); more > 0 {
		parts = append(parts, "and "+plural(more, "more program"))
	}
	if c.Others > 0 && c.Tested {
		parts = append(parts, "the rest unchanged")
	}
	text := strings.Join(parts, "; ")
	if head != "" {
		text = head + ": " + text
	}
	if !c.Tested {
		text += " (the rounds are too few to know whether this is noise)"
	}
	return text
}

// headText says by how much the figures changed that have a verdict: "+31 J".
func headText(b compare.Benchmark) string {
	const most = 2
	var parts []string
	for _, name := range []string{
		datamodel.TargetEnergy, datamodel.Energy, datamodel.CPUTime, datamodel.WallTime, datamodel.PeakMemory, datamodel.DiskRead, datamodel.DiskWrite,
	} {
		for _, f := range b.Figures {
			switch f.Change.Verdict {
			case compare.Regressed, compare.Improved, compare.Changed:
			case compare.Unchanged, compare.Inconclusive:
				continue
			}
			if f.Metric.Name != name || len(parts) == most || name == datamodel.Energy && len(parts) > 0 { // the machine's has the command's
				continue
			}
			text := signed(f.New.Median.Value-f.Base.Median.Value, f.Metric.Unit)
			if f.Metric.Unit != units.Joule {
				text += " " + f.Metric.Label
			}
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ", ")
}

// programText says what changed of one program.
func programText(p compare.Program, name func(string) string) string {
	var parts []string
	for _, change := range p.Changes {
		parts = append(parts, programChangeText(change, p.Energy))
	}
	return programName(p, name) + " " + strings.Join(parts, ", ")
}

// programName names a program, or what stands for processes without a name.
func programName(p compare.Program, name func(string) string) string {
	switch p.Kind {
	case datamodel.UnseenProcesses:
		return "processes that were not seen"
	case datamodel.MergedProcesses:
		return "many small processes together"
	case datamodel.OneProcess, datamodel.NamedProcesses, datamodel.OtherProcesses:
	}
	if p.Name == "" {
		return "processes without a name"
	}
	return name(p.Name)
}

// programChangeText says how one measure changed. energy is the change of the program's energy, in J.
func programChangeText(c compare.ProgramChange, energy float64) string {
	by := signed(c.Difference.Value, c.Measure.Unit())
	switch c.Measure {
	case compare.MeasureCPU:
		text := by + " CPU"
		if !math.IsNaN(energy) && math.Signbit(energy) == math.Signbit(c.Difference.Value) && energy != 0 {
			text += " (" + signed(energy, units.Joule) + ")"
		}
		return text
	case compare.MeasureStarts:
		return fmt.Sprintf("%s → %s starts", plainNumber(c.Base), plainNumber(c.New))
	case compare.MeasureRead:
		return "reads " + by
	case compare.MeasureWritten:
		return "writes " + by
	case compare.MeasureMemory:
		return by + " memory"
	}
	return by
}

// signed formats a difference with its sign.
func signed(v float64, u units.Unit) string {
	if v < 0 {
		return "−" + units.Format(-v, u)
	}
	return "+" + units.Format(v, u)
}
