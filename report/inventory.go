package report

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// shownTypes is the number of types of an area in the table for people. The others share a row.
	shownTypes = 10
	// shownColumns is the number of columns of a table of two groups.
	shownColumns = 8
)

// fileSums are the metrics of the files of a type, of an area or of all areas.
type fileSums struct {
	files, bytes, filesBefore, bytesBefore               datamodel.Metric
	filesMade, bytesMade, filesGrown, bytesGrown         datamodel.Metric
	filesShrunk, bytesShrunk, filesDeleted, bytesDeleted datamodel.Metric
}

// metrics lists the metrics by their names.
func (s *fileSums) metrics() []namedMetric {
	return []namedMetric{
		{datamodel.Files, &s.files},
		{datamodel.FileBytes, &s.bytes},
		{datamodel.FilesBefore, &s.filesBefore},
		{datamodel.BytesBefore, &s.bytesBefore},
		{datamodel.FilesMade, &s.filesMade},
		{datamodel.BytesMade, &s.bytesMade},
		{datamodel.FilesGrown, &s.filesGrown},
		{datamodel.BytesGrown, &s.bytesGrown},
		{datamodel.FilesShrunk, &s.filesShrunk},
		{datamodel.BytesShrunk, &s.bytesShrunk},
		{datamodel.FilesDeleted, &s.filesDeleted},
		{datamodel.BytesDeleted, &s.bytesDeleted},
	}
}

type namedMetric struct {
	name   string
	metric *datamodel.Metric
}

// sumFiles adds the metrics of types. No file is in two of them.
func sumFiles(types []datamodel.CountedType) fileSums {
	var s fileSums
	for _, of := range s.metrics() {
		d, _ := datamodel.OfSensor(datamodel.InventoryFamily, of.name)
		var parts []datamodel.Metric
		reason := ""
		for _, t := range types {
			m := settled(t.Node.Metric(of.name))
			if m.Provenance == sensors.Missing {
				reason = reasonOf(m)
			}
			parts = append(parts, m)
		}
		if *of.metric = datamodel.Total(of.name, d.Unit, parts, "sum over the types"); reason != "" {
			*of.metric = datamodel.Missing(of.name, d.Unit, reason)
		}
	}
	return s
}

// sumAll adds the metrics of all areas. The sums are lower bounds if an area could not be counted.
func sumAll(all []datamodel.CountedArea) fileSums {
	var types []datamodel.CountedType
	lacks := false
	for _, a := range all {
		types = append(types, a.Types...)
		lacks = lacks || settled(a.Node.Metric(datamodel.FileErrors)).Provenance == sensors.Missing
	}
	s := sumFiles(types)
	for _, of := range s.metrics() {
		if lacks && of.metric.Provenance != sensors.Missing {
			*of.metric = of.metric.Least(math.NaN())
		}
	}
	return s
}

// typesBelow returns the types of an area and of the areas within it.
func typesBelow(all []datamodel.CountedArea, area datamodel.CountedArea) []datamodel.CountedType {
	out := slices.Clone(area.Types)
	for _, a := range all {
		if a.Within == area.Name && a.Name != area.Name {
			out = append(out, typesBelow(all, a)...)
		}
	}
	return out
}

// amount formats a number of files and a number of bytes, as "3 · 1.50 KiB". It is empty if there are no files.
func amount(files, bytes datamodel.Metric) string {
	switch {
	case files.Provenance == sensors.Missing:
		return units.None
	case files.Value == 0:
		return ""
	}
	return textOf(files).String() + " · " + units.Format(bytes.Value, bytes.Unit)
}

