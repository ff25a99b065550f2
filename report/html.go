package report

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// style makes the page readable in light and dark mode. It loads nothing.
const style = `:root{color-scheme:light dark}
body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem;overflow-wrap:anywhere}h1 code{font-weight:600}h2{font-size:1.05rem;margin-top:2rem}
.bad{color:#c62828}.dim,small{opacity:.7}
table{border-collapse:collapse}th,td{padding:.15rem .6rem;text-align:left;vertical-align:baseline}
th{border-bottom:1px solid}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.sub{padding-left:1.6rem}td.subsub{padding-left:2.6rem}tr:hover td{background:#8882}svg{vertical-align:middle}.wide{overflow-x:auto}
`

// sheet writes HTML. Only tag adds text that somebody else chose.
type sheet struct{ strings.Builder }

// tag writes markup and escapes its arguments.
func (p *sheet) tag(format string, args ...string) {
	escaped := make([]any, len(args))
	for i, a := range args {
		escaped[i] = html.EscapeString(printable(a))
	}
	fmt.Fprintf(p, format, escaped...)
}

// writeHTML writes a self-contained page. It has no scripts and loads no fonts or images.
func writeHTML(w io.Writer, r datamodel.Result, o Options) error {
	p := &sheet{}
	command := commandLine(r.Run.Command)
	p.tag("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"+
		"<meta name=\"viewport\" content=\"width=device-width\"/>\n<title>ergon: %s</title>\n", shorten(command, 60))
	p.WriteString("<style>\n" + style + "</style>\n</head>\n<body>\n")
	class := "dim"
	if r.Run.Outcome != datamodel.Done {
		class = "bad"
	}
	p.tag("<h1><code>%s</code> <span class=\"%s\">%s</span></h1>\n", command, class, verdict(r.Run))
	if s := why(r.Run); s != "" {
		p.tag("<p class=\"bad\">%s</p>\n", s)
	}
	if s := replayed(r.Run); s != "" {
		p.tag("<p>%s</p>\n", s)
	}
	about := nonEmpty(r.Run.Project, r.Run.ID, r.Run.Start.UTC().Format(time.RFC3339), named(r.Run.Host), r.Run.Host.CPU)
	p.tag("<p class=\"dim\">%s</p>\n", strings.Join(about, " · "))
	p.summary(r, o)
	var warnings, absent []string
	for _, m := range r.Run.Warnings {
		warnings = append(warnings, warning(m))
	}
	for _, a := range r.Run.Missing {
		absent = append(absent, strings.Join(nonEmpty(a.ID, a.Reason, a.Source), " · "))
	}
	p.list("Warnings", warnings)
	for _, l := range processes(r) {
		p.listing(l)
	}
	p.machine(r.Run.Host)
	p.tree(r.Tree)
	p.list("Not available", absent)
	p.sources(r.Run.Sources)
	p.WriteString("</body>\n</html>\n")
	_, err := io.WriteString(w, p.String())
	return err
}

func (p *sheet) summary(r datamodel.Result, o Options) {
	all := rows(r)
	shown := known(all)
	if len(shown) > 0 {
		p.WriteString("<table>\n<tr><th></th><th class=\"n\">command</th><th></th>" +
			"<th class=\"n\">machine</th><th></th></tr>\n")
	}
	for _, row := range shown {
		class := []string{"top", "sub", "subsub"}[min(row.depth, 2)]
		p.tag("<tr><td class=\"%s\">%s</td>", class, row.label)
		for _, c := range []cell{row.command, row.machine} {
			if c.empty() {
				p.WriteString("<td></td><td></td>")
				continue
			}
			sign, _ := mark(c.from)
			meaning := string(c.from)
			if c.missing() {
				meaning = cmp.Or(c.reason, notMeasured)
			}
			value := strings.Join(nonEmpty(c.value.String(), sign), " ")
			p.tag("<td class=\"n\" title=\"%s\">%s</td><td class=\"dim\">%s", meaning, value, c.note)
			p.course(c)
			p.WriteString("</td>")
		}
		p.WriteString("</tr>\n")
	}
	if len(shown) > 0 {
		p.WriteString("</table>\n")
	}
	for _, note := range []struct{ label, text string }{
		{"ergon itself: ", own(r)}, {"", legend(shown)}, {"not measured: ", byReason(gaps(all))}, {"kept in ", o.Results},
	} {
		if note.text != "" {
			p.tag("<p><small>%s%s</small></p>\n", note.label, note.text)
		}
	}
}

// course draws the course of a value, from 0 to its maximum. The line has a gap where a reading is missing.
func (p *sheet) course(c cell) {
	const width, height = 240.0, 20.0
	if c.spark == nil {
		return
	}
	top := highest(c.spark)
	p.tag("<svg width=\"%s\" height=\"%s\" role=\"img\"><title>0 to %s</title>"+
		"<path fill=\"none\" stroke=\"currentColor\" d=\"",
		plainNumber(width), plainNumber(height), units.Format(top, c.unit))
	move := "M"
	for i, v := range c.spark {
		if math.IsNaN(v) {
			move = "M"
			continue
		}
		y := height - 1
		if top > 0 {
			y -= max(0, v/top) * (height - 2)
		}
		x := float64(i) / float64(len(c.spark)-1) * width
		p.WriteString(move + strconv.FormatFloat(x, 'f', 1, 64) + " " + strconv.FormatFloat(y, 'f', 1, 64))
		move = "L"
	}
	p.tag("\"/></svg> to %s", units.Format(top, c.unit))
}

