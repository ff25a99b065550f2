package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// ConfigOptions are the options of `ergon config`.
type ConfigOptions struct {
	// Schema prints the JSON Schema of settings files instead.
	Schema bool
}

func (p *program) configCommand() *subcommand {
	var o ConfigOptions
	return &subcommand{
		name: configName, takes: aSubcommand, example: "ergon config --schema", usage: "each setting and where it came from, as a settings file", arguments: "[SUBCOMMAND]",
		options: table{{name: "schema", scope: once, usage: "the JSON Schema of settings files, for editors", value: toggle{&o.Schema}}},
		run: func(_ context.Context, words []string) error {
			switch {
			case o.Schema && len(words) == 0:
				return p.settingsSchema(p.out)
			case o.Schema:
				return misused(configName, "config: --schema takes no subcommand")
			case len(words) == 0:
				return p.config("run")
			}
			return p.config(strings.Join(words, " "))
		},
	}
}

// config prints the settings of a subcommand. What it prints is a settings file.
func (p *program) config(name string) error {
	l := line{commands: p.commands()}
	if l.subcommand = named(l.commands, name); l.subcommand == nil || len(l.subcommand.options) == 0 {
		return misused(configName, "config: no subcommand %q with options: `ergon help` lists them", name)
	}
	if p.configFile != "" {
		l.options = layer{kind: commandLine, settings: []setting{{option: configName, given: p.configFile, place: "--config"}}}
	}
	if err := p.settle(l, os.LookupEnv); err != nil {
		return err
	}
	indent := ""
	if name != "run" {
		fmt.Fprintf(p.out, "%s:\n", name)
		indent = "  "
	}
	for _, o := range l.subcommand.options {
		if o.scope == once {
			continue
		}
		from := "default"
		if o.from.kind != defaults {
			from = o.from.place
		}
		entry := o.entry()
		if o.value.Current() == "" {
			entry = "# " + o.setting() + ":"
		}
		fmt.Fprintf(p.out, "%s%-32s # %s\n", indent, entry, from)
	}
	return nil
}

// entry returns the option with its present value as a line of YAML.
func (o *option) entry() string {
	current := o.value.Current()
	if v, ok := o.value.(areas); ok { // a pattern may have commas
		var quoted []string
		for _, a := range v.list() {
			quoted = append(quoted, scalar(a))
		}
		return o.setting() + ": [" + strings.Join(quoted, ", ") + "]"
	}
	if o.repeats() && strings.Contains(current, ",") {
		quoted := strings.Split(current, ",")
		for i := range quoted {
			quoted[i] = scalar(quoted[i])
		}
		return o.setting() + ": [" + strings.Join(quoted, ", ") + "]"
	}
	if o.isSwitch() {
		return o.setting() + ": " + current
	}
	return o.setting() + ": " + scalar(current)
}

// scalar returns a text as a YAML scalar. It is quoted if YAML might take it for something else.
func scalar(text string) string {
	plain := strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=-") == ""
	switch strings.ToLower(text) {
	case "", "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		plain = false
	}
	if plain && text[0] != '-' && text[0] != '.' && text[0] != '=' {
		return text
	}
	return strconv.Quote(text) // JSON-like quotes are YAML
}

// settingsSchema prints the JSON Schema of settings files.
func (p *program) settingsSchema(w io.Writer) error {
	properties := map[string]any{}
	for _, c := range p.commands() {
		if len(c.options) == 0 {
			continue
		}
		own := c.options.schema()
		if len(own) == 0 {
			continue
		}
		properties[c.name] = map[string]any{
			"type": "object", "description": "settings of ergon " + c.name + " only: " + c.usage, "properties": own, "additionalProperties": false,
		}
	}
	for name, s := range named(p.commands(), "run").options.schema() {
		if section, both := properties[name]; both {
			s = map[string]any{"oneOf": []any{s, section}}
		}
		properties[name] = s
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": settingsName,
		"description": "Settings of ergon. Options and ERGON_* variables override them.",
		"type":        "object", "properties": properties, "additionalProperties": false,
	})
}

// schema returns the JSON Schema of each option that may stand in a settings file.
func (t table) schema() map[string]any {
	properties := map[string]any{}
	for _, o := range t {
		if o.scope == once {
			continue
		}
		one := map[string]any{"type": []string{"string", "number"}}
		switch v := o.value.(type) {
		case toggle, posix:
			one = map[string]any{"type": "boolean"}
		case choice:
			one = map[string]any{"enum": v.among}
		case list, exports:
			one = map[string]any{"oneOf": []any{map[string]any{"type": "string"}, map[string]any{"type": "array", "items": map[string]any{"type": "string"}}}}
		case areas:
			text := map[string]any{"type": "string"}
			one = map[string]any{"oneOf": []any{text, map[string]any{"type": "array", "items": map[string]any{"oneOf": []any{text, map[string]any{
				"type": "object", "properties": map[string]any{areaName: text, areaPath: text, areaPattern: text},
				"required": []string{areaPath}, "additionalProperties": false,
			}}}}}}
		case *intervals:
			one = map[string]any{"oneOf": []any{
				map[string]any{"type": "string"},
				map[string]any{"type": "array", "items": map[string]any{"type": []string{"string", "object"}}},
				map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "string"}},
			}}
		}
		one["description"] = o.meaning()
		properties[o.setting()] = one
	}
	return properties
}

func (p *program) initCommand() *subcommand {
	var bench bool
	return &subcommand{
		name: "init", example: "ergon init", usage: "write an " + settingsName + " with all settings as comments",
		options: table{
			{name: "bench", scope: once, usage: "write a " + benchTemplateName + ", which ergon bench -f takes", value: toggle{&bench}},
		},
		run: func(_ context.Context, words []string) error {
			switch {
			case len(words) > 0:
				return misused("init", "init: takes no argument, not %q", words[0])
			case bench:
				return p.init(benchTemplateName, "ergon bench -f "+benchTemplateName+" runs it", p.benchTemplate)
			}
			return p.init(settingsName, "ergon config shows what it sets", p.template)
		},
	}
}

// init writes a file into the working folder. It never overwrites one; next says what to do with it then.
func (p *program) init(name, next string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // the umask decides
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: exists already (%s)", name, next)
	}
	if err != nil {
		return err
	}
	err = write(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "wrote %s\n", name)
	return nil
}

// template writes a settings file in which every setting is a comment.
func (p *program) template(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Settings of ergon for this project. ERGON_* variables and options override them. ergon config shows what counts.
# Editors check this file with the schema that ergon config --schema prints.
`)
	for _, o := range named(p.commands(), "run").options {
		if o.scope == once {
			continue
		}
		fmt.Fprintf(&b, "\n# %s\n", o.meaning())
		entry := o.setting() + ":"
		if o.value.Current() != "" {
			entry = o.entry()
		}
		fmt.Fprintf(&b, "# %s\n", entry)
	}
	b.WriteString("\n# Settings of one subcommand stand below its name:\n# report:\n#   format: markdown\n")
	_, err := io.WriteString(w, b.String())
	return err
}
