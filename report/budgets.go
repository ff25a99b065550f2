package report

import (
	"fmt"
	"math"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/rule"
	"github.com/ergon-energy/ergon/units"
)

// BudgetText says in one line what the verdict on a budget stands on, with value and limit in units for people: "energy 512 J, not <=
// 500 J", "energy 483 J <= 500 J", "energy <= 500 J: no meter".
func BudgetText(b datamodel.Budget) string {
	name := rule.Measure(b)
	if b.Verdict == datamodel.BudgetUnknown {
		return printable(b.Rule) + ": " + printable(b.Reason)
	}
	return printable(name) + " " + measured(b)
}

// measured is BudgetText without the name of the metric.
func measured(b datamodel.Budget) string {
	if b.Verdict == datamodel.BudgetUnknown {
		return printable(b.Reason)
	}
	m := b.Measured.Metric(b.Metric)
	value := valueOf(settled(m))
	limit := units.None
	if b.Limit != nil {
		limit = units.Format(*b.Limit, b.Unit())
	}
	text := value + " " + b.Comparison + " " + limit
	if b.Verdict == datamodel.BudgetBroken {
		text = value + ", not " + b.Comparison + " " + limit
	}
	if b.For > 0 && b.Verdict == datamodel.BudgetKept {
		text = b.Comparison + " " + limit // it is about many values
	}
	if b.For > 0 {
		text += " for " + units.Format(b.For, units.Second)
	}
	if b.Baseline != nil && b.Baseline.Value != nil {
		text += " (from " + units.Format(*b.Baseline.Value, b.Unit()) + ")"
	}
	return text + doubt(b, m)
}

// doubt says that the truth may lie on the other side of the limit.
func doubt(b datamodel.Budget, m datamodel.Metric) string {
	switch {
	case !b.Uncertain:
		return ""
	case m.Bound == datamodel.LowerBound && !math.IsNaN(m.AtMost):
		return ", but it may be up to " + units.Format(m.AtMost, m.Unit)
	case m.Bound == datamodel.LowerBound:
		return ", but it may be more"
	case m.Bound == datamodel.UpperBound:
		return ", but it may be less"
	case !(m.Uncertainty > 0) && b.Baseline != nil:
		return ", but of the baseline only a bound is known"
	}
	return fmt.Sprintf(", within its uncertainty of ± %s", units.Format(m.Uncertainty, m.Unit))
}

// BudgetFindings returns the findings of the budgets of a run.
func BudgetFindings(run datamodel.Run, strict bool) Findings {
	out := Findings{Title: "Budgets", Strict: strict}
	for _, b := range run.Budgets {
		out.List = append(out.List, budgetFinding(commandLine(run.Command), b))
	}
	return out
}

// BudgetFindings returns the findings of the budgets of all commands.
func (b Bench) BudgetFindings(strict bool) Findings {
	out := Findings{Title: "Budgets", Strict: strict}
	for _, s := range b.Sides {
		for _, one := range s.Command.Budgets {
			out.List = append(out.List, budgetFinding(s.Command.Name, one))
		}
	}
	return out
}

// budgetFinding returns the finding of one budget. subject is what was measured.
func budgetFinding(subject string, b datamodel.Budget) Finding {
	m := b.Measured.Metric(b.Metric)
	one := Finding{
		Subject: subject, Name: b.Rule, Word: string(b.Verdict), Text: measured(b), Place: b.Place, Metric: b.Metric, Measure: rule.Measure(b),
		Value: m.Value, Unit: m.Unit,
	}
	one.Least, one.Most = rule.Limits(b)
	switch {
	case b.Verdict == datamodel.BudgetUnknown:
		one.State = Undecided
	case b.Verdict == datamodel.BudgetBroken && b.Ignored:
		one.State = Warns
	case b.Verdict == datamodel.BudgetBroken:
		one.State = Fails
	}
	return one
}

// budgetLook is the look of a verdict.
func budgetLook(b datamodel.Budget) string {
	switch b.Verdict {
	case datamodel.BudgetBroken:
		if b.Ignored {
			return yellow
		}
		return red
	case datamodel.BudgetUnknown:
		return yellow
	case datamodel.BudgetKept:
	}
	return ""
}

// end cuts plain text to n columns, with an ellipsis at its end.
func (p *page) end(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	ellipsis := p.plain("…")
	return cut(s, max(0, n-columns(ellipsis))) + ellipsis
}

// budgets writes a line for each budget, in p.width columns.
func (p *page) budgets(list []datamodel.Budget) {
	longest := 0
	for _, b := range list {
		longest = max(longest, len(b.Verdict))
	}
	for _, b := range list {
		word := pad(string(b.Verdict), longest, false)
		begin := "  " + pad("budget", leastLabel, false) + "  "
		rest := p.plain(BudgetText(b))
		room := max(1, p.width-columns(begin)-columns(word)-1)
		look := dim
		if b.Verdict == datamodel.BudgetBroken {
			look = ""
		}
		p.line(begin, p.look(budgetLook(b), word), " ", p.look(look, p.end(rest, room)))
	}
}

// budgets writes the verdicts on the budgets, if there are any.
func (p *sheet) budgets(run datamodel.Run) {
	if len(run.Budgets) == 0 {
		return
	}
	p.WriteString("<section class=\"budgets\"><h2>Budgets</h2>\n<ul>\n")
	for _, b := range run.Budgets {
		class := map[datamodel.BudgetVerdict]string{datamodel.BudgetBroken: " bad", datamodel.BudgetUnknown: " open"}[b.Verdict]
		p.tag("<li><span class=\"badge"+class+"\">%s</span> %s</li>\n", string(b.Verdict), BudgetText(b))
	}
	p.WriteString("</ul></section>\n")
}
