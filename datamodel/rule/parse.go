package rule

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/nearest"
	"github.com/ergon-energy/ergon/units"
)

// Parse reads a rule about the metrics of a catalogue, which is datamodel.Catalogue() unless in a test. An error is an
// *Error.
func Parse(text string, catalogue []datamodel.Definition) (Rule, error) {
	p := &parser{text: text, catalogue: catalogue}
	r, err := p.rule()
	if err != nil {
		return Rule{}, err
	}
	return r, nil
}

// parser reads a text from left to right.
type parser struct {
	text      string
	pos       int // of what comes next
	catalogue []datamodel.Definition
	// currency is the unit of the limit of an amount of money. It is empty without one.
	currency units.Unit
}

// fail makes the error for a place.
func (p *parser) fail(start, end int, hint, problem string, args ...any) error {
	return &Error{Text: p.text, Start: start, End: end, Problem: fmt.Sprintf(problem, args...), Hint: hint}
}

// rest is what was not read yet.
func (p *parser) rest() string { return p.text[p.pos:] }

// blanks skips white space.
func (p *parser) blanks() { p.pos = len(p.text) - len(strings.TrimLeftFunc(p.rest(), unicode.IsSpace)) }

// accept skips blanks, and a token if that comes next.
func (p *parser) accept(token string) bool {
	p.blanks()
	if !strings.HasPrefix(p.rest(), token) {
		return false
	}
	p.pos += len(token)
	return true
}

// word reads letters, digits and what else is in the name of a metric.
func (p *parser) word() (word string, start int) {
	p.blanks()
	start = p.pos
	end := strings.IndexFunc(p.rest(), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_./", r)
	})
	if end < 0 {
		end = len(p.rest())
	}
	p.pos += end
	return p.text[start:p.pos], start
}

func (p *parser) rule() (r Rule, err error) {
	p.blanks()
	if p.rest() == "" {
		return r, p.fail(p.pos, p.pos, "example: energy <= 500 J", "the rule is empty")
	}
	if r.Term, err = p.term(); err != nil {
		return r, err
	}
	if r.Op, err = p.op(); err != nil {
		return r, err
	}
	if r.Limit, err = p.limit(r.Term); err != nil {
		return r, err
	}
	if p.currency != "" {
		r.Unit = p.currency
	}
	if r.For, err = p.duration(r.Limit); err != nil {
		return r, err
	}
	p.blanks()
	if p.rest() != "" {
		return r, p.fail(p.pos, len(p.text), "", "%q is too much", visible(strings.TrimSpace(p.rest())))
	}
	return r, nil
}

// aggregates lists the functions of a rule.
func aggregates() []string {
	return []string{
		string(datamodel.Sum), string(datamodel.Max), string(datamodel.Min), string(datamodel.Mean), string(datamodel.Last),
	}
}

// term reads "memory", "max(memory)", "disk.free[/data]".
func (p *parser) term() (t Term, err error) {
	word, start := p.word()
	inside := word != "" && p.accept("(")
	if inside {
		if known := aggregates(); !slices.Contains(known, word) {
			return t, p.fail(start, start+len(word), suggest(word, known, "known: "+strings.Join(known, ", ")),
				"unknown function %q", word)
		}
		t.Aggregate = datamodel.Aggregate(word)
		word, start = p.word()
	}
	if word == "" {
		return t, p.fail(p.pos, p.pos+runeLength(p.rest()), "example: energy <= 500 J", "the name of a metric is missing")
	}
	i := slices.IndexFunc(p.catalogue, func(d datamodel.Definition) bool { return d.Name == word })
	if i < 0 {
		return t, p.fail(start, start+len(word), suggest(word, p.names(), "docs/metrics.md lists all"), "unknown metric %q", word)
	}
	d := p.catalogue[i]
	t.Metric, t.Unit = d.Name, d.Unit
	if !inside {
		t.Aggregate = cmp.Or(d.Aggregate, datamodel.Last)
	}
	if t.Label, err = p.label(d); err != nil {
		return t, err
	}
	if inside && !p.accept(")") {
		return t, p.fail(p.pos, p.pos, "", "%q is missing", ")")
	}
	return t, nil
}

// names lists the metrics of the catalogue.
func (p *parser) names() []string {
	out := make([]string, len(p.catalogue))
	for i, d := range p.catalogue {
		out[i] = d.Name
	}
	return out
}

