package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// card is one figure at the top of the page.
type card struct {
	title, value, sign string
	// none says that value says why there is no figure.
	none bool
	// below qualifies the figure, a line for each.
	below []string
	// from says where the figure comes from. It is shown if somebody points at the card.
	from []string
}

// cards returns the figures at the top of the page.
func cards(r datamodel.Result) []card {
	s := summary(r)
	if len(known(rows(r))) == 0 { // the command did not start
		return nil
	}
	var out []card
	for _, c := range slices.Concat([]*card{energyCard(r, s)}, factorCards(r, s), []*card{
		wallCard(r, s), cpuCard(r, s), memoryCard(r, s), diskCard(s), networkCard(r), gpuCard(r, s), machineCard(r, s),
	}) {
		if c != nil {
			out = append(out, *c)
		}
	}
	return out
}

// factorCards returns the overhead, the carbon and the cost, if somebody gave the factors.
func factorCards(r datamodel.Result, s map[string]datamodel.Metric) []*card {
	var out []*card
	for _, e := range factorItems(r, s) {
		c := &card{title: strings.ToUpper(e.label[:1]) + e.label[1:], value: e.figure, sign: e.mark}
		for _, rest := range e.rest {
			c.below = append(c.below, strings.TrimPrefix(rest, " · "))
		}
		out = append(out, c)
	}
	return out
}

// origin says how a value was obtained and from what.
func origin(m datamodel.Metric) string {
	if m.Provenance == sensors.Missing {
		return reasonOf(m)
	}
	_, meaning := mark(m.Provenance)
	return strings.Join(nonEmpty(cmp.Or(meaning, "counted"), m.Source), ": ")
}

func valueCard(title string, c cell, from ...datamodel.Metric) *card {
	out := &card{title: title, value: c.value.String()}
	out.sign, _ = mark(c.from)
	if c.missing() {
		out.value, out.none, out.sign = notMeasured, true, ""
		out.below = nonEmpty(c.reason)
	}
	for _, m := range from {
		out.from = append(out.from, origin(m))
	}
	return out
}

// energyCard returns the command's share of the energy. If it is not known, the card has the energy of the machine, or why there
// is none.
func energyCard(r datamodel.Result, s map[string]datamodel.Metric) *card {
	row := energyRows(r, s, cell{})[0]
	all, share := s[datamodel.Energy], s[datamodel.TargetEnergy]
	var out *card
	switch {
	case row.command.known():
		out = valueCard("Energy", row.command, share)
		if row.machine.known() {
			out.below = []string{"of the machine's " + row.machine.value.String()}
			out.from = append(out.from, "machine: "+origin(all))
		}
	case row.machine.known():
		out = valueCard("Energy of the machine", row.machine, all)
		out.below = nonEmpty(row.machine.note)
	default:
		out = valueCard("Energy", row.machine, all)
	}
	if p := s[datamodel.Power]; p.Provenance != sensors.Missing && row.machine.known() && !vague(all) {
		out.below = append(out.below, "machine at "+units.Format(p.Value, p.Unit))
	}
	if e := estimateItem(r, s); e != nil {
		out.below = append(out.below, "estimate "+e.figure+" "+e.mark+" "+strings.Join(e.rest, ""))
	}
	return out
}

func wallCard(r datamodel.Result, s map[string]datamodel.Metric) *card {
	m := s[datamodel.WallTime]
	out := valueCard("Wall time", cellOf(m), m)
	if !out.none {
		out.value = timeOf(m)
	}
	if c := ofTarget(r.Tree, datamodel.StoppedTime); c.known() {
		out.below = append(out.below, "stopped for "+c.value.String())
	}
	return out
}

