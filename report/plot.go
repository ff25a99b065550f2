package report

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
)

// plotStyle is the style of a drawing for a paper. It works on white, and in print.
const plotStyle = `text{font:11px Helvetica,Arial,"DejaVu Sans",sans-serif;fill:#333}.title{font-weight:bold;font-size:12px;fill:#111}` +
	`.grid line{stroke:#e4e6ea}.limit{stroke:#c62a2a;stroke-dasharray:4 4}.line{fill:none;stroke:currentColor;stroke-width:1.2;stroke-linejoin:round;stroke-linecap:round}.gap{stroke-width:1;stroke-dasharray:1 4}` +
	`.area,.layer,.key{fill:currentColor}.area{fill-opacity:.14}` +
	`.command,.c0{color:#2563d9}.machine{color:#77818d}.other,.c1{color:#dd7a2b}.idle{color:#c3c9d1}.c2{color:#1f9a76}.c3{color:#9a4fc4}` +
	`.c4{color:#cc3d5c}.c5{color:#8d8a17}.c6{color:#1692b8}.c7{color:#7a6252}`

// Plots lists the names of the charts, as WritePlot takes them.
func Plots() []string {
	return []string{"power", "domains", "cpu", "memory", "disk", "network", "gpu", "gpu-memory", "gpu-temperature", "own", "pressure"}
}

// WritePlot writes charts of a run as one SVG, below each other in the order of names. Without names it writes all that the run
// has. A chart of which the run has nothing is an error.
func WritePlot(w io.Writer, r datamodel.Result, names []string) error {
	const width, head, gap = 800.0, 22, 8
	var all []figure
	if len(r.Charts) > 0 {
		all = courses{r.Run, r.Charts[0]}.figures()
	}
	if len(all) == 0 {
		return fmt.Errorf("nothing to draw: the run has no readings over time")
	}
	list := all
	if len(names) > 0 {
		list = nil
		for _, n := range names {
			before := len(list)
			var has []string
			for _, f := range all {
				if name := cmp.Or(f.group, f.id); name == n {
					list = append(list, f)
				} else if !slices.Contains(has, name) {
					has = append(has, name)
				}
			}
			if len(list) == before {
				return fmt.Errorf("nothing to draw of %q: the run has %s", n, strings.Join(has, ", "))
			}
		}
	}
	const each = head + drawTop + drawHeight + drawBottom + gap
	height := strconv.Itoa(each * len(list))
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" width="800" height="` + height + `" viewBox="0 0 800 ` + height + `">` +
		`<style>` + plotStyle + `</style><rect width="100%" height="100%" fill="#fff"/>` + "\n")
	to := length(Shown{Result: r})
	for i, f := range list {
		b.WriteString(`<g transform="translate(0 ` + strconv.Itoa(each*i) + `)"><text class="title" x="` + short(drawLeft) + `" y="15">` +
			html.EscapeString(printable(f.title)) + `</text>`)
		x := drawLeft + 7.6*float64(columns(f.title)) + 14
		for _, c := range f.curves {
			b.WriteString(`<rect class="key ` + c.look + `" x="` + short(x) + `" y="7" width="9" height="9"/><text x="` + short(x+13) + `" y="15">` +
				html.EscapeString(c.name) + `</text>`)
			x += 13 + 6.2*float64(columns(c.name)) + 16
		}
		b.WriteString(`</g><g transform="translate(0 ` + strconv.Itoa(each*i+head) + `)">` + f.drawing(to, width, drawHeight) + "</g>\n")
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}