// inventory returns the tables of the files that were counted.
func inventory(r datamodel.Result) []listing {
	all := datamodel.InventoryOf(r.Tree)
	if len(all) == 0 {
		return nil
	}
	out := listing{heading: "files", columns: []header{
		{name: "area", left: true}, {name: "files"}, {name: "size"}, {name: "made"}, {name: "grown"}, {name: "shrunk"}, {name: "deleted"}, {name: "errors"},
	}}
	add := func(name string, s fileSums, errors string) {
		files, size := textOf(s.files).String(), textOf(s.bytes).String()
		out.rows = append(out.rows, []string{
			name, files, size, amount(s.filesMade, s.bytesMade), amount(s.filesGrown, s.bytesGrown), amount(s.filesShrunk, s.bytesShrunk),
			amount(s.filesDeleted, s.bytesDeleted), errors,
		})
	}
	if len(all) > 1 {
		add("all", sumAll(all), "")
	}
	var walk func(within, indent string)
	walk = func(within, indent string) {
		for _, a := range all {
			if a.Within != within {
				continue
			}
			errors := settled(a.Node.Metric(datamodel.FileErrors))
			if errors.Provenance == sensors.Missing {
				out.rows = append(out.rows, []string{indent + printable(a.Name), units.None, units.None, "", "", "", "", ""})
				continue
			}
			name, count := printable(a.Name), ""
			if within != "" {
				name += ", in " + printable(within) // not every format keeps the indentation
			}
			if errors.Value > 0 {
				count = textOf(errors).String()
			}
			add(indent+name, sumFiles(typesBelow(all, a)), count)
			shown, rest := largest(a.Types, shownTypes)
			for _, t := range shown {
				add(indent+"  · "+printable(strings.Join(t.Groups, " × ")), sumFiles([]datamodel.CountedType{t}), "")
			}
			if len(rest) > 0 {
				add(indent+"  · "+strconv.Itoa(len(rest))+" more types", sumFiles(rest), "")
			}
			walk(a.Name, indent+"  ")
		}
	}
	walk("", "")
	tables := []listing{out.filled()}
	for _, a := range all {
		if len(a.Groups) == 2 && len(a.Types) > 0 {
			tables = append(tables, crossTable(a))
		}
	}
	if l := spaces(r.Tree, all); len(l.rows) > 0 {
		tables = append(tables, l)
	}
	return tables
}

// inventory writes the tables of the files that were counted.
func (p *sheet) inventory(r datamodel.Result) {
	for _, l := range inventory(r) {
		p.tag("<section>\n<div class=\"head\"><h2>%s</h2></div>\n<div class=\"panel\"><table class=\"wide\">\n<thead><tr>", strings.ToUpper(l.heading[:1])+l.heading[1:])
		for _, head := range l.columns {
			if head.left {
				p.tag("<th>%s</th>", head.text())
			} else {
				p.tag("<th class=\"n\">%s</th>", head.text())
			}
		}
		p.WriteString("</tr></thead>\n<tbody>\n")
		for _, row := range l.rows {
			p.WriteString("<tr>")
			for c, s := range row {
				switch text := strings.TrimLeft(s, " "); {
				case l.columns[c].left:
					p.tag("<td class=\"name\">"+strings.Repeat("&emsp;", (len(s)-len(text))/2)+"%s</td>", text)
				case text == "":
					p.WriteString("<td class=\"n\"></td>") // without a label on a narrow screen
				default:
					p.tag("<td class=\"n\" data-l=\"%s\">%s</td>", l.columns[c].name, text)
				}
			}
			p.WriteString("</tr>\n")
		}
		p.WriteString("</tbody>\n</table></div>\n</section>\n")
	}
}