// listing writes a table of texts.
func (p *sheet) listing(l listing) {
	p.tag("<h2>%s</h2>\n<div class=\"wide\"><table>\n<tr>", strings.ToUpper(l.heading[:1])+l.heading[1:])
	class := make([]string, len(l.columns)) // the attribute of each cell
	for i, c := range l.columns {
		if !c.left {
			class[i] = " class=\"n\""
		}
		p.tag("<th"+class[i]+">%s</th>", c.text())
	}
	p.WriteString("</tr>\n")
	for _, row := range l.rows {
		p.WriteString("<tr>")
		for i, s := range row {
			p.tag("<td"+class[i]+">%s</td>", strings.TrimSpace(s))
		}
		p.WriteString("</tr>\n")
	}
	p.WriteString("</table></div>\n")
}

// machine writes everything known about the machine and its settings.
func (p *sheet) machine(h datamodel.HostInfo) {
	p.WriteString("<h2>Machine</h2>\n<table>\n")
	for _, fact := range datamodel.HostFacts(h) {
		if unit := factUnit(fact.Key); unit != "" {
			if v, err := strconv.ParseFloat(fact.Value, 64); err == nil {
				fact.Value = units.Format(v, unit)
			}
		}
		p.tag("<tr><td>%s</td><td>%s</td></tr>\n", fact.Key, fact.Value)
	}
	p.WriteString("</table>\n")
}

// factUnit returns the unit of a fact that is a number, or "" for other facts.
func factUnit(key string) units.Unit {
	switch {
	case key == "memory" || key == "swap" || key == "limit/memory":
		return units.Byte
	case key == "frequency_min" || key == "frequency_max":
		return units.Hertz
	case strings.HasPrefix(key, "power_cap/"):
		return units.Watt
	}
	return ""
}

// tree writes every metric of every node as a row.
func (p *sheet) tree(root *datamodel.Node) {
	if root == nil {
		return
	}
	p.WriteString("<h2>All metrics</h2>\n<div class=\"wide\"><table>\n<tr><th>path</th><th>metric</th>" +
		"<th class=\"n\">value</th><th>from</th><th>source</th><th class=\"n\">least</th><th class=\"n\">mean</th>" +
		"<th class=\"n\">most</th><th class=\"n\">readings</th><th class=\"n\">gaps</th></tr>\n")
	walk(root, "", func(n *datamodel.Node, path string) {
		for _, m := range n.Metrics {
			m = settled(m)
			show := units.Format
			if m.Aggregation == "delta" { // least, mean and most of a counter are rates
				show = units.FormatRate
			}
			from := string(m.Provenance)
			if reason := reasonOf(m); reason != "" {
				from += ": " + reason
			}
			p.tag("<tr><td>%s</td><td>%s</td><td class=\"n\">%s</td><td>%s</td><td class=\"dim\">%s</td>"+
				"<td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td>"+
				"<td class=\"n\">%s</td><td class=\"n\">%s</td></tr>\n",
				path, m.Name, valueOf(m), from, m.Source,
				show(m.Min, m.Unit), show(m.Mean, m.Unit), show(m.Max, m.Unit),
				strconv.FormatInt(m.Count, 10), strconv.FormatInt(m.Gaps, 10))
		}
	})
	p.WriteString("</table></div>\n")
}

func (p *sheet) sources(all []datamodel.SourceStats) {
	if len(all) == 0 {
		return
	}
	p.WriteString("<h2>Sources</h2>\n<table>\n<tr><th>name</th><th class=\"n\">interval</th><th class=\"n\">sensors</th>" +
		"<th class=\"n\">readings</th><th class=\"n\">missed</th><th class=\"n\">late</th><th class=\"n\">failed</th>" +
		"<th class=\"n\">time reading</th><th class=\"n\">longest</th></tr>\n")
	for _, s := range all {
		cells := []string{
			units.Format(s.Interval, units.Second), strconv.Itoa(s.Sensors), strconv.FormatInt(s.Readings, 10),
			strconv.FormatInt(s.Missed, 10), strconv.FormatInt(s.Late, 10), strconv.FormatInt(s.Failed, 10),
			units.Format(s.ReadTime, units.Second), units.Format(s.Worst, units.Second),
		}
		if s.Hung {
			cells = append(cells, "did not answer at the end")
		}
		p.tag("<tr><td>%s</td>", s.Name)
		for _, c := range cells {
			p.tag("<td class=\"n\">%s</td>", c)
		}
		p.WriteString("</tr>\n")
	}
	p.WriteString("</table>\n")
}

// list writes a heading and a list. It writes nothing if the list is empty.
func (p *sheet) list(heading string, all []string) {
	if len(all) == 0 {
		return
	}
	p.tag("<h2>%s</h2>\n<ul>\n", heading)
	for _, s := range all {
		p.tag("<li>%s</li>\n", s)
	}
	p.WriteString("</ul>\n")
}
