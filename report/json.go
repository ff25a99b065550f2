package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Schema is the version of the JSON report. Its JSON Schema is ergon.report-2.schema.json in this folder.
const Schema = "ergon.report/2"

// The types below are the contract of report -f json. In run, summary and tree every key is present, and null means unknown.
// tree is there only with Options.All.
// host and missing are as in manifest.json, which leaves unknown keys out.
type (
	jsonReport struct {
		Schema   string            `json:"schema"`
		Run      jsonRun           `json:"run"`
		Summary  jsonSummary       `json:"summary"`
		Tree     any               `json:"tree,omitempty"` // a *jsonNode; nil leaves it out
		Missing  []sensors.Absence `json:"missing"`
		Warnings []jsonWarning     `json:"warnings"`
		Sources  []jsonSource      `json:"sources"`
		// Processes is null if the processes of the command were not read.
		Processes *jsonProcesses `json:"processes"`
		// Budgets are [] if there were none.
		Budgets []jsonBudget `json:"budgets"`
		// Inventory is there only if files were counted.
		Inventory *jsonInventory `json:"inventory,omitempty"`
		// Regions is there only if the command told of regions.
		Regions []jsonRegion `json:"regions,omitempty"`
		// Events is there only if there were some.
		Events []jsonEvent `json:"events,omitempty"`
	}
	jsonRun struct {
		ID      string   `json:"id"`
		Project string   `json:"project"`
		Command []string `json:"command"`
		// CommandBytes has the arguments in base64 if one is not UTF-8, else it is null.
		CommandBytes [][]byte  `json:"command_bytes"`
		Folder       string    `json:"folder"`
		Outcome      string    `json:"outcome"`
		Reason       *string   `json:"reason"`
		ExitCode     *int      `json:"exit_code"`
		Signal       *string   `json:"signal"`
		Start        time.Time `json:"start"`
		Host         jsonHost  `json:"host"`
		Accounting   *string   `json:"accounting"`
		Version      string    `json:"version"`
		// Replayed is null for a run that was measured.
		Replayed *jsonReplay `json:"replayed"`
		Factors  jsonFactors `json:"factors"`
	}
	// jsonFactors are the factors for carbon and cost. A factor that nobody gave is null.
	jsonFactors struct {
		CarbonIntensity *jsonFactor `json:"carbon_intensity"`
		Price           *jsonFactor `json:"price"`
		PUE             *jsonFactor `json:"pue"`
		PowerOverhead   *jsonFactor `json:"power_overhead"`
	}
	jsonFactor struct {
		Value float64 `json:"value"`
		Unit  string  `json:"unit"`
	}
	jsonReplay struct {
		Tape    string   `json:"tape"`
		LeftOut []string `json:"left_out"`
		Version string   `json:"version"`
	}
	// jsonBudget is a budget with its verdict. Every key is present, and null means unknown or none.
	jsonBudget struct {
		Rule       string  `json:"rule"`
		Verdict    string  `json:"verdict"`
		Reason     *string `json:"reason"`
		Metric     string  `json:"metric"`
		Aggregate  string  `json:"aggregate"`
		Label      *string `json:"label"`
		Comparison string  `json:"comparison"`
		// For is in seconds.
		For        *float64 `json:"for"`
		Value      *float64 `json:"value"`
		Limit      *float64 `json:"limit"`
		Unit       string   `json:"unit"`
		Provenance string   `json:"provenance"`
		// Uncertain is true if the truth may lie on the other side of the limit, within these bounds.
		Uncertain   bool     `json:"uncertain"`
		Uncertainty *float64 `json:"uncertainty"`
		Bound       *string  `json:"bound"`
		AtMost      *float64 `json:"at_most"`
		// Baseline is the value that the limit is relative to.
		Baseline *float64 `json:"baseline"`
		// Breach is when the budget was seen broken while the command ran.
		Breach *jsonBreach `json:"breach"`
		// Ignored is true if a broken budget was only to be told.
		Ignored bool `json:"ignored"`
		// Place is where the rule stands in a settings file.
		Place *datamodel.Place `json:"place"`
	}
	jsonBreach struct {
		Elapsed float64 `json:"elapsed"`
		Ended   bool    `json:"ended"`
	}
	// jsonSummary is an object whose keys keep the order of the catalogue.
	jsonSummary []jsonField
	jsonField   struct {
		name  string
		entry jsonEntry
	}
	jsonEntry struct {
		Value      *float64 `json:"value"`
		Unit       string   `json:"unit"`
		Provenance string   `json:"provenance"`
		Source     *string  `json:"source"`
		Reason     *string  `json:"reason"`
		// Uncertainty is Metric.Uncertainty, a half-width.
		Uncertainty *float64 `json:"uncertainty"`
		// Bound is "lower" if the value is a lower bound. AtMost is the upper bound of a lower bound or of a missing
		// value. Parts are the parts that an energy sums. Absence is the ID in missing that explains why the value is
		// missing.
		Bound   *string          `json:"bound"`
		AtMost  *float64         `json:"at_most"`
		Parts   []datamodel.Part `json:"parts"`
		Absence *string          `json:"absence"`
	}
	jsonNode struct {
		Name     string            `json:"name"`
		Level    string            `json:"level"`
		Family   *string           `json:"family"`
		Sensor   *jsonSensor       `json:"sensor"`
		Metadata map[string]string `json:"metadata"`
		Metrics  []jsonMetric      `json:"metrics"`
		Children []jsonNode        `json:"children"`
	}
	jsonSensor struct {
		ID         string  `json:"id"`
		Family     string  `json:"family"`
		Device     *string `json:"device"`
		Name       string  `json:"name"`
		Unit       string  `json:"unit"`
		Kind       string  `json:"kind"`
		Provenance string  `json:"provenance"`
		Source     string  `json:"source"`
		Doc        string  `json:"doc"`
	}
	jsonMetric struct {
		Name string `json:"name"`
		jsonEntry
		Aggregation string   `json:"aggregation"`
		Count       int64    `json:"count"`
		Gaps        int64    `json:"gaps"`
		Min         *float64 `json:"min"`
		Max         *float64 `json:"max"`
		Mean        *float64 `json:"mean"`
		Std         *float64 `json:"std"`
	}
	jsonWarning struct {
		Subject string `json:"subject"`
		Text    string `json:"text"`
		Count   int64  `json:"count"`
		// Cause is null if the subject says what is wrong.
		Cause *string `json:"cause"`
	}
	jsonSource struct {
		Name     string   `json:"name"`
		Interval *float64 `json:"interval"`
		Sensors  int      `json:"sensors"`
		Readings int64    `json:"readings"`
		Missed   int64    `json:"missed"`
		Late     int64    `json:"late"`
		Failed   int64    `json:"failed"`
		ReadTime *float64 `json:"read_time"`
		Worst    *float64 `json:"worst"`
		Hung     bool     `json:"hung"`
	}
)

