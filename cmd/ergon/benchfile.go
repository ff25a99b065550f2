package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/ergon-energy/ergon/internal/nearest"
)

// benchFile is the file of a bench: its commands, their parameters, and options. It is the value of --file. The file is
// trusted, because the caller named it.
type benchFile struct{ to *BenchOptions }

// benchFileName is the option that names the file. The file has no setting of that name.
const benchFileName = "file"

// The keys of the file that are no options.
const (
	commandsKey   = "commands"
	parametersKey = "parameters"
)

// The keys of a command. Those of hooks and of the work count instead of the options.
const (
	commandKey  = "command"
	prepareKey  = "prepare"
	concludeKey = "conclude"
	workKey     = "work"
	firstKey    = "from"
	lastKey     = "to"
	stepKey     = "step"
)

func (v benchFile) Set(given string) error {
	if given == "" {
		return errors.New("no file given")
	}
	return nil
}

func (v benchFile) String() string { return "" }

func (v benchFile) Current() string { return "" }

// benchFiles reads the files of a bench that the command line names. It returns the options that stand there.
func (t table) benchFiles(given []setting) (list []layer, err error) {
	o := t.find(benchFileName)
	if o == nil {
		return nil, nil
	}
	value, ok := o.value.(benchFile)
	if !ok {
		return nil, nil
	}
	for _, s := range given {
		settings, err := value.read(s, t)
		if err != nil {
			return nil, err
		}
		list = append(list, layer{inBenchFile, settings})
	}
	return list, nil
}

// read reads a file into the options: its commands and parameters. It returns the settings of the options of the table.
func (v benchFile) read(given setting, t table) ([]setting, error) {
	r := benchReader{settingsReader: settingsReader{file: settingsFile{path: given.given, trusted: true}, into: fileSettings{}, named: true}, to: v.to}
	text, err := r.file.text()
	switch {
	case errors.Is(err, fs.ErrNotExist) && slices.Contains(benchFormats(), given.given):
		return nil, &usage{fmt.Errorf("%s: %w (--format %s prints the result in that format)", given.place, err, given.given)}
	case err != nil:
		return nil, &usage{fmt.Errorf("%s: %w", given.place, err)}
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, &usage{r.file.syntax(err)}
	}
	for i, doc := range file.Docs {
		if i > 0 {
			return nil, &usage{errors.New(given.given + ": has several documents (--- separates them; one is allowed)")}
		}
		if err := r.root(doc.Body, t); err != nil {
			return nil, &usage{err}
		}
	}
	return r.into[everywhere], nil
}

// benchReader walks the parsed file of a bench.
type benchReader struct {
	settingsReader
	to *BenchOptions
}

