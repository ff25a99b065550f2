package runner

import (
	"slices"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/sensors"
)

// TestRoundOf takes each condition of the machine from the warnings of a round, and that the command was stopped.
func TestRoundOf(t *testing.T) {
	var want []datamodel.Condition
	rep := Report{State: launch.State{ExitCode: 3}, Stopped: 0.5}
	rep.Run.Warnings = append(rep.Run.Warnings, datamodel.Warning{Subject: "cpu", Text: "no condition"})
	for _, c := range datamodel.Conditions() {
		if c != datamodel.Stopped {
			rep.Run.Warnings = append(rep.Run.Warnings, datamodel.Warning{Subject: c, Text: "it holds"})
		}
		want = append(want, c)
	}
	if r := RoundOf(rep); !slices.Equal(r.Conditions, want) || r.ExitCode != 3 {
		t.Errorf("%v, want %v", r.Conditions, want)
	}
	if r := RoundOf(Report{}); len(r.Conditions) > 0 {
		t.Errorf("an undisturbed round has %v", r.Conditions)
	}
}

// TestSaw says what all rounds say once: sources are added up, what is missing is named once, and a condition is one warning.
func TestSaw(t *testing.T) {
	var k KeptBench
	for range 3 {
		k.Saw(datamodel.Run{
			Sources:  []datamodel.SourceStats{{Name: "cpu", Sensors: 2, Readings: 2, ReadTime: 0.25, Worst: 0.125}},
			Missing:  []sensors.Absence{{ID: "rapl", Reason: "denied"}},
			Warnings: []datamodel.Warning{{Subject: datamodel.Steal, Text: "1 %"}, {Subject: "cpu", Text: "late"}},
		})
	}
	k.Saw(datamodel.Run{Warnings: []datamodel.Warning{{Subject: datamodel.Steal, Text: "2 %"}, {Subject: "cpu", Text: "later"}}})
	if s := k.run.Sources; len(s) != 1 || s[0].Readings != 6 || s[0].ReadTime != 0.75 || s[0].Worst != 0.125 || s[0].Sensors != 2 {
		t.Errorf("sources %+v", s)
	}
	if len(k.run.Missing) != 1 {
		t.Errorf("missing %+v", k.run.Missing)
	}
	if w := k.run.Warnings; len(w) != 3 || w[0].Count != 4 || w[0].Text != "1 %" || w[1].Count != 3 || w[2].Count != 1 {
		t.Errorf("warnings %+v", w)
	}
}

// TestSummarizeBench takes the medians of each command, from the rounds that have a value.
func TestSummarizeBench(t *testing.T) {
	round := func(command int, m ...datamodel.Metric) datamodel.Round {
		return datamodel.Round{Command: command, Outcome: datamodel.Done, Metrics: m}
	}
	wall := func(v float64) datamodel.Metric {
		return datamodel.Value(datamodel.WallTime, v, "s", "delta", sensors.FromCounter, "clock")
	}
	none := datamodel.Missing(datamodel.Energy, "J", "no meter")
	run := datamodel.Run{Bench: &datamodel.Bench{
		Commands: []datamodel.BenchCommand{{Name: "a"}},
		Rounds:   []datamodel.Round{round(0, wall(3), none), round(0, wall(1), none), round(0, datamodel.Missing(datamodel.WallTime, "s", "lost")), round(0, wall(2))},
	}}
	run.Bench.Rounds[1].Outcome = datamodel.TargetFailed
	summarizeBench(&run)
	r := run.Bench.Results[0]
	if v := r.Medians[datamodel.WallTime].Value; v == nil || *v != 2 || r.Rounds != 4 || r.Failed != 1 {
		t.Errorf("%+v", r)
	}
	if e := r.Medians[datamodel.Energy]; e.Value != nil || e.Reason != "no meter" {
		t.Errorf("%+v", e)
	}
	if run.Summary == nil {
		t.Error("one command: the run has no summary")
	}
	run.Bench.Commands, run.Summary = append(run.Bench.Commands, datamodel.BenchCommand{Name: "b"}), nil
	if summarizeBench(&run); run.Summary != nil || len(run.Bench.Results) != 2 {
		t.Errorf("two commands have the summary %+v", run.Summary)
	}
}