// label reads "[/data]" behind the name of a metric, if it is there.
func (p *parser) label(d datamodel.Definition) (string, error) {
	if !p.accept("[") {
		return "", nil
	}
	open := p.pos - 1
	p.blanks()
	start := p.pos
	label := ""
	if quoted, err := strconv.QuotedPrefix(p.rest()); err == nil && quoted[0] == '"' {
		p.pos += len(quoted)
		if label, err = strconv.Unquote(quoted); err != nil {
			return "", p.fail(start, p.pos, "", "the label is not a string")
		}
		if !p.accept("]") {
			return "", p.fail(p.pos, p.pos, "", "%q is missing", "]")
		}
	} else {
		end := strings.IndexByte(p.rest(), ']')
		if end < 0 {
			return "", p.fail(len(p.text), len(p.text), "", "%q is missing", "]")
		}
		label = strings.TrimSpace(p.rest()[:end])
		p.pos += end + 1
	}
	switch {
	case d.Labels == datamodel.NoLabel:
		return "", p.fail(open, p.pos, "", "%s takes no label", d.Name)
	case label == "" || !utf8.ValidString(label):
		return "", p.fail(start, p.pos-1, "", "the name of a %v is missing", d.Labels)
	case d.Labels == datamodel.PathLabel && label[0] != '/':
		return "", p.fail(start, p.pos-1, "example: "+d.Name+"[/data]", "a path begins with /")
	}
	return label, nil
}

// op reads a comparison.
func (p *parser) op() (Op, error) {
	p.blanks()
	end := strings.IndexFunc(p.rest(), func(r rune) bool { return !strings.ContainsRune("<>=!≤≥≠", r) })
	if end < 0 {
		end = len(p.rest())
	}
	start, word := p.pos, p.rest()[:end]
	p.pos += end
	if i := slices.Index(ops(), word); i >= 0 {
		return Less + Op(i), nil
	}
	if word == "" {
		return 0, p.fail(start, start+runeLength(p.text[start:]), "one of "+strings.Join(ops(), " "), "a comparison is missing")
	}
	meant := map[string]string{"=": "==", "=<": "<=", "=>": ">=", "≤": "<=", "≥": ">=", "≠": "!=", "<>": "!=", "!": "!=", "===": "=="}[word]
	hint := "one of " + strings.Join(ops(), " ")
	if meant != "" {
		hint = fmt.Sprintf("did you mean %q?", meant)
	}
	return 0, p.fail(start, p.pos, hint, "%q is not a comparison", word)
}

// limit reads "2 GiB", "-5 °C" or "+5 % @main".
func (p *parser) limit(t Term) (l Limit, err error) {
	p.blanks()
	start := p.pos
	sign := ""
	for _, s := range []string{"+", "-"} {
		if p.accept(s) {
			sign = s
			break
		}
	}
	q, err := p.quantity(t)
	if err != nil {
		return l, err
	}
	end := p.pos
	l = Limit{Value: q.value, written: q.written}
	if sign == "-" {
		l.Value = -l.Value
		if l.Value == 0 { // not -0
			l.Value = 0
		}
	}
	if p.accept("@") {
		at := p.pos - 1
		to := strings.IndexFunc(p.rest(), unicode.IsSpace)
		if to < 0 {
			to = len(p.rest())
		}
		l.Baseline = p.rest()[:to]
		p.pos += to
		switch {
		case l.Baseline == "" || !utf8.ValidString(l.Baseline):
			return l, p.fail(at, p.pos, "example: "+t.Metric+" < +5 % @main", "the name of the baseline is missing")
		case sign == "":
			return l, p.fail(start, end, "example: +"+q.written+" @"+l.Baseline, "a change to a baseline needs a sign")
		}
		l.Share = q.unit == units.Ratio
		return l, nil
	}
	switch {
	case sign == "+":
		return l, p.fail(start, end, "example: +"+q.written+" @main", "a change needs a baseline")
	case q.unit != t.Unit && !q.unit.IsMoney(): // a percentage of a baseline that is not there
		return l, p.fail(start, end, "example: "+cmp.Or(sign, "+")+q.written+" @main", "a percentage of %s needs a baseline", t.Metric)
	}
	return l, nil
}

// quantity is a number with its unit.
type quantity struct {
	value   float64 // in the base unit
	unit    units.Unit
	written string
}

