package store

import (
	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/cmdline"
)

// LoadBench reads the rounds of a run from its folder, each with its metrics and processes. A run that is no bench is
// one command with one round. The errors are those of Load.
func LoadBench(dir string) (datamodel.Bench, error) {
	r, err := Load(dir)
	if err != nil {
		return datamodel.Bench{}, err
	}
	return benchOf(r), nil
}

// benchOf makes a bench of a plain run.
func benchOf(r datamodel.Result) datamodel.Bench {
	round := datamodel.Round{Start: r.Run.Start, Outcome: r.Run.Outcome, Metrics: r.Summary, Processes: r.Processes}
	if r.Run.ExitCode != nil {
		round.ExitCode = *r.Run.ExitCode
	}
	return datamodel.Bench{
		Commands: []datamodel.BenchCommand{{Name: cmdline.Line(r.Run.Command), Command: r.Run.Command}},
		Rounds:   []datamodel.Round{round},
		Order:    datamodel.Grouped,
		Ended:    datamodel.BenchComplete,
	}
}
