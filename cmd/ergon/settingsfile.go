package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/git"
	"github.com/ergon-energy/ergon/internal/nearest"
)

// settingsName is the name of a settings file: the user's lies in $XDG_CONFIG_HOME/ergon, the project's in the working folder
// or in the top folder of the git repository.
const settingsName = "ergon.yaml"

// largestSettings bounds the size of a settings file in bytes.
const largestSettings = 1 << 20

// settingsFile is a settings file that was found.
type settingsFile struct {
	path string
	// trusted says that the file may name paths. It is known after text, unless the caller named the file.
	trusted bool
}

// fileSettings are the settings of one file. Those in the section of a subcommand are for that subcommand only.
type fileSettings map[string][]setting

// everywhere is the section of the settings that stand in none: they are for each subcommand that has the option.
const everywhere = ""

// layers returns the settings of the files for a subcommand. A section counts more than what stands outside of it.
func (s fileSettings) layers(c *subcommand) []layer {
	var list []layer
	for _, section := range []string{everywhere, c.name} {
		if settings := s[section]; len(settings) > 0 {
			list = append(list, layer{inFile, settings})
		}
	}
	return list
}

// configName is the option that names a settings file.
const configName = "config"

// configOption names one more settings file, which counts more than the others.
func configOption(to *string) *option {
	return &option{
		name: configName, variable: "ERGON_CONFIG", scope: once, group: forSettings, value: required{to, "file"},
		usage: "take settings from `FILE` too; they count more than the user's and the project's ergon.yaml",
	}
}

// settingsFiles returns the files that count, the lowest first. named are the settings of --config and ERGON_CONFIG; the last
// one counts, and its file must exist.
func (p *program) settingsFiles(named []setting) ([]settingsFile, error) {
	var files []settingsFile
	if dir, err := os.UserConfigDir(); err == nil {
		if path := filepath.Join(dir, "ergon", settingsName); isThere(path) {
			files = append(files, settingsFile{path: path})
		}
	}
	dir, err := os.Getwd()
	if err == nil && isThere(settingsName) {
		files = append(files, settingsFile{path: settingsName})
	} else if tree, in := git.Find(dir); err == nil && in && tree.Dir != dir {
		if path := filepath.Join(tree.Dir, settingsName); isThere(path) {
			files = append(files, settingsFile{path: path})
		}
	}
	if len(named) > 0 {
		last := named[len(named)-1]
		if _, err := os.Stat(last.given); err != nil {
			return nil, &usage{fmt.Errorf("%s: %w", last.place, err)}
		}
		files = append(files, settingsFile{path: last.given, trusted: true})
	}
	return files, nil
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// read returns the settings of the file, checked against the tables of the subcommands. note is called for each setting that
// is not believed, with the reason.
func (f *settingsFile) read(commands []*subcommand, note func(error)) (fileSettings, error) {
	text, err := f.text()
	if err != nil {
		return nil, &usage{err}
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, &usage{f.syntax(err)}
	}
	r := settingsReader{file: *f, commands: commands, note: note, into: fileSettings{}}
	for i, doc := range file.Docs {
		if i > 0 {
			return nil, &usage{errors.New(f.path + ": has several documents (--- separates them; one is allowed)")}
		}
		if err := r.root(doc.Body); err != nil {
			return nil, &usage{err}
		}
	}
	return r.into, nil
}

// text returns the content of the file, and finds out whether the file is trusted. It does not wait for a writer if the file is
// a pipe.
func (f *settingsFile) text() ([]byte, error) {
	file, err := openNow(f.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file", f.path)
	case info.Size() > largestSettings:
		return nil, fmt.Errorf("%s: has %d bytes (at most %d are read)", f.path, info.Size(), largestSettings)
	}
	f.trusted = f.trusted || ours(info)
	return io.ReadAll(io.LimitReader(file, largestSettings))
}

// syntax says where the file is no YAML. The library's own text has a picture of the lines.
func (f settingsFile) syntax(err error) error {
	var at interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if errors.As(err, &at) && at.GetToken() != nil {
		return fmt.Errorf("%s: not valid YAML: %s", f.at(at.GetToken()), at.GetMessage())
	}
	return fmt.Errorf("%s: not valid YAML: %w", f.path, err)
}

func (f settingsFile) at(t *token.Token) string {
	return fmt.Sprintf("%s:%d:%d", f.path, t.Position.Line, t.Position.Column)
}

func (f settingsFile) place(t *token.Token) datamodel.Place {
	return datamodel.Place{File: f.path, Line: t.Position.Line, Column: t.Position.Column}
}

// settingsReader walks a parsed file and collects its settings.
type settingsReader struct {
	file     settingsFile
	commands []*subcommand
	note     func(error)
	into     fileSettings
	// named says that the caller named the file for this call, so options of one call may stand there.
	named bool
}

// root reads the whole file: options, and sections of subcommands.
func (r *settingsReader) root(n ast.Node) error {
	if n == nil {
		return nil
	}
	entries, err := r.entries(n, "the file")
	if err != nil {
		return err
	}
	var known []string
	for _, c := range r.commands {
		if len(c.options) > 0 {
			known = append(known, c.name)
		}
	}
	everyone := named(r.commands, "run").options
	for _, e := range entries {
		key := e.Key.GetToken().Value
		// `sensors` is an option and a subcommand: a mapping is the subcommand's.
		_, mapping := e.Value.(*ast.MappingNode)
		if slices.Contains(known, key) && (mapping || everyone.findSetting(key) == nil) {
			if err := r.section(key, e.Value); err != nil {
				return err
			}
			continue
		}
		if err := r.option(everywhere, everyone, e, known); err != nil {
			return err
		}
	}
	return nil
}

func (r *settingsReader) section(name string, n ast.Node) error {
	entries, err := r.entries(n, name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := r.option(name, named(r.commands, name).options, e, nil); err != nil {
			return err
		}
	}
	return nil
}

// option reads one setting of a table. also lists other keys that are possible here.
func (r *settingsReader) option(section string, t table, e *ast.MappingValueNode, also []string) error {
	key := e.Key.GetToken()
	o := t.findSetting(key.Value)
	if o == nil {
		for _, known := range t {
			also = append(also, known.setting())
		}
		if word := nearest.Word(key.Value, also); word != "" {
			return fmt.Errorf("%s: no setting %q (did you mean %q?)", r.file.at(key), key.Value, word)
		}
		return fmt.Errorf("%s: no setting %q (ergon config lists them)", r.file.at(key), key.Value)
	}
	if o.scope == once && !r.named {
		return fmt.Errorf("%s: %s cannot stand in a settings file (give --%s with each call)", r.file.at(key), o.name, o.name)
	}
	if o.scope == inTrusted && !r.file.trusted {
		r.note(fmt.Errorf("%s: %s is not believed, because the file belongs to another user or others may write it (--config %s believes it)",
			r.file.at(key), o.setting(), r.file.path))
		return nil
	}
	values, err := r.values(o, e.Value)
	if err != nil {
		return err
	}
	for _, v := range values {
		r.into[section] = append(r.into[section], setting{option: o.name, given: v.GetToken().Value, place: r.file.at(v.GetToken()), at: r.file.place(v.GetToken())})
	}
	return nil
}

// values returns the scalars of a setting. An option that may be repeated takes a list; one with names takes a mapping, whose
// entries become NAME=VALUE.
func (r *settingsReader) values(o *option, n ast.Node) ([]ast.Node, error) {
	switch v := n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return []ast.Node{n}, nil
	case *ast.NullNode:
		return nil, fmt.Errorf("%s: %s has no value", r.file.at(n.GetToken()), o.setting())
	case *ast.SequenceNode:
		if !o.repeats() {
			return nil, fmt.Errorf("%s: %s takes one value, not a list", r.file.at(n.GetToken()), o.name)
		}
		var all []ast.Node
		for _, item := range v.Values {
			if _, nested := item.(*ast.SequenceNode); nested {
				return nil, fmt.Errorf("%s: a list in a list", r.file.at(item.GetToken()))
			}
			values, err := r.values(o, item)
			if err != nil {
				return nil, err
			}
			all = append(all, values...)
		}
		return all, nil
	case *ast.MappingNode:
		if _, parts := o.value.(areas); parts {
			return r.area(v)
		}
		if _, names := o.value.(*intervals); !names {
			return nil, fmt.Errorf("%s: %s takes a value, not a mapping", r.file.at(n.GetToken()), o.name)
		}
		var all []ast.Node
		for _, e := range v.Values {
			values, err := r.values(o, e.Value)
			if err != nil {
				return nil, err
			}
			for _, one := range values {
				t := one.GetToken().Clone()
				t.Value = e.Key.GetToken().Value + "=" + t.Value
				all = append(all, ast.String(t))
			}
		}
		return all, nil
	}
	return nil, fmt.Errorf("%s: %s: anchors, aliases, tags and blocks of text are not allowed here", r.file.at(n.GetToken()), o.name)
}