// root reads the whole file.
func (r *benchReader) root(n ast.Node, t table) error {
	if n == nil {
		return nil
	}
	entries, err := r.entries(n, "the file")
	if err != nil {
		return err
	}
	options := t.ofBenchFile()
	for _, e := range entries {
		switch e.Key.GetToken().Value {
		case commandsKey:
			err = r.commandList(e.Value)
		case parametersKey:
			r.to.Parameters, err = r.parameters(e.Value, r.to.Parameters)
		default:
			err = r.option(everywhere, options, e, []string{commandsKey, parametersKey})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// commandList reads the commands: NAME: COMMAND, or NAME with a mapping.
func (r *benchReader) commandList(n ast.Node) error {
	entries, err := r.entries(n, commandsKey)
	if err != nil {
		return err
	}
	for _, e := range entries {
		c := namedCommand{name: e.Key.GetToken().Value}
		if err := r.command(&c, e); err != nil {
			return err
		}
		r.to.Named = append(r.to.Named, c)
	}
	return nil
}

func (r *benchReader) command(c *namedCommand, e *ast.MappingValueNode) error {
	if _, mapping := e.Value.(*ast.MappingNode); !mapping {
		return r.commandLine(c, e.Value)
	}
	entries, err := r.entries(e.Value, "the command")
	if err != nil {
		return err
	}
	for _, part := range entries {
		key := part.Key.GetToken()
		switch key.Value {
		case commandKey:
			err = r.commandLine(c, part.Value)
		case prepareKey:
			c.prepare, err = r.scalar(part.Value, prepareKey)
		case concludeKey:
			c.conclude, err = r.scalar(part.Value, concludeKey)
		case workKey:
			c.work, err = r.scalar(part.Value, workKey)
		case parametersKey:
			c.parameters, err = r.parameters(part.Value, nil)
		default:
			err = r.unknown(key, "a command", commandKey, prepareKey, concludeKey, workKey, parametersKey)
		}
		if err != nil {
			return err
		}
	}
	if c.line == "" {
		return fmt.Errorf("%s: the command %s has no %s", r.file.at(e.Key.GetToken()), c.name, commandKey)
	}
	return nil
}

// commandLine reads a command: a line, or a list of its words.
func (r *benchReader) commandLine(c *namedCommand, n ast.Node) (err error) {
	if list, ok := n.(*ast.SequenceNode); ok {
		for _, item := range list.Values {
			word, err := r.scalar(item, "a word")
			if err != nil {
				return err
			}
			c.words = append(c.words, word)
		}
		c.line = strings.Join(c.words, " ")
	} else if c.line, err = r.scalar(n, commandKey); err != nil {
		return err
	}
	if strings.TrimSpace(c.line) == "" {
		return fmt.Errorf("%s: an empty command", r.file.at(n.GetToken()))
	}
	return nil
}

// parameters adds to the list: NAME with a list of values, with one value, or with the first and the last number.
func (r *benchReader) parameters(n ast.Node, list []parameter) ([]parameter, error) {
	entries, err := r.entries(n, parametersKey)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		p := parameter{name: e.Key.GetToken().Value}
		switch v := e.Value.(type) {
		case *ast.SequenceNode:
			for _, item := range v.Values {
				value, err := r.scalar(item, "a value")
				if err != nil {
					return nil, err
				}
				p.values = append(p.values, value)
			}
		case *ast.MappingNode:
			p.values, err = r.scan(v)
		default:
			var value string
			value, err = r.scalar(v, "the value")
			p.values = []string{value}
		}
		if err != nil {
			return nil, err
		}
		if len(p.values) == 0 {
			return nil, fmt.Errorf("%s: the parameter %s has no values", r.file.at(e.Key.GetToken()), p.name)
		}
		list = append(list, p)
	}
	return list, nil
}

// scan reads numbers from the first to the last.
func (r *benchReader) scan(n *ast.MappingNode) ([]string, error) {
	at := map[string]float64{stepKey: 1}
	for _, e := range n.Values {
		key := e.Key.GetToken()
		if !slices.Contains([]string{firstKey, lastKey, stepKey}, key.Value) {
			return nil, r.unknown(key, "a parameter", firstKey, lastKey, stepKey)
		}
		text, err := r.scalar(e.Value, key.Value)
		if err != nil {
			return nil, err
		}
		if at[key.Value], err = strconv.ParseFloat(text, 64); err != nil || math.IsInf(at[key.Value], 0) || math.IsNaN(at[key.Value]) {
			return nil, fmt.Errorf("%s: %s is no number", r.file.at(e.Value.GetToken()), text)
		}
	}
	values, err := scanned(at[firstKey], at[lastKey], at[stepKey])
	if _, both := at[firstKey]; err != nil || !both {
		return nil, fmt.Errorf("%s: want %s: NUMBER, %s: NUMBER and perhaps %s: NUMBER, with at most %d values",
			r.file.at(n.GetToken()), firstKey, lastKey, stepKey, mostValues)
	}
	return values, nil
}

// scanned lists the numbers from the first to the last. A number that misses the last one by a rounding error is listed.
func scanned(first, last, step float64) (values []string, err error) {
	const rounding = 1e-9
	count := math.Floor((last-first)/step + rounding)
	if !(step > 0) || !(count >= 0) || count >= mostValues {
		return nil, fmt.Errorf("from %g to %g by %g: want at most %d values", first, last, step, mostValues)
	}
	for i := range int(count) + 1 {
		const decimals = 12 // 0.1 + 2 × 0.1 is 0.3
		v, _ := strconv.ParseFloat(strconv.FormatFloat(first+float64(i)*step, 'g', decimals, 64), 64)
		values = append(values, strconv.FormatFloat(v, 'f', -1, 64))
	}
	return values, nil
}

// scalar returns a text or a number.
func (r *benchReader) scalar(n ast.Node, what string) (string, error) {
	switch v := n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, nil
	case *ast.LiteralNode: // several lines, for a shell
		return v.Value.Value, nil
	}
	return "", fmt.Errorf("%s: %s is not a text", r.file.at(n.GetToken()), what)
}

// unknown returns the error of a key that nothing has.
func (r *benchReader) unknown(key *token.Token, what string, known ...string) error {
	hint := "one of " + strings.Join(known, ", ")
	if word := nearest.Word(key.Value, known); word != "" {
		hint = fmt.Sprintf("did you mean %q?", word)
	}
	return fmt.Errorf("%s: %s has no %q (%s)", r.file.at(key), what, key.Value, hint)
}

// ofBenchFile returns the options that the file of a bench may have.
func (t table) ofBenchFile() table {
	return slices.DeleteFunc(slices.Clone(t), func(o *option) bool {
		return o.values > 1 || o.name == benchFileName || o.name == configName
	})
}

// benchTemplateName is the file that init --bench writes.
const benchTemplateName = "bench.yaml"

// benchTemplate writes the file of a bench that can be run as it is. Its options are comments.
func (p *program) benchTemplate(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# A bench: ergon bench -f bench.yaml runs it. Options on the command line override what stands here.

# The commands, by name. No shell runs them (see shell below). A {NAME} stands for the value of a parameter.
commands:
  few: sleep {seconds}
  many:
    command: [sh, -c, "for i in 1 2 3 4; do sleep {seconds}; done"] # the words one by one, or one line
    work: 4 sleeps # what one execution does, to tell the cost of one unit
    # prepare: sync # before each round of this command; conclude is run after it
    # parameters: {level: {from: 1, to: 9, step: 2}} # of this command only

# Each value of a parameter is put into each command.
parameters:
  seconds: [0.001, 0.002]
`)
	for _, o := range p.benchCommand().options.ofBenchFile() {
		fmt.Fprintf(&b, "\n# %s\n", o.meaning())
		entry := o.setting() + ":"
		if o.value.Current() != "" {
			entry = o.entry()
		}
		fmt.Fprintf(&b, "# %s\n", entry)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
