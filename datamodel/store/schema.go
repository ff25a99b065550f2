package store

import (
	"fmt"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// tableAbout describes a table for docs/schema.md.
type tableAbout struct {
	file, version, rows string
	columns             []columnAbout
}

// tables lists the tables of a run.
func tables() []tableAbout {
	return []tableAbout{
		{SummaryFile, summarySchema, "One row a round. Each metric of the summary is a column.", columnsOf(summaryFields())},
		{MetricsFile, metricsSchema, "One row a node and metric, each figure once.", columnsOf(metricFields())},
		{SeriesFile, seriesSchema, "What charts show: one row for each part of a course that has readings. " +
			"There is no file if the run was too short for a course.", seriesAbout()},
		{SamplesFile, samplesSchema, "One row a reading, as it was read.", samplesAbout()},
		{ProcessesFile, processesSchema, "One row a process of the command, and one for what no look saw. " +
			"There is no file if the processes were not read.", columnsOf(processFields())},
		{RegionsFile, regionsSchema, "One row for each time that a region of the command ran. Regions may contain others, so only the " +
			"columns self_… add up. There is no file if the command told of no regions.", columnsOf(regionFields())},
		{EventsFile, eventsSchema, "One row an event. There is no file if there were none.", columnsOf(eventFields())},
		{NodesFile, nodesSchema, "One row a node of the tree app → multi_run → run → host → device → sensor.", columnsOf(nodeFields())},
	}
}

// columnsOf returns what fields say about their columns.
func columnsOf[R any](fields []field[R]) []columnAbout {
	out := make([]columnAbout, len(fields))
	for i, f := range fields {
		out[i] = columnAbout{f.name, f.about}
	}
	return out
}

// kindName is the type of a column in words.
func (a about) kindName() string {
	switch {
	case a.kind == typeByteArray:
		return "string"
	case a.moment:
		return "timestamp (µs, UTC)"
	case a.kind == typeInt64:
		return "int64"
	}
	return "double"
}

// SchemaPage returns the generated part of docs/schema.md: the tables, their columns, and all metrics.
func SchemaPage() string {
	var b strings.Builder
	cell := func(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
	unit := func(u units.Unit) string {
		if u == "" {
			return ""
		}
		return "`" + string(u) + "`"
	}
	for _, t := range tables() {
		fmt.Fprintf(&b, "### %s\n\n%s Its version is `%s`.\n\n", t.file, t.rows, t.version)
		b.WriteString("| column | type | unit | null means | meaning |\n| --- | --- | --- | --- | --- |\n")
		for _, c := range t.columns {
			null := c.null
			if null == "" {
				null = "never null"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", c.name, c.kindName(), unit(c.unit), cell(null), cell(c.meaning))
		}
		b.WriteString("\n")
	}
	b.WriteString("### The metrics of series.parquet\n\n| metric | unit | meaning |\n| --- | --- | --- |\n")
	for _, m := range datamodel.ChartMetrics() {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", m.Name, m.Unit, cell(m.Doc))
	}
	b.WriteString("\n### The metrics of metrics.parquet\n\n" +
		"The level says which node has the metric. If a metric adds up, `sum(value)` over any rows with its name is right: no row\n" +
		"holds what another one holds. [metrics.md](metrics.md) says more about each.\n\n" +
		"| metric | unit | adds up | meaning |\n| --- | --- | --- | --- |\n")
	for _, d := range datamodel.Catalogue() {
		if d.Derived || d.OfRounds || d.Family != "" && !strings.Contains(d.Name, ".") && d.Family != "target" {
			continue
		}
		adds := ""
		if d.Adds {
			adds = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, unit(d.Unit), adds, cell(d.Doc))
	}
	b.WriteString("\nThe readings of a sensor of the command are there as `target.QUANTITY`, beside the metric that was made of them.\n")
	b.WriteString("Carbon and cost are in no table. Reports compute them from the `factors` in `manifest.json`\n" +
		"([0064](adr/0064-carbon-and-cost.md)).\n")
	b.WriteString("\n### The sensors of samples.parquet\n\n" +
		"A sensor is `family/device/quantity`, or `family/quantity` for the family as a whole. `ergon sensors` lists those of a machine.\n\n" +
		"| family | quantity | unit | meaning |\n| --- | --- | --- | --- |\n")
	for _, d := range datamodel.Catalogue() {
		if d.Sensor != "" && !isComputed(d) {
			fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", d.Family, d.Sensor, unit(d.Unit), cell(d.Doc))
		}
	}
	return b.String()
}

// TrinoTables returns the statements with which Trino's Hive connector finds the joined tables.
func TrinoTables() string {
	var b strings.Builder
	b.WriteString("```sql\n")
	joined := append(tables(), tableAbout{file: manifestsTable, columns: manifestColumns()[2:]})
	for i, t := range joined {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "create table ergon_%s (\n ", tableOf(t.file))
		width := 1
		for _, c := range append(joinedColumns(), t.columns...) {
			column := fmt.Sprintf(` "%s" %s,`, c.name, c.trinoName())
			if width += len(column); width > 110 {
				b.WriteString("\n ")
				width = 1 + len(column)
			}
			b.WriteString(column)
		}
		fmt.Fprintf(&b, "\n  \"project\" varchar, \"month\" varchar\n) with (format = 'PARQUET', external_location = 'LOCATION/_tables/%s', "+
			"partitioned_by = array['project', 'month']);\n", tableOf(t.file))
	}
	b.WriteString("```\n")
	return b.String()
}

// trinoName is the type of a column in Trino.
func (a about) trinoName() string {
	switch {
	case a.kind == typeByteArray:
		return "varchar"
	case a.kind == typeInt32:
		return "date"
	case a.moment:
		return "timestamp"
	case a.kind == typeInt64:
		return "bigint"
	}
	return "double"
}

// isComputed reports whether a metric of a device has no readings: what was counted in folders, the sizes of their file systems,
// and the shares of an energy.
func isComputed(d datamodel.Definition) bool {
	switch d.Sensor {
	case datamodel.SpaceUsed, datamodel.SpaceTotal:
		return d.Family == "disk"
	case datamodel.TargetEnergy, datamodel.OtherEnergy, datamodel.IdleEnergy:
		return true
	}
	return d.Family == datamodel.InventoryFamily
}
