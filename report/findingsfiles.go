package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/units"
)

// junitSuite is a suite of test cases.
type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Said    string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
}

// writeJUnit writes a suite as JUnit XML. It counts the cases.
func writeJUnit(w io.Writer, name string, cases []junitCase) error {
	out := junitSuite{Name: name, Tests: len(cases), Cases: cases}
	for _, c := range cases {
		switch {
		case c.Failure != nil:
			out.Failures++
		case c.Skipped != nil:
			out.Skipped++
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// WriteJUnit writes a test case for each finding. What is undecided is skipped, unless the caller is strict.
func (f Findings) WriteJUnit(w io.Writer) error { return writeJUnit(w, "ergon", f.cases()) }

func (f Findings) cases() []junitCase {
	var cases []junitCase
	for _, one := range f.List {
		c := junitCase{Class: printable(one.Subject), Name: printable(one.Name)}
		text := one.Word + ": " + printable(one.Text)
		if one.Place.File != "" {
			text += fmt.Sprintf(" (%s:%d)", printable(one.Place.File), one.Place.Line)
		}
		switch f.state(one) {
		case Fails:
			c.Failure = &junitMessage{Message: text, Type: junitType(one)}
		case Undecided:
			c.Skipped = &junitMessage{Message: text}
		case Warns, Passes:
			c.Said = text
		}
		cases = append(cases, c)
	}
	return cases
}

// junitType is the type of a failure. The first is a word that other tools use, too.
func junitType(f Finding) string {
	switch f.Word {
	case "regressed":
		return "PerformanceRegression"
	case "broken":
		return "BudgetBroken"
	}
	return "Undecided"
}

// WriteOpenMetrics writes OpenMetrics text with the measured values and whether each rule is kept. GitLab shows it as a metrics
// report. It compares the texts of two branches, so a value has three significant digits.
func (f Findings) WriteOpenMetrics(w io.Writer) error {
	var m openMetrics
	for _, one := range f.List {
		m.add(one.Metric, one.Unit, one.Value, "command", one.Subject, "value", one.Measure)
		m.add("verdict_good", "", one.good(), "command", one.Subject, "name", one.Name)
	}
	return m.write(w)
}

// openMetrics collects samples by metric.
type openMetrics struct {
	families []openFamily
}

type openFamily struct {
	name, unit string
	samples    []string // `{labels} value`
	labels     []string // to have no labels twice
}

// add adds a sample. labels are names and values in turn. A value that is missing, or one that is already there, is left out.
func (m *openMetrics) add(metric string, u units.Unit, v float64, labels ...string) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	name := "ergon_" + strings.NewReplacer(".", "_", "-", "_", "/", "_").Replace(metric)
	unit := map[units.Unit]string{
		units.Second: "seconds", units.Byte: "bytes", units.Joule: "joules", units.Watt: "watts", units.Ratio: "ratio", units.Celsius: "celsius",
		units.Hertz: "hertz", units.Gram: "grams",
	}[u]
	if unit != "" {
		name += "_" + unit
	}
	i := slices.IndexFunc(m.families, func(f openFamily) bool { return f.name == name })
	if i < 0 {
		i = len(m.families)
		m.families = append(m.families, openFamily{name: name, unit: unit})
	}
	var pairs []string
	for l := 0; l+1 < len(labels); l += 2 {
		pairs = append(pairs, labels[l]+`="`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(printable(labels[l+1]))+`"`)
	}
	of := strings.Join(pairs, ",")
	family := &m.families[i]
	if slices.Contains(family.labels, of) {
		return
	}
	family.labels = append(family.labels, of)
	family.samples = append(family.samples, "{"+of+"} "+strconv.FormatFloat(v, 'g', 3, 64))
}

func (m *openMetrics) write(w io.Writer) error {
	var text strings.Builder
	for _, f := range m.families {
		fmt.Fprintf(&text, "# TYPE %s gauge\n", f.name)
		if f.unit != "" {
			fmt.Fprintf(&text, "# UNIT %s %s\n", f.name, f.unit)
		}
		for _, s := range f.samples {
			text.WriteString(f.name + s + "\n")
		}
	}
	text.WriteString("# EOF\n")
	_, err := io.WriteString(w, text.String())
	return err
}