// quantity reads numbers with units: "2 GiB", "1 min 30 s". It may be in percent whatever the metric's unit is.
func (p *parser) quantity(t Term) (q quantity, err error) {
	smallest := 0.0
	for first := true; ; first = false {
		p.blanks()
		start := p.pos
		number, word, _ := units.Cut(p.rest())
		if number == "" && first {
			return q, p.fail(start, start+runeLength(p.rest()), example(t), "a number is missing")
		}
		if number == "" {
			return q, nil
		}
		value, err := units.ParseNumber(number)
		if err != nil {
			return q, p.fail(start, start+len(number), "", "the number is too large")
		}
		p.pos += len(number)
		if word == keywordFor {
			word = ""
		}
		scale, err := p.unit(t, word)
		if err != nil {
			return q, err
		}
		if !first && (scale.Unit != units.Second || scale.Base(1) >= smallest) {
			return q, p.fail(start, p.pos, "", "%q is too much", strings.TrimSpace(p.text[start:p.pos]))
		}
		q.value, q.unit, smallest = q.value+scale.Base(value), scale.Unit, scale.Base(1)
		if q.value > maxValue {
			return q, p.fail(start, p.pos, "", "the number is too large")
		}
		q.written = strings.TrimSpace(q.written + " " + strconv.FormatFloat(value, 'g', -1, 64) + " " + scale.Word)
		if q.unit != units.Second {
			return q, nil
		}
	}
}

const (
	keywordFor = "for"
	// maxValue keeps every sum and change of limits finite.
	maxValue = 1e300
)

// unit finds the unit that a word stands for, and checks that it is one of the metric's quantity.
func (p *parser) unit(t Term, word string) (units.Scale, error) {
	p.blanks()
	start := p.pos
	p.pos += len(word)
	if word == "" {
		if t.Unit.Counts() {
			return units.Bare(t.Unit), nil
		}
		return units.Scale{}, p.fail(start, start, waysToWrite(t.Unit), "%s needs a unit", t.Metric)
	}
	scale, err := units.ParseScale(word)
	switch {
	case errors.Is(err, units.ErrUnit):
		return scale, p.fail(start, p.pos, suggest(word, units.Names(t.Unit), waysToWrite(t.Unit)), "unknown unit %q", word)
	case t.Unit == units.AnyCurrency && scale.Unit.IsMoney():
		p.currency = scale.Unit
		return scale, nil
	case scale.Unit == t.Unit, scale.Unit == units.Ratio: // a percentage may be one of a baseline
		return scale, nil
	}
	return scale, p.fail(start, p.pos, waysToWrite(t.Unit), "%s is not measured in %s", t.Metric, word)
}

// waysToWrite names the ways to write a unit, as a hint.
func waysToWrite(u units.Unit) string {
	if u.IsMoney() {
		return "a currency, such as EUR"
	}
	return "one of " + strings.Join(units.Names(u), ", ")
}

// duration reads "for 30 s", if it is there.
func (p *parser) duration(l Limit) (time.Duration, error) {
	p.blanks()
	start := p.pos
	word, _ := p.word()
	if word != keywordFor {
		p.pos = start
		return 0, nil
	}
	p.blanks()
	from := p.pos
	text := strings.TrimSpace(p.rest())
	p.pos = from + len(text)
	d, err := time.ParseDuration(text)
	if err != nil {
		var s float64
		s, err = units.Parse(text, units.Second)
		if s > 1e9 {
			return 0, p.fail(from, p.pos, "", "the duration is too long")
		}
		d = time.Duration(s * float64(time.Second))
	}
	switch {
	case err != nil || d <= 0:
		return 0, p.fail(from, p.pos, "examples: 30 s, 5 min, 1h30m", "%q needs a duration", keywordFor)
	case l.Baseline != "":
		return 0, p.fail(start, p.pos, "", "a comparison with a baseline has no duration")
	}
	return d, nil
}

// example is a limit that the term could have.
func example(t Term) string {
	if t.Unit.Counts() {
		return "example: 10"
	}
	if t.Unit.IsMoney() {
		return "example: 10 EUR"
	}
	return "example: 10 " + t.Unit.Symbol()
}

// suggest is the hint for a word that is not known.
func suggest(word string, known []string, otherwise string) string {
	if meant := nearest.Word(word, known); meant != "" {
		return fmt.Sprintf("did you mean %q?", meant)
	}
	return otherwise
}

// runeLength is the length of the first character, 0 at the end.
func runeLength(text string) int {
	_, size := utf8.DecodeRuneInString(text)
	return size
}