func cpuCard(r datamodel.Result, s map[string]datamodel.Metric) *card {
	m, user := s[datamodel.CPUTime], s[datamodel.CPUUserTime].Value
	out := valueCard("CPU time", cellOf(m), m)
	if out.none {
		return out
	}
	out.value = timeOf(m)
	if wall := s[datamodel.WallTime].Value; wall > 0 {
		out.below = append(out.below, busyOf(m.Value/wall, r.Run.Host))
	}
	if user >= 0 && user <= m.Value && m.Value > 0 {
		out.below = append(out.below, percent(user/m.Value)+" user")
	}
	return out
}

func memoryCard(r datamodel.Result, s map[string]datamodel.Metric) *card {
	m := s[datamodel.PeakMemory]
	c := memory(r.Run.Host, m)
	out := valueCard("Peak memory", c, m)
	if !out.none {
		out.below = nonEmpty(c.note)
		if charge := s[datamodel.PeakMemoryCharge]; charge.Value > m.Value {
			out.below = append(out.below, textOf(charge).String()+" with page cache")
		}
	}
	return out
}

func diskCard(s map[string]datamodel.Metric) *card {
	in, out := s[datamodel.DiskRead], s[datamodel.DiskWrite]
	c := valueCard("Disk written", cellOf(out), out)
	if in.Provenance != sensors.Missing {
		sign, _ := mark(in.Provenance)
		c.below = []string{strings.Join(nonEmpty(cellOf(in).value.String(), sign, "read"), " ")}
	}
	return c
}

// networkCard returns what the command received, or what it sent. It is nil if the command has no network of its own.
func networkCard(r datamodel.Result) *card {
	in, out := ofTarget(r.Tree, datamodel.TargetNetworkReceive), ofTarget(r.Tree, datamodel.TargetNetworkTransmit)
	if !in.known() && !out.known() {
		return nil
	}
	c := valueCard("Network received", in)
	if !in.known() { // nothing, or nothing known
		c = valueCard("Network sent", out)
	}
	c.from = []string{"the command's own network namespace"}
	if in.known() && out.known() {
		c.below = []string{out.value.String() + " sent"}
	}
	return c
}

func gpuCard(r datamodel.Result, s map[string]datamodel.Metric) *card {
	e := gpuItem(r, s)
	if e == nil {
		return nil
	}
	return &card{
		title: "GPU", value: e.figure, sign: e.mark, below: []string{strings.TrimPrefix(strings.Join(e.rest, ""), " · ")},
		from: []string{origin(s[datamodel.GPUEnergy])},
	}
}

// machineCard returns how busy the machine was, and by whom. It is nil if that is not known.
func machineCard(r datamodel.Result, s map[string]datamodel.Metric) *card {
	m := s[datamodel.CPUUtilization]
	if m.Provenance == sensors.Missing {
		return nil
	}
	out := &card{title: "Machine", value: percent(m.Value) + " busy", from: []string{origin(m)}}
	others := m.Value - s[datamodel.CPUTime].Value/(s[datamodel.WallTime].Value*float64(r.Run.Host.CPUs))
	if others >= 0 && others <= 1 {
		out.below = []string{percent(others) + " by others"}
	}
	return out
}

// cards writes the figures at the top of the page.
func (p *sheet) cards(all []card) {
	if len(all) == 0 {
		return
	}
	p.WriteString("<section class=\"cards\">\n")
	for _, c := range all {
		class := "big"
		if c.none {
			class += " none"
		}
		p.tag("<div class=\"card\" tabindex=\"0\"><h2>%s</h2><p class=\""+class+"\">%s", c.title, c.value)
		if c.sign != "" {
			p.tag(" <span class=\"sign\">%s</span>", c.sign)
		}
		p.WriteString("</p>")
		for _, s := range c.below {
			p.tag("<p class=\"sub clamp\">%s</p>", s)
		}
		if from := nonEmpty(c.from...); len(from) > 0 {
			p.WriteString("<div class=\"tip\" role=\"tooltip\">")
			for _, s := range from {
				p.tag("<p>%s</p>", s)
			}
			p.WriteString("</div>")
		}
		p.WriteString("</div>\n")
	}
	p.WriteString("</section>\n")
}
