package readers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/history"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// many is how many runs the readers read at once.
const many = 200

// reader is a program or library that reads the tables, with the code that people type.
type reader struct {
	// Name is the name for people, Module the name of the Python package.
	Name, Module string
	// Setup has the lines before the others. RUN stands for a run's folder.
	Setup string
	// One, All and Typed are code whose last line is a table: of one run, of all runs, and the same with the types of the
	// partitions given. All leaves the types to the reader, which takes names for numbers if all are digits.
	One, All, Typed string
	// Joined is code whose last line is a joined table of `ergon runs compact`, with the types of the partitions.
	Joined string
	// SkipsHidden says that the reader skips folders whose names begin with "_", such as the archive.
	SkipsHidden bool
	// Types has the types of project, date and run in Typed.
	Types [3]string
}

// embedded lists the readers that are a package in the environment of `make readers`.
func embedded() []reader {
	const glob = `glob.glob("ergon-results/**/metrics.parquet", recursive=True)`
	const types = `types = pyarrow.schema({"project": "string", "date": "date32", "run": "string"})` + "\n" +
		`partitions = pyarrow.dataset.partitioning(types, flavor="hive")` + "\n"
	const joined = `types = pyarrow.schema({"project": "string", "month": "string"})` + "\n" +
		`partitions = pyarrow.dataset.partitioning(types, flavor="hive")` + "\n"
	return []reader{
		{
			Name: "pandas", Module: "pandas", Setup: "import glob, pandas, pyarrow.dataset",
			One:    `pandas.read_parquet("RUN/metrics.parquet")`,
			All:    `pandas.read_parquet(` + glob + `)`,
			Typed:  types + `pandas.read_parquet(` + glob + `, partitioning=partitions)`,
			Joined: joined + `pandas.read_parquet("ergon-results/_tables/metrics", partitioning=partitions)`,
			Types:  [3]string{"str", "object", "str"},
		},
		{
			Name: "Polars", Module: "polars", Setup: "import polars",
			One: `polars.read_parquet("RUN/metrics.parquet")`,
			All: `polars.read_parquet("ergon-results/**/metrics.parquet", hive_partitioning=True)`,
			Typed: `types = {"project": polars.String, "date": polars.Date, "run": polars.String}` + "\n" +
				`polars.read_parquet("ergon-results/**/metrics.parquet", hive_schema=types)`,
			Joined: `types = {"project": polars.String, "month": polars.String}` + "\n" +
				`polars.read_parquet("ergon-results/_tables/metrics/**/*.parquet", hive_schema=types, missing_columns="insert")`,
			Types: [3]string{"String", "Date", "String"},
		},
		{
			Name: "DuckDB", Module: "duckdb", Setup: "import duckdb",
			One: `duckdb.sql("from 'RUN/metrics.parquet'")`,
			All: `duckdb.sql("from 'ergon-results/**/metrics.parquet'")`,
			Typed: `types = "{project: varchar, date: date, run: varchar}"` + "\n" +
				`duckdb.sql(f"from read_parquet('ergon-results/**/metrics.parquet', hive_types={types})")`,
			Joined: `types = "{project: varchar, month: varchar}"` + "\n" +
				`duckdb.sql(f"from read_parquet('ergon-results/_tables/metrics/**/*.parquet', hive_types={types}, union_by_name=true)")`,
			Types: [3]string{"VARCHAR", "DATE", "VARCHAR"},
		},
		{
			Name: "PyArrow", Module: "pyarrow", Setup: "import glob, pyarrow.dataset, pyarrow.parquet",
			One:    `pyarrow.parquet.read_table("RUN/metrics.parquet")`,
			All:    `pyarrow.dataset.dataset(` + glob + `, partitioning="hive")`,
			Typed:  types + `pyarrow.dataset.dataset(` + glob + `, partitioning=partitions)`,
			Joined: joined + `pyarrow.dataset.dataset("ergon-results/_tables/metrics", partitioning=partitions)`,
			Types:  [3]string{"string", "date32[day]", "string"},
		},
	}
}