// largest returns the types with the most bytes, and the others. One other is shown as well.
func largest(types []datamodel.CountedType, most int) (shown, rest []datamodel.CountedType) {
	if len(types) <= most+1 {
		return types, nil
	}
	size := func(t datamodel.CountedType) float64 {
		return max(finite(t.Node.Metric(datamodel.FileBytes).Value), finite(t.Node.Metric(datamodel.BytesBefore).Value))
	}
	sorted := slices.Clone(types)
	slices.SortStableFunc(sorted, func(a, b datamodel.CountedType) int { return cmp.Compare(size(b), size(a)) })
	return sorted[:most], sorted[most:]
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

// crossTable returns the files of an area by the two parts of their type.
func crossTable(a datamodel.CountedArea) listing {
	columns, rows := groupsOf(a, 1), groupsOf(a, 0)
	more := len(columns) > shownColumns
	if more {
		columns = columns[:shownColumns]
	}
	out := listing{
		heading: "files of " + printable(a.Name) + ": " + printable(a.Groups[0]) + " × " + printable(a.Groups[1]),
		columns: []header{{name: printable(a.Groups[0]), left: true}},
	}
	for _, c := range columns {
		out.columns = append(out.columns, header{name: printable(c)})
	}
	if more {
		out.columns = append(out.columns, header{name: "more"})
	}
	for _, r := range rows {
		cells := make([][]datamodel.CountedType, len(out.columns)-1)
		for _, t := range a.Types {
			if t.Groups[0] != r {
				continue
			}
			at := slices.Index(columns, t.Groups[1])
			if at < 0 {
				at = len(cells) - 1
			}
			cells[at] = append(cells[at], t)
		}
		line := []string{printable(r)}
		for _, c := range cells {
			s := sumFiles(c)
			line = append(line, amount(s.files, s.bytes))
		}
		out.rows = append(out.rows, line)
	}
	return out
}

// groupsOf returns the values of one part of the types of an area. Those with the most bytes come first.
func groupsOf(a datamodel.CountedArea, part int) []string {
	bytes := map[string]float64{}
	var out []string
	for _, t := range a.Types {
		if _, known := bytes[t.Groups[part]]; !known {
			out = append(out, t.Groups[part])
		}
		bytes[t.Groups[part]] += finite(t.Node.Metric(datamodel.FileBytes).Value)
	}
	slices.SortStableFunc(out, func(x, y string) int { return cmp.Compare(bytes[y], bytes[x]) })
	return out
}

// space returns the metrics of a file system: its size, what is used and what is free.
func space(tree *datamodel.Node, mount string) (n *datamodel.Node, total, used, free datamodel.Metric) {
	if n = tree.Find(datamodel.DeviceLevel, "disk/"+mount); n == nil {
		n = &datamodel.Node{}
	}
	return n, settled(n.Metric(datamodel.SpaceTotal)), settled(n.Metric(datamodel.SpaceUsed)), settled(n.Metric(datamodel.SpaceFree))
}

// spaces returns the table of the file systems of the areas.
func spaces(tree *datamodel.Node, all []datamodel.CountedArea) listing {
	out := listing{heading: "file systems", columns: []header{{name: "mounted on", left: true}, {name: "size"}, {name: "used"}, {name: "free"}}}
	var seen []string
	for _, a := range all {
		if a.Mount == "" || slices.Contains(seen, a.Mount) {
			continue
		}
		seen = append(seen, a.Mount)
		_, total, used, free := space(tree, a.Mount)
		out.rows = append(out.rows, []string{printable(a.Mount), textOf(total).String(), textOf(used).String(), textOf(free).String()})
	}
	return out
}

// filesItem returns what changed in the areas. It returns nil if nothing did, or if nobody counted.
func filesItem(r datamodel.Result) *item {
	all := datamodel.InventoryOf(r.Tree)
	if len(all) == 0 {
		return nil
	}
	s := sumAll(all)
	var e *item
	for _, c := range []struct {
		verb, by     string
		files, bytes datamodel.Metric
	}{
		{"made", " with ", s.filesMade, s.bytesMade},
		{"grown", " by ", s.filesGrown, s.bytesGrown},
		{"shrunk", " by ", s.filesShrunk, s.bytesShrunk},
		{"deleted", " with ", s.filesDeleted, s.bytesDeleted},
	} {
		if !(c.files.Value > 0) {
			continue
		}
		bytes := units.Format(c.bytes.Value, units.Byte)
		if e == nil {
			e = &item{label: "files", figure: textOf(c.files).String() + " " + c.verb, rest: []string{strings.TrimSpace(c.by) + " " + bytes}}
			continue
		}
		e.rest = append(e.rest, " · "+textOf(c.files).String()+" "+c.verb+c.by+bytes)
	}
	return e
}

// inventoryNodes returns the nodes whose metrics say what was counted.
func inventoryNodes(tree *datamodel.Node) map[*datamodel.Node]bool {
	out := map[*datamodel.Node]bool{}
	for _, a := range datamodel.InventoryOf(tree) {
		out[a.Node] = true
		for _, t := range a.Types {
			out[t.Node] = true
		}
		if a.Mount != "" {
			n, _, _, _ := space(tree, a.Mount)
			out[n] = true
		}
	}
	return out
}

type (
	jsonInventory struct {
		// All has the files of all areas, each once.
		All   jsonFiles  `json:"all"`
		Areas []jsonArea `json:"areas"`
	}
	jsonArea struct {
		Name string `json:"name"`
		Path string `json:"path"`
		// Within is the innermost area around this one. Pattern is null if the type is the extension.
		Within  *string  `json:"within"`
		Pattern *string  `json:"pattern"`
		Groups  []string `json:"groups"`
		Errors  *float64 `json:"errors"`
		// Reason says why a figure of the area is null. Bound is "lower" if something could not be read.
		Reason     *string    `json:"reason"`
		Bound      *string    `json:"bound"`
		FileSystem *jsonSpace `json:"file_system"`
		// Total includes the areas within this one, Types do not.
		Total jsonFiles  `json:"total"`
		Types []jsonType `json:"types"`
	}
	jsonSpace struct {
		Mount string   `json:"mount"`
		Total *float64 `json:"total"`
		Used  *float64 `json:"used"`
		Free  *float64 `json:"free"`
	}
	jsonType struct {
		// Type has the parts of the type in the order of groups.
		Type []string `json:"type"`
		jsonFiles
	}
	// jsonFiles has numbers of files and of bytes. Null is unknown.
	jsonFiles struct {
		Files        *float64 `json:"files"`
		Bytes        *float64 `json:"bytes"`
		FilesBefore  *float64 `json:"files_before"`
		BytesBefore  *float64 `json:"bytes_before"`
		FilesMade    *float64 `json:"files_made"`
		BytesMade    *float64 `json:"bytes_made"`
		FilesGrown   *float64 `json:"files_grown"`
		BytesGrown   *float64 `json:"bytes_grown"`
		FilesShrunk  *float64 `json:"files_shrunk"`
		BytesShrunk  *float64 `json:"bytes_shrunk"`
		FilesDeleted *float64 `json:"files_deleted"`
		BytesDeleted *float64 `json:"bytes_deleted"`
	}
)

// filesJSON converts sums. known is false if the files could not be counted.
func filesJSON(s fileSums, known bool) jsonFiles {
	var v []*float64
	for _, of := range s.metrics() {
		if !known {
			of.metric.Value = math.NaN()
		}
		v = append(v, number(of.metric.Value))
	}
	return jsonFiles{v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11]}
}

