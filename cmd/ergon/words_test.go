//go:build linux && cgo

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/cmd/ergon/prelaunch"
)

// TestWordsAsParsed holds the C part's view of the command line against parse, for every option and every subcommand. If an
// option is new, words.c must know it.
func TestWordsAsParsed(t *testing.T) {
	p := &program{backends: backend.All()}
	for _, c := range p.commands() {
		for _, o := range c.options {
			for _, name := range []string{o.name, o.short} {
				if c.prefix && name != "" && !slices.Contains(prelaunch.Known(!o.isSwitch()), name) {
					t.Errorf("option %s of ergon %s (takes a value: %v) is not in prelaunch/words.c: please add it there", name, c.name, !o.isSwitch())
				}
			}
		}
	}
	if t.Failed() {
		return
	}
	check := func(argv ...string) {
		t.Helper()
		argv = append([]string{"ergon"}, argv...)
		var want []string
		off := false
		if l, err := parse(argv, p.commands()); err == nil && !l.help && !l.version && l.subcommand.prefix && len(l.words) > 0 {
			want = l.words
			for _, s := range l.options.settings {
				if s.option == "off" {
					if err := (toggle{&off}).Set(s.given); err != nil {
						want = nil
					}
				} else if l.subcommand.options.find(s.option).isSwitch() {
					if err := (toggle{new(bool)}).Set(s.given); err != nil {
						want = nil // it is complained about later
					}
				}
			}
		}
		got, gotOff := prelaunch.Words(argv)
		if !slices.Equal(got, want) || want != nil && gotOff != off {
			t.Errorf("%q: %q off %v, want %q off %v", argv, got, gotOff, want, off)
		}
	}
	rest := [][]string{nil, {"true"}, {"--", "true", "-x"}, {"--"}, {"make", "-j8", "--off"}, {"--", "--"}, {"-"}, {""}, {"--", "ls"}}
	before := [][]string{nil, {"run"}, {"record"}, {"run", "run"}, {"-q"}, {"-q", "record"}}
	for _, c := range p.commands() {
		for _, r := range rest {
			words := strings.Fields(c.name)
			check(slices.Concat(words, r)...)
			check(slices.Concat([]string{"--"}, words, r)...)
			check(append([]string{c.name}, r...)...)
		}
		if !c.prefix {
			continue
		}
		for _, o := range c.options {
			for _, name := range slices.DeleteFunc([]string{o.name, o.short}, func(s string) bool { return s == "" }) {
				for _, dashes := range []string{"-", "--", "---"} {
					for _, value := range []string{"", "=", "=true", "=F", "=x", "=a=b"} {
						for _, b := range before {
							// The C part takes options of record before it knows the subcommand. In Go, that is a wrong call.
							if p.runCommand().options.find(o.name) == nil && !slices.Equal(b, []string{"record"}) {
								continue
							}
							for _, r := range rest {
								check(slices.Concat(b, []string{dashes + name + value}, r)...)
								check(slices.Concat(b, []string{dashes + name + value, "run"}, r)...)
							}
						}
					}
				}
			}
		}
	}
	for _, words := range [][]string{
		nil,
		{"-"},
		{"--"},
		{"-x", "true"},
		{"--nonsense=1", "true"},
		{"-h", "true"},
		{"--version"},
		{"true", "--off"},
		{"-q", "-q"},
		{"--off", "-o", "x", "true"},
		{"--off", "--off=false", "true"},
		{"-o", "--off", "true"},
		{"--off", "ls"},
		{"=", "x"},
		{"-=", "x"},
	} {
		check(words...)
	}
}