// MarshalJSON writes the entries in their order. A map would lose the order.
func (s jsonSummary) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, f := range s {
		b.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(&b, "%q:", f.name)
		if err := encoder(&b).Encode(f.entry); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encoder returns an encoder that does not escape <, > and &. They are common in commands, and nobody embeds a report in a
// page as it is.
func encoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

// writeJSON writes the result as one object, with numbers in full.
func writeJSON(w io.Writer, r datamodel.Result, o Options) error {
	run := r.Run
	out := jsonReport{
		Schema: Schema,
		Run: jsonRun{
			ID: run.ID, Project: run.Project, Command: append([]string{}, run.Command...), CommandBytes: run.CommandBytes, Folder: run.Folder,
			Outcome: string(run.Outcome), Reason: text(run.Reason), ExitCode: run.ExitCode, Signal: text(run.Signal),
			Start: run.Start.UTC(),
			Host:  host(run.Host), Accounting: text(run.Accounting), Version: run.Version, Factors: factors(run.Factors),
		},
		Processes: processesJSON(r, o),
		Inventory: inventoryJSON(r.Tree),
		Budgets:   budgetsJSON(run.Budgets),
		Regions:   regionsJSON(r.Regions),
		Events:    eventsJSON(r.Events),
		Missing:   append([]sensors.Absence{}, run.Missing...),
		Warnings:  []jsonWarning{},
		Sources:   []jsonSource{},
	}
	if re := run.Replayed; re != nil {
		out.Run.Replayed = &jsonReplay{re.Tape, append([]string{}, re.LeftOut...), re.Version}
	}
	all := summary(r)
	for _, f := range datamodel.Reported() {
		out.Summary = append(out.Summary, jsonField{f.Name, entry(all[f.Name])})
	}
	if o.All {
		var tree *jsonNode
		if r.Tree != nil {
			top := node(r.Tree)
			tree = &top
		}
		out.Tree = tree
	}
	for _, m := range run.Warnings {
		out.Warnings = append(out.Warnings, jsonWarning{m.Subject, m.Text, m.Count, text(string(m.Cause))})
	}
	for _, s := range run.Sources {
		out.Sources = append(out.Sources, jsonSource{
			Name: s.Name, Interval: number(s.Interval), Sensors: s.Sensors, Readings: s.Readings, Missed: s.Missed,
			Late: s.Late, Failed: s.Failed, ReadTime: number(s.ReadTime), Worst: number(s.Worst), Hung: s.Hung,
		})
	}
	var b bytes.Buffer
	e := encoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		return fmt.Errorf("json: %w", err)
	}
	_, err := w.Write(screen.CleanJSON(b.Bytes()))
	return err
}

