package report

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
)

// TestFewRounds checks that the text says when there are too few rounds for an interval, and only then.
func TestFewRounds(t *testing.T) {
	for _, n := range []int{1, leastForInterval - 1, leastForInterval} {
		b := datamodel.Bench{Ended: datamodel.BenchComplete, Commands: []datamodel.BenchCommand{{Name: "one"}}}
		for i := range n {
			b.Rounds = append(b.Rounds, datamodel.Round{
				Block: i, Outcome: datamodel.Done, Metrics: []datamodel.Metric{{Name: datamodel.WallTime, Value: 1 + float64(i)/100}},
			})
		}
		rule := compare.Rule{Confidence: 0.95}
		var text strings.Builder
		if err := (Bench{Bench: b, Sides: rule.Sides(b, []string{datamodel.WallTime}, true)}).Write(&text, "text", Options{Unicode: true}); err != nil {
			t.Fatal(err)
		}
		few, interval := strings.Contains(text.String(), "too few for an interval"), strings.Contains(text.String(), "±")
		if few == interval || few != (n < leastForInterval) {
			t.Errorf("%d rounds:\n%s", n, text.String())
		}
	}
}

// TestBenchWork looks at the product of energy and time, at the cost of a unit of work, and at the details of the text.
func TestBenchWork(t *testing.T) {
	b := datamodel.Bench{Ended: datamodel.BenchComplete, Commands: []datamodel.BenchCommand{
		{Name: "one", Work: &datamodel.Work{Amount: 1000, Unit: "requests"}},
	}}
	for i, wall := range []float64{1, 1.01, 0.99, 1.02, 0.98, 1, 9} {
		r := datamodel.Round{Block: i, Outcome: datamodel.Done, Metrics: []datamodel.Metric{{Name: datamodel.WallTime, Value: wall}, {Name: datamodel.TargetEnergy, Value: 2 * wall}}}
		if i == 5 {
			r.Metrics[1] = datamodel.Missing(datamodel.TargetEnergy, "J", "the counter did not move")
		}
		b.Rounds = append(b.Rounds, r)
	}
	metrics := []string{datamodel.WallTime, datamodel.TargetEnergy, datamodel.EDP, datamodel.PeakMemory}
	rule := compare.Rule{Confidence: 0.95}
	made := Bench{Bench: b, Sides: rule.Sides(b, metrics, false), Rule: rule}
	var out struct {
		Commands []struct {
			Work    datamodel.Work
			Metrics map[string]figureJSON
		}
	}
	if err := json.Unmarshal([]byte(exported(t, made, "json")), &out); err != nil {
		t.Fatal(err)
	}
	m := out.Commands[0].Metrics
	edp := m[datamodel.EDP]
	if edp.N != 6 || edp.Reason != "the counter did not move" || edp.Values[5] != nil || *edp.Max != 162 || edp.Unit != "J.s" || edp.PerWork != nil {
		t.Errorf("energy × time: %+v", edp)
	}
	if w := m[datamodel.TargetEnergy].PerWork; w == nil || w.Unit != "J/{requests}" || math.Abs(*w.Median-*m[datamodel.TargetEnergy].Median/1000) > 1e-12 {
		t.Errorf("energy of a unit of work: %+v", w)
	}
	if out.Commands[0].Work.Amount != 1000 {
		t.Errorf("%+v", out.Commands[0].Work)
	}
	for _, detailed := range []bool{false, true} {
		made.Detailed = detailed
		var text strings.Builder
		if err := made.Write(&text, "text", Options{Unicode: true}); err != nil {
			t.Fatal(err)
		}
		for want, there := range map[string]bool{
			"each of 1,000 requests: 1.00 ms wall time, 2.01 mJ energy": true, "energy × time": detailed, "quartiles 995 ms": detailed,
			"far off: 9.00 s in round 7": detailed, ", 1 far off": true,
		} {
			if strings.Contains(text.String(), want) != there {
				t.Errorf("details %v: %q there: %v, want %v, in\n%s", detailed, want, !there, there, text.String())
			}
		}
	}
	rows, err := csv.NewReader(strings.NewReader(exported(t, made, "csv"))).ReadAll()
	if err != nil || len(rows) != 4 || strings.Join(rows[1][16:], " ") != "0.995 1.0150000000000001 1 0.001 requests" || strings.Join(rows[3][18:], ",") != "1,," {
		t.Errorf("%v %q", err, rows)
	}
}

// TestBenchSeries checks that the whole text of a kept bench says that there are no time series. The short one does not.
func TestBenchSeries(t *testing.T) {
	b := oneRound("first", "second")
	b.Run.ID = "20260314T091502-qlmzro"
	for _, detailed := range []bool{false, true} {
		b.Detailed = detailed
		if got := exported(t, b, "text"); strings.Contains(got, "no time series") != detailed {
			t.Errorf("if all is asked for is %v, the text is\n%s", detailed, got)
		}
	}
}
