package readers

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/report"
)

// inSQL are queries over the tables of many runs, each with a name and a number.
const inSQL = `
import duckdb, json
def ask(query):
    return {str(k): v for k, v in duckdb.sql(query).fetchall() if v is not None}
table = lambda name: f"read_parquet('ergon-results/**/{name}.parquet', hive_partitioning = true)"
print(json.dumps({
    "metrics": ask(f"select metric, sum(value) from {table('metrics')} group by metric"),
    "summary": ask(f"select name, sum(v) from (unpivot (from {table('summary')}) on columns(* exclude "
        "(round, start, command, outcome, exit_code, signal, host, commit, command_name, block, conditions, project, date, run)) into name name value v) group by name"),
    "series": ask(f"select subject, sum(value * covered) from {table('series')} where metric = 'power' group by subject"),
    "parts": ask(f"select 'wrong', count(*) from (select run, device, elapsed, sum(value) filter (subject = 'machine') as machine, "
        f"sum(value) filter (subject <> 'machine') as shares from {table('series')} where metric = 'power' group by all) "
        "where abs(machine - shares) > 1e-9 * machine"),
    "peaks": ask(f"select metric || ' ' || subject, max(coalesce(max, value)) from {table('series')} group by 1"),
    "units": ask(f"select 'wrong', count(*) from {table('samples')} s left join {table('nodes')} n using (project, date, run, sensor) "
        "where n.unit is distinct from s.unit or n.kind is distinct from s.kind"),
    "twice": ask(f"select metric, count(*) from {table('metrics')} group by metric, run, node_id having count(*) > 1"),
    "wrap": ask(f"select sensor, sum(wrap) from {table('nodes')} where wrap is not null group by sensor"),
}))`

// TestSums tests in SQL that for each metric that adds up, sum(value) over metrics.parquet is the sum over what ergon reports, in
// 50 runs of several packages, of which every third wraps. It tests that summary.parquet and series.parquet give the same.
func TestSums(t *testing.T) {
	testenv.Sequential(t)
	interpreter := python(t)
	dir := t.TempDir()
	const runs = 50
	want, power := make(map[string]float64), 0.0
	for _, r := range makeRuns(t, filepath.Join(dir, "ergon-results"), runs) {
		for name, v := range figures(t, r.Dir) {
			want[name] += v
		}
	}
	cmd := exec.Command(interpreter, "-c", inSQL)
	var out, messages bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &messages
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, messages.String())
	}
	var got map[string]map[string]float64
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, d := range datamodel.Catalogue() {
		if !d.Adds {
			continue
		}
		v, ok := got["metrics"][d.Name]
		sum, known := want[d.Name]
		if ok != known || !near(v, sum) {
			t.Errorf("%s: sum(value) over metrics.parquet is %v, ergon reports %v", d.Name, v, sum)
		}
		if ok {
			seen++
		}
	}
	if seen < 12 {
		t.Errorf("only %d metrics that add up have a value", seen)
	}
	for _, d := range datamodel.Summary() {
		v, ok := got["summary"][d.Name]
		if sum, known := want[d.Name]; d.Adds && (ok != known || !near(v, sum)) {
			t.Errorf("%s: sum over summary.parquet is %v, ergon reports %v", d.Name, v, sum)
		}
	}
	for subject, name := range map[datamodel.CourseSubject]string{
		datamodel.MachineCourse: datamodel.Energy, datamodel.CommandCourse: datamodel.TargetEnergy, datamodel.OtherCourse: datamodel.OtherEnergy,
	} {
		v := got["series"][string(subject)]
		if !near(v, want[name]) || v <= 0 {
			t.Errorf("%s: power over time in series.parquet is %v J, ergon reports %v J", subject, v, want[name])
		}
		power += v
	}
	if n := got["parts"]["wrong"]; n != 0 || power == 0 {
		t.Errorf("in %v parts command and other are not the machine's power", n)
	}
	if p := got["peaks"]["memory command"]; p < 9e6 || p > 1e7 {
		t.Errorf("the peak of the memory is %v", p)
	}
	if n := got["units"]["wrong"]; n != 0 {
		t.Errorf("%v samples have another unit or kind than their node", n)
	}
	if len(got["twice"]) > 0 {
		t.Errorf("metrics that a node has twice: %v", got["twice"])
	}
	if got["wrap"]["rapl/package-0/energy"] != runs*wrapAt || len(got["wrap"]) != 3 {
		t.Errorf("wraps: %v", got["wrap"])
	}
}

// figures returns the value of each metric that adds up in `ergon report -f json --all`: of the summary, and of the nodes.
// Nodes of one branch that have the same metric count once, as a reader would count them.
func figures(t *testing.T, dir string) map[string]float64 {
	t.Helper()
	result, err := store.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, f := range report.All() {
		if f.Name == "json" {
			err = f.Write(&b, result, report.Options{All: true})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	type metric struct {
		Name  string
		Value *float64
	}
	type node struct {
		Level    datamodel.Level
		Family   string
		Metrics  []metric
		Children []node
	}
	var page struct {
		Summary map[string]struct{ Value *float64 }
		Tree    node
	}
	if err := json.Unmarshal(b.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]float64)
	for name, m := range page.Summary {
		if m.Value != nil {
			out[name] = *m.Value
		}
	}
	var walk func(node)
	walk = func(n node) {
		for _, m := range n.Metrics {
			_, summed := page.Summary[m.Name]
			switch {
			case m.Value == nil:
			case n.Level == datamodel.SensorLevel:
				out[n.Family+"."+m.Name] += *m.Value
			case n.Level == datamodel.HostLevel && !summed, n.Level == datamodel.DeviceLevel && (n.Family == "target" || n.Family == "profiler") && !summed:
				out[m.Name] += *m.Value
			}
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(page.Tree)
	return out
}