// task is code whose last line gives a table.
type task struct {
	Reader string `json:"reader"`
	Setup  string `json:"setup"`
	Line   string `json:"line"`
}

// answer is what testdata/readers/sums.py found in a table. Sums is by metric.
type answer struct {
	Version               string
	Rows                  int
	Sums                  map[string]float64
	Types                 map[string]string
	Projects, Runs, Dates []string
}

// ask carries out the tasks with a Python interpreter. dir holds ergon-results.
func ask(t *testing.T, interpreter, dir string, tasks []task) []answer {
	t.Helper()
	text, err := json.Marshal(tasks)
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("../../testdata/readers/sums.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(interpreter, script)
	var out, messages bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, bytes.NewReader(text), &out, &messages
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, messages.String())
	}
	var answers []answer
	if err := json.Unmarshal(out.Bytes(), &answers); err != nil || len(answers) != len(tasks) {
		t.Fatalf("%v: %d answers to %d tasks: %s", err, len(answers), len(tasks), out.String())
	}
	return answers
}

// python is the interpreter of the environment that `make readers` fills.
func python(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("ERGON_TEST_PYTHON"); path != "" {
		return path
	}
	path, err := filepath.Abs("../../.venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		testenv.Lacks(t, testenv.Readers, fmt.Sprintf("%v; ERGON_TEST_PYTHON names one", err))
	}
	return path
}

// dataset is a folder with ergon-results, in which there are made-up runs, a run that goes on, and what else may be there.
type dataset struct {
	dir  string
	runs []made
}

