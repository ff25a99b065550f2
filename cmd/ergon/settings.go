package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/nearest"
)

// option is one option of a subcommand: the parser, the settings files and the help use the same row.
type option struct {
	// name is the long form without dashes. short is the one-letter form, if any.
	name, short string
	// key is its name in a settings file, if that is another one.
	key string
	// usage is the line of the help. The word in backquotes stands for the value.
	usage string
	// values is how many words the option takes, if more than one. The value gets them with wordBreak between them.
	values int
	// variable names the environment variable that sets the option, if any.
	variable string
	// value is bound to a field of the subcommand's options.
	value value
	// scope says in which settings files the option may stand.
	scope scope
	// group is the heading below which the help shows the option.
	group group
	// from says where the value came from; it is known after settle.
	from origin
}

// wordBreak separates the words of an option that takes several. No word can have this byte.
const wordBreak = "\x00"

// group is a heading of the help.
type group int

const (
	ungrouped group = iota
	forCommand
	forSummary
	forResults
	forNow
	forReadings
	forEnergy
	forBudgets
	forPrivacy
	forSettings
)

// String returns the heading.
func (g group) String() string {
	return [...]string{"Options", "The command", "Summary", "Results", "Measured now", "What is read", "Energy", "Budgets", "Privacy", "Settings"}[g]
}

// scope says in which settings files an option may stand.
type scope int

const (
	inEvery   scope = iota
	inTrusted       // it names a path or opens results: not in a file that a stranger may have written
	once            // in none: it is of one call
)

// value parses what was given for an option and stores it. Set is called once for each time the option was given.
type value interface {
	Set(given string) error
	// String returns the default for the help; empty if there is none to show.
	String() string
	// Current returns the text that sets the present value; empty if there is none.
	Current() string
}

// setting returns the option's name in a settings file.
func (o *option) setting() string { return cmp.Or(o.key, o.name) }

// isSwitch reports whether the option stands alone: --quiet.
func (o *option) isSwitch() bool {
	switch o.value.(type) {
	case toggle, posix:
		return true
	}
	return false
}

// repeats reports whether the option may be given several times.
func (o *option) repeats() bool {
	switch o.value.(type) {
	case list, choices, exports, rules, budgets, areas, *intervals, commands, parameters, thresholds, folders, trendMetrics:
		return true
	}
	return false
}

// meaning returns the usage without its backquotes.
func (o *option) meaning() string { return strings.ReplaceAll(o.usage, "`", "") }

// table lists the options of a subcommand.
type table []*option

// findSetting returns the option with that name in a settings file; nil if there is none.
func (t table) findSetting(key string) *option {
	i := slices.IndexFunc(t, func(o *option) bool { return o.setting() == key })
	if i < 0 {
		return nil
	}
	return t[i]
}

// find returns the option of that name, long or short; nil if there is none.
func (t table) find(name string) *option {
	if name == "" {
		return nil
	}
	i := slices.IndexFunc(t, func(o *option) bool { return o.name == name || o.short == name })
	if i < 0 {
		return nil
	}
	return t[i]
}

// meant asks whether a mistyped name means an option with a similar name. It is "" if no name is similar.
func (t table) meant(name string) string {
	var names []string
	for _, o := range t {
		names = append(names, o.name)
	}
	if word := nearest.Word(name, names); word != "" {
		return " (did you mean --" + word + "?)"
	}
	return ""
}

// layerKind is a kind of place that settings come from. A later one overrides an earlier one.
type layerKind int

const (
	defaults    layerKind = iota
	inFile                // ergon.yaml: the user's, then the project's, then --config FILE
	inBenchFile           // bench -f FILE
	environment           // ERGON_*
	commandLine
)

// origin says where a value came from.
type origin struct {
	kind layerKind
	// place is what the user wrote or named: --interval, ERGON_RESULTS, ergon.yaml:3. Errors begin with it.
	place string
}

// setting is one value that was given for an option.
type setting struct {
	option string // its long name
	given  string
	place  string // see origin
	// at is the place in a settings file; zero if the value was given elsewhere.
	at datamodel.Place
}

// layer holds the settings of one place. An option may occur several times.
type layer struct {
	kind     layerKind
	settings []setting
}

// settle sets each option from the highest layer that has it. The layers are given from the lowest to the highest.
func (t table) settle(layers ...layer) error {
	for _, o := range t {
		for _, l := range slices.Backward(layers) {
			found := false
			for _, s := range l.settings {
				if s.option != o.name || l.kind == inFile && o.scope == once { // a file has it for another subcommand
					continue
				}
				found = true
				if err := o.value.Set(s.given); err != nil {
					return &usage{fmt.Errorf("%s: %w", s.place, err)}
				}
				if placed, ok := o.value.(interface{ Stands(at datamodel.Place) }); ok {
					placed.Stands(s.at)
				}
				o.from = origin{l.kind, s.place}
			}
			if found {
				break
			}
		}
	}
	return nil
}

// settle sets the options of the subcommand from all layers, the lowest first. lookup is os.LookupEnv.
func (p *program) settle(l line, lookup func(name string) (string, bool)) error {
	options := l.subcommand.options
	benched, err := options.benchFiles(l.options.of(benchFileName))
	if err != nil {
		return err
	}
	if options.find(configName) == nil {
		return options.settle(environmentOf(options, lookup), l.options)
	}
	given := environmentOf(options, lookup)
	files, err := p.settingsFiles(append(given.of(configName), l.options.of(configName)...))
	if err != nil {
		return err
	}
	var layers []layer
	for _, f := range files {
		settings, err := f.read(l.commands, p.complain)
		if err != nil {
			return err
		}
		layers = append(layers, settings.layers(l.subcommand)...)
	}
	return options.settle(slices.Concat(layers, benched, []layer{given, l.options})...)
}

// of returns the settings of one option.
func (l layer) of(name string) []setting {
	var list []setting
	for _, s := range l.settings {
		if s.option == name {
			list = append(list, s)
		}
	}
	return list
}

// environmentOf returns the layer of ERGON_* variables. An empty variable counts as not set.
func environmentOf(t table, lookup func(name string) (string, bool)) layer {
	l := layer{kind: environment}
	for _, o := range t {
		if o.variable == "" {
			continue
		}
		if given, _ := lookup(o.variable); given != "" {
			l.settings = append(l.settings, setting{option: o.name, given: given, place: o.variable})
		}
	}
	return l
}