// inventoryJSON returns what was counted, or nil if nobody counted.
func inventoryJSON(tree *datamodel.Node) *jsonInventory {
	all := datamodel.InventoryOf(tree)
	if len(all) == 0 {
		return nil
	}
	out := &jsonInventory{}
	counted := false
	for _, a := range all {
		errors := settled(a.Node.Metric(datamodel.FileErrors))
		known := errors.Provenance != sensors.Missing
		counted = counted || known
		s := sumFiles(typesBelow(all, a))
		area := jsonArea{
			Name: a.Name, Path: a.Path, Within: text(a.Within), Pattern: text(a.Pattern), Groups: a.Groups, Errors: number(errors.Value),
			Reason: text(cmp.Or(errors.Reason, s.filesMade.Reason)), Bound: text(string(s.files.Bound)), Total: filesJSON(s, known), Types: []jsonType{},
		}
		if a.Mount != "" {
			_, total, used, free := space(tree, a.Mount)
			area.FileSystem = &jsonSpace{a.Mount, number(total.Value), number(used.Value), number(free.Value)}
		}
		for _, t := range a.Types {
			area.Types = append(area.Types, jsonType{t.Groups, filesJSON(sumFiles([]datamodel.CountedType{t}), known)})
		}
		out.Areas = append(out.Areas, area)
	}
	out.All = filesJSON(sumAll(all), counted)
	return out
}
