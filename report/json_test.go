package report_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
)

const schemaFile = "ergon.report-2.schema.json"

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.DefaultDraft(jsonschema.Draft2020)
	file, err := filepath.Abs(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t testing.TB, doc string) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		t.Fatalf("not JSON: %v\n%s", err, doc)
	}
	return v
}

func TestJSONIsValid(t *testing.T) {
	s := schema(t)
	for name, r := range map[string]datamodel.Result{
		"vm": vm(), "server": server(), "failed": failed(), "sampler failed": samplerFailed(), "killed": killed(),
		"not found": notFound(), "hostile": hostile(evil), "build": build(), "factors": factored(metered(build())), "factors without a meter": factored(build()),
		"empty": {Run: datamodel.Run{Outcome: datamodel.Unfinished}},
	} {
		if err := s.Validate(parse(t, render(t, "json", r, report.Options{All: true}))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range append(datamodel.Outcomes(), datamodel.Unfinished) {
		r := vm()
		r.Run.Outcome = o
		if err := s.Validate(parse(t, render(t, "json", r, report.Options{All: true}))); err != nil {
			t.Errorf("%s: %v", o, err)
		}
	}
}

// TestSchemaRefuses tests that the schema refuses wrong reports. If it accepted everything, TestJSONIsValid would prove nothing.
func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	type object = map[string]any
	at := func(doc any, path ...string) object {
		for _, p := range path {
			doc = doc.(object)[p]
		}
		return doc.(object)
	}
	for name, spoil := range map[string]func(doc any){
		"another version":           func(doc any) { at(doc)["schema"] = "ergon.report/1" },
		"a key more":                func(doc any) { at(doc)["extra"] = 1 },
		"a key more in a run":       func(doc any) { at(doc, "run")["extra"] = 1 },
		"a key more in an entry":    func(doc any) { at(doc, "summary", "energy")["extra"] = 1 },
		"no such outcome":           func(doc any) { at(doc, "run")["outcome"] = "fine" },
		"no time":                   func(doc any) { at(doc, "run")["start"] = "yesterday" },
		"no summary":                func(doc any) { delete(at(doc), "summary") },
		"an entry less":             func(doc any) { delete(at(doc, "summary"), "gpu_energy") },
		"an entry more":             func(doc any) { at(doc, "summary")["heat"] = at(doc, "summary", "energy") },
		"a value as text":           func(doc any) { at(doc, "summary", "wall_time")["value"] = "12 s" },
		"another unit of a factor":  func(doc any) { at(doc, "run", "factors", "price")["unit"] = "EUR" },
		"another unit":              func(doc any) { at(doc, "summary", "wall_time")["unit"] = "ms" },
		"null without a reason":     func(doc any) { at(doc, "summary", "energy")["reason"] = nil },
		"null from a counter":       func(doc any) { at(doc, "summary", "energy")["provenance"] = "counter" },
		"0 for a missing value":     func(doc any) { at(doc, "summary", "energy")["value"] = 0 },
		"a value from nowhere":      func(doc any) { at(doc, "summary", "wall_time")["provenance"] = "" },
		"a metric without its name": func(doc any) { delete(firstMetric(doc), "name") },
		"a key more in a metric":    func(doc any) { firstMetric(doc)["extra"] = 1 },
	} {
		doc := parse(t, render(t, "json", factored(vm()), report.Options{All: true}))
		if err := s.Validate(doc); err != nil {
			t.Fatal(err)
		}
		if spoil(doc); s.Validate(doc) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func firstMetric(doc any) map[string]any {
	n := doc.(map[string]any)["tree"].(map[string]any)
	for len(n["metrics"].([]any)) == 0 {
		n = n["children"].([]any)[0].(map[string]any)
	}
	return n["metrics"].([]any)[0].(map[string]any)
}

// TestSchemaSummary compares the summary in the schema with the catalogue. ERGON_UPDATE=1 rewrites that part of the file.
func TestSchemaSummary(t *testing.T) {
	b, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "\n    \"summary\": {\n", "\n    },\n"
	before, rest, found := strings.Cut(string(b), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s: no definition of the summary", schemaFile)
	}
	want := before + begin + summarySchema(t) + end + after
	if updating() {
		if err := os.WriteFile(schemaFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Errorf("%s differs from the catalogue (ERGON_UPDATE=1 rewrites it); the summary should be\n%s", schemaFile, summarySchema(t))
	}
}

// summarySchema returns the lines of the schema's definition of the summary, made from the catalogue.
func summarySchema(t *testing.T) string {
	t.Helper()
	quoted := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var properties, required []string
	for _, d := range datamodel.Reported() {
		unit := `{"const": ` + quoted(string(d.Unit)) + "}"
		if d.Unit.IsMoney() {
			unit = `{"pattern": "^\\{([A-Z]{3}|currency)\\}$"}`
		}
		doc := strings.ToUpper(d.Doc[:1]) + d.Doc[1:] + "."
		if d.Detail != "" {
			doc += " " + d.Detail
		}
		properties = append(properties, "        "+quoted(d.Name)+": {\n"+
			"          \"description\": "+quoted(doc)+",\n"+
			"          \"$ref\": \"#/$defs/entry\",\n"+
			"          \"properties\": {\"unit\": "+unit+"},\n"+
			"          \"unevaluatedProperties\": false\n        }")
		required = append(required, "        "+quoted(d.Name))
	}
	return "      \"type\": \"object\",\n      \"properties\": {\n" + strings.Join(properties, ",\n") +
		"\n      },\n      \"required\": [\n" + strings.Join(required, ",\n") + "\n      ],\n      \"additionalProperties\": false"
}

// TestSchemaEnums compares the lists of words in the schema with the code, in the same order.
func TestSchemaEnums(t *testing.T) {
	b, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Defs struct {
			Run struct {
				Properties struct {
					Outcome struct{ Enum []datamodel.Outcome }
				}
			}
			Provenance struct{ Enum []sensors.Provenance }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	outcomes := append(datamodel.Outcomes(), datamodel.Unfinished)
	if got := doc.Defs.Run.Properties.Outcome.Enum; !slices.Equal(got, outcomes) {
		t.Errorf("the schema has the outcomes %v, want %v", got, outcomes)
	}
	want := []sensors.Provenance{
		sensors.FromCounter, sensors.Sampled, sensors.Integrated, sensors.Attributed, sensors.Estimated, sensors.Missing,
	}
	if got := doc.Defs.Provenance.Enum; !slices.Equal(got, want) {
		t.Errorf("the schema has the provenances %v, want %v", got, want)
	}
}

// keys returns the keys of the object at path, in the order of the document.
func keys(t *testing.T, doc string, path ...string) []string {
	t.Helper()
	raw := json.RawMessage(doc)
	for _, p := range path {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		raw = m[p]
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var out []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, key.(string))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestJSONOrder tests the names and the order of the keys, which are part of the contract.
func TestJSONOrder(t *testing.T) {
	doc := render(t, "json", vm(), report.Options{All: true})
	f := func(want string, path ...string) {
		t.Helper()
		if got := strings.Join(keys(t, doc, path...), " "); got != want {
			t.Errorf("%v has %s, want %s", path, got, want)
		}
	}
	f("schema run summary tree missing warnings sources processes budgets")
	f("id project command command_bytes folder outcome reason exit_code signal start host accounting version replayed factors", "run")
	f("wall_time cpu_time cpu_user_time cpu_system_time cpu_utilization cpu_limit_utilization peak_memory peak_memory_charge processes disk_read disk_write "+
		"network_receive network_transmit energy power target_energy other_energy idle_energy net_energy "+
		"estimated_energy estimated_target_energy gpu_energy gpu_target_energy "+
		"overhead_energy carbon target_carbon cost target_cost gpu_memory_peak profiler_cpu_time", "summary")
	f("value unit provenance source reason uncertainty bound at_most parts absence", "summary", "energy")
	f("name level family sensor metadata metrics children", "tree")
}

// TestJSONValues tests that numbers are exact to the last bit, and that unmeasured values are null.
func TestJSONValues(t *testing.T) {
	r := vm()
	metrics := r.Tree.First(datamodel.RunLevel).Metrics
	set := func(name string, v float64, from sensors.Provenance) {
		for i := range metrics {
			if metrics[i].Name == name {
				metrics[i].Value, metrics[i].Provenance = v, from
			}
		}
	}
	third := 1.0 / 3
	set("wall_time", third, sensors.FromCounter)
	set("cpu_time", math.Inf(1), sensors.FromCounter)
	set("cpu_user_time", math.NaN(), sensors.FromCounter)
	set("peak_memory", 1<<40, "guessed")
	set("processes", 7, "")
	set("disk_read", 0, sensors.FromCounter)
	set("disk_write", 7, sensors.Missing)
	var doc struct {
		Summary map[string]struct {
			Value      *float64
			Provenance string
			Reason     *string
		}
	}
	if err := json.Unmarshal([]byte(render(t, "json", r, report.Options{All: true})), &doc); err != nil {
		t.Fatal(err)
	}
	f := func(name string, want *float64, provenance, reason string) {
		t.Helper()
		got := doc.Summary[name]
		if !reflect.DeepEqual(got.Value, want) || got.Provenance != provenance {
			t.Errorf("%s is %v from %s, want %v from %s", name, got.Value, got.Provenance, want, provenance)
		}
		switch {
		case got.Reason == nil && reason != "", got.Reason != nil && *got.Reason != reason:
			t.Errorf("%s has the reason %v, want %q", name, got.Reason, reason)
		}
	}
	f("wall_time", &third, "counter", "")
	f("cpu_time", nil, "missing", "the value is not finite")
	f("cpu_user_time", nil, "missing", "not measured")
	f("peak_memory", nil, "missing", "the value has no known provenance")
	f("processes", nil, "missing", "the value has no known provenance")
	f("disk_read", new(0.0), "counter", "")
	f("disk_write", nil, "missing", "not measured")
	f("energy", nil, "missing", "no powercap in this kernel")
}

// TestJSONWithoutTree tests that the wall time is known even if nothing could be processed.
func TestJSONWithoutTree(t *testing.T) {
	var doc struct {
		Summary map[string]struct{ Value *float64 }
		Tree    any
	}
	if err := json.Unmarshal([]byte(render(t, "json", killed(), report.Options{All: true})), &doc); err != nil {
		t.Fatal(err)
	}
	if v := doc.Summary["wall_time"].Value; v == nil || *v != 5.0031 {
		t.Errorf("wall_time is %v", v)
	}
	if doc.Tree != nil {
		t.Errorf("the tree is %v", doc.Tree)
	}
}