// area returns an area as one scalar, in the form of the option.
func (r *settingsReader) area(n *ast.MappingNode) ([]ast.Node, error) {
	known, parts := []string{areaName, areaPath, areaPattern}, map[string]string{}
	for _, e := range n.Values {
		key, value := e.Key.GetToken(), e.Value.GetToken()
		if !slices.Contains(known, key.Value) {
			hint := "one of " + strings.Join(known, ", ")
			if word := nearest.Word(key.Value, known); word != "" {
				hint = fmt.Sprintf("did you mean %q?", word)
			}
			return nil, fmt.Errorf("%s: an area has no %q (%s)", r.file.at(key), key.Value, hint)
		}
		switch e.Value.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		default:
			return nil, fmt.Errorf("%s: the %s of an area is not a text", r.file.at(value), key.Value)
		}
		parts[key.Value] = value.Value
	}
	t := n.GetToken().Clone()
	if len(n.Values) > 0 {
		t = n.Values[0].Key.GetToken().Clone()
	}
	if t.Value = areaText(parts); parts[areaPath] == "" {
		return nil, fmt.Errorf("%s: an area has no path", r.file.at(t))
	}
	return []ast.Node{ast.String(t)}, nil
}

// entries returns the entries of a mapping.
func (r *settingsReader) entries(n ast.Node, what string) ([]*ast.MappingValueNode, error) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return nil, fmt.Errorf("%s: %s is not a mapping (KEY: VALUE)", r.file.at(n.GetToken()), what)
	}
	for _, e := range m.Values {
		switch e.Key.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.BoolNode:
		default:
			return nil, fmt.Errorf("%s: %s is no name of a setting", r.file.at(e.Key.GetToken()), strings.TrimSpace(e.Key.String()))
		}
	}
	return m.Values, nil
}