func newDataset(t *testing.T, n int) dataset {
	t.Helper()
	d := dataset{dir: t.TempDir()}
	results := filepath.Join(d.dir, "ergon-results")
	d.runs = makeRuns(t, results, n)
	for path, text := range map[string]string{".gitignore": "*\n", "_tags/best": d.runs[0].ID + "\n"} {
		path = filepath.Join(results, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	begun, err := store.NewRun(results, "train", d.runs[0].Start, "begun", store.Access{})
	if err != nil {
		t.Fatal(err)
	}
	defer begun.Close()
	run := datamodel.Run{ID: "begun", Project: "train", Start: d.runs[0].Start, Outcome: datamodel.Unfinished}
	if err := fill(begun, run, 0); err != nil {
		t.Fatal(err)
	}
	return d
}

// sums returns what `ergon report -f json` shows of all runs together.
func sums(runs []made) map[string]float64 {
	all := make(map[string]float64)
	for _, r := range runs {
		for name, v := range r.Summary {
			all[name] += v
		}
	}
	return all
}

// check compares an answer about the metrics of runs with what ergon reports.
func (a answer) check(t *testing.T, what string, runs []made) {
	t.Helper()
	for name, want := range sums(runs) {
		if got, ok := a.Sums[name]; !ok || !near(got, want) {
			t.Errorf("%s: the sum of %s is %v, but ergon reports %v", what, name, got, want)
		}
	}
}

// checkPartitions checks that the columns of the partitions say to which run a row belongs.
func (a answer) checkPartitions(t *testing.T, what string, runs []made) {
	t.Helper()
	var projects, dates, ids []string
	for _, r := range runs {
		projects, dates, ids = append(projects, r.Project), append(dates, r.Date), append(ids, r.ID)
	}
	for _, c := range []struct {
		name      string
		got, want []string
	}{{"projects", a.Projects, projects}, {"dates", a.Dates, dates}, {"runs", a.Runs, ids}} {
		slices.Sort(c.want)
		if want := slices.Compact(c.want); !slices.Equal(c.got, want) {
			t.Errorf("%s: the %s are %q, want %q", what, c.name, c.got, want)
		}
	}
}

// checkTypes checks the types of the partitions in an answer about a table that the line Typed gave.
func (a answer) checkTypes(t *testing.T, r reader) {
	t.Helper()
	if types := [3]string{a.Types["project"], a.Types["date"], a.Types["run"]}; types != r.Types {
		t.Errorf("%s: the partitions have the types %v, want %v", r.Name, types, r.Types)
	}
}

// TestReaders lets each reader execute the lines that docs/readers.md shows, over one run and over many. The sums of all metrics
// that add up are what ergon reports, and the partitions have the names and types that they should have.
func TestReaders(t *testing.T) {
	testenv.Long(t)
	testenv.Sequential(t)
	interpreter := python(t)
	checkReaders(t, interpreter, embedded(), newDataset(t, many))

	// Names of digits alone stay text if the types are given.
	digits := dataset{dir: t.TempDir()}
	for _, i := range []int{7, 57} {
		run, err := makeRun(filepath.Join(digits.dir, "ergon-results"), i)
		if err != nil {
			t.Fatal(err)
		}
		digits.runs = append(digits.runs, run)
	}
	var tasks []task
	for _, r := range embedded() {
		tasks = append(tasks, task{r.Module, r.Setup, r.Typed})
	}
	for i, a := range ask(t, interpreter, digits.dir, tasks) {
		a.checkTypes(t, embedded()[i])
		a.checkPartitions(t, embedded()[i].Name+", digits", digits.runs)
	}
}

// checkReaders checks readers on a dataset.
func checkReaders(t *testing.T, interpreter string, readers []reader, d dataset) {
	t.Helper()
	one := d.runs[3]
	folder, err := filepath.Rel(d.dir, one.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var tasks []task
	for _, r := range readers {
		for _, line := range []string{
			strings.ReplaceAll(r.One, "RUN", folder), r.All, r.Typed, strings.ReplaceAll(r.All, "metrics.parquet", "summary.parquet"),
		} {
			tasks = append(tasks, task{r.Module, r.Setup, line})
		}
	}
	checkReported(t, []made{one}, d.runs)
	answers := ask(t, interpreter, d.dir, tasks)
	for i, r := range readers {
		a := answers[4*i : 4*i+4]
		a[0].check(t, r.Name+", one run", []made{one})
		for k, what := range []string{", all runs", ", all runs, typed", ", all summaries"} {
			a[k+1].check(t, r.Name+what, d.runs)
			a[k+1].checkPartitions(t, r.Name+what, d.runs)
		}
		checkPage(t, r, a[0], a[1])
		a[2].checkTypes(t, r)
		if a[3].Rows != len(d.runs) {
			t.Errorf("%s: %d summaries, want %d", r.Name, a[3].Rows, len(d.runs))
		}
	}
	checkJoined(t, interpreter, readers, d)
}

// checkJoined compacts the runs of a dataset. The joined tables have the same sums as the runs before, and so have the folders in the
// archive, each run once.
func checkJoined(t *testing.T, interpreter string, readers []reader, d dataset) {
	t.Helper()
	h := history.History{Results: filepath.Join(d.dir, "ergon-results")}
	done, err := h.Compact(context.Background(), history.Compaction{}, time.Now().AddDate(10, 0, 0))
	if err != nil || done.Archived != len(d.runs) {
		t.Fatalf("%d runs are in the archive, want %d: %v", done.Archived, len(d.runs), err)
	}
	var tasks []task
	for _, r := range readers {
		all := r.All
		if r.SkipsHidden {
			all = strings.ReplaceAll(all, "ergon-results", "ergon-results/_archive")
		}
		for _, line := range []string{r.Joined, strings.ReplaceAll(r.Joined, "metrics", "summary"), all} {
			tasks = append(tasks, task{r.Module, r.Setup, line})
		}
	}
	answers := ask(t, interpreter, d.dir, tasks)
	for i, r := range readers {
		for k, what := range []string{", joined", ", joined summaries", ", archive"} {
			a := answers[3*i+k]
			a.check(t, r.Name+what, d.runs)
			a.checkPartitions(t, r.Name+what, d.runs)
		}
		if rows := answers[3*i+1].Rows; rows != len(d.runs) {
			t.Errorf("%s: %d joined summaries, want %d", r.Name, rows, len(d.runs))
		}
	}
}