// budgetsJSON returns the budgets with their verdicts.
func budgetsJSON(list []datamodel.Budget) []jsonBudget {
	out := []jsonBudget{}
	for _, b := range list {
		m := settled(b.Measured.Metric(b.Metric))
		one := jsonBudget{
			Rule: b.Rule, Verdict: string(b.Verdict), Reason: text(b.Reason), Metric: b.Metric, Aggregate: string(b.Aggregate), Label: text(b.Label),
			Comparison: b.Comparison, Value: number(m.Value), Limit: b.Limit, Unit: string(m.Unit), Provenance: string(m.Provenance),
			Uncertain: b.Uncertain, Uncertainty: number(m.Uncertainty), Bound: text(string(m.Bound)), AtMost: number(m.AtMost), Ignored: b.Ignored,
		}
		if b.For > 0 {
			one.For = &b.For
		}
		if b.Baseline != nil {
			one.Baseline = b.Baseline.Value
		}
		if b.Breach != nil {
			one.Breach = &jsonBreach{b.Breach.Elapsed, b.Breach.Ended}
		}
		if b.Place != (datamodel.Place{}) {
			one.Place = &b.Place
		}
		out = append(out, one)
	}
	return out
}

func factors(f datamodel.Factors) jsonFactors {
	of := func(v *float64, u units.Unit) *jsonFactor {
		if v == nil {
			return nil
		}
		return &jsonFactor{*v, string(u)}
	}
	out := jsonFactors{
		CarbonIntensity: of(f.CarbonIntensity, units.Gram+"/J"), PUE: of(f.PUE, units.Ratio), PowerOverhead: of(f.PowerOverhead, units.Watt),
	}
	if f.Price != nil {
		out.Price = of(&f.Price.Value, f.Price.Currency+"/J")
	}
	return out
}

func node(n *datamodel.Node) jsonNode {
	out := jsonNode{
		Name: n.Name, Level: string(n.Level), Family: text(n.Family),
		Metadata: make(map[string]string, len(n.Meta)), Metrics: []jsonMetric{}, Children: []jsonNode{},
	}
	if s := n.Sensor; s != nil {
		out.Sensor = &jsonSensor{
			ID: s.ID, Family: s.Family, Device: text(s.Device), Name: s.Name, Unit: string(s.Unit),
			Kind: s.Kind.String(), Provenance: string(s.Origin()), Source: s.Source, Doc: datamodel.SensorDoc(*s),
		}
	}
	for _, p := range n.Meta {
		out.Metadata[p.Key] = p.Value
	}
	for _, m := range n.Metrics {
		m = settled(m)
		out.Metrics = append(out.Metrics, jsonMetric{
			Name: m.Name, jsonEntry: entry(m), Aggregation: m.Aggregation, Count: m.Count, Gaps: m.Gaps,
			Min: number(m.Min), Max: number(m.Max), Mean: number(m.Mean), Std: number(m.Std),
		})
	}
	for _, c := range n.Children {
		out.Children = append(out.Children, node(c))
	}
	return out
}

func entry(m datamodel.Metric) jsonEntry {
	return jsonEntry{
		Value: number(m.Value), Unit: string(m.Unit), Provenance: string(m.Provenance),
		Source: text(m.Source), Reason: text(reasonOf(m)), Uncertainty: number(m.Uncertainty),
		Bound: text(string(m.Bound)), AtMost: number(m.AtMost), Parts: append([]datamodel.Part{}, m.Parts...), Absence: text(m.Absence),
	}
}

// number returns nil, which is null, for a value that is not finite. JSON has no NaN.
func number(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// text returns nil, which is null, for an empty text.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
