package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/backend"
)

// parsed shows what came of a command line: the subcommand, its options, and its words or the command to measure.
func parsed(p *program, words string) string {
	argv := append([]string{"ergon"}, strings.Fields(words)...)
	l, err := parse(argv, p.commands())
	if err != nil {
		return "error: " + err.Error()
	}
	var given []string
	for _, s := range l.options.settings {
		given = append(given, s.option+"="+s.given)
	}
	switch {
	case l.help:
		return l.subcommand.name + " help"
	case l.version:
		return "version"
	case l.subcommand.prefix && !slices.Equal(argv[len(argv)-len(l.words):], l.words):
		return fmt.Sprintf("%q does not end with %q", argv, l.words)
	}
	return fmt.Sprintf("%s %v %v", l.subcommand.name, given, l.words)
}

func TestParse(t *testing.T) {
	p := &program{backends: backend.All()}
	f := func(words, want string) {
		t.Helper()
		if got := parsed(p, words); got != want {
			t.Errorf("ergon %s: %s, want %s", words, got, want)
		}
	}
	f("", "run [] []")
	f("make -j8", "run [] [make -j8]")
	f("-q -- make -- -j8", "run [quiet=true] [make -- -j8]")
	f("-q --", "run [quiet=true] []")
	f("- x", "run [] [- x]")
	f("-o a --results=b -results c true", "run [results=a results=b results=c] [true]")
	f("--interval nvml=500ms true", "run [interval=nvml=500ms] [true]")
	f("--interval=nvml=500ms true", "run [interval=nvml=500ms] [true]")
	f("--quiet=false true", "run [quiet=false] [true]")
	f("--project -h true", "run [project=-h] [true]")
	f("--results= true", "run [results=] [true]")

	// The first word may be a subcommand.
	f("run -q true -q", "run [quiet=true] [true -q]")
	f("-q run -- report", "run [quiet=true] [report]")
	f("-q record --tape x true", "record [quiet=true tape=x] [true]")
	f("-- report", "run [] [report]")
	f("-o r report last -f csv", "report [results=r format=csv] [last]")
	f("compare --base main -- make -j8", "compare [base=main] [make -j8]")
	f("compare --base main make -j8", "error: compare: -j8 stands after the command make: options of ergon go before a --, and the command after it: "+
		"`ergon compare --base ... -- make ...`")
	f("compare --base main make -q", "error: compare: -q stands after the command make: options of ergon go before a --, and the command after it: "+
		"`ergon compare --base ... -- make ...`")
	f("compare a b -f csv", "compare [format=csv] [a b]")
	f("report -f csv -- -f", "report [format=csv] [-f]")
	f("--json sensors", "sensors [json=true] []")

	// Help and version.
	f("--help", "run help")
	f("-q -h report", "report help")
	f("report last --help", "report help")
	f("-V", "version")
	f("true -V", "run [] [true -V]")

	// What is wrong names the option as typed.
	f("--nope true", "error: no option --nope: `ergon --help` lists the options")
	f("---quiet true", "error: no option ---quiet (did you mean --quiet?): `ergon --help` lists the options")
	f("-q -o", "error: -o: needs a value: the DIR that keeps the results")
	f("report -x", "error: report has no option -x: `ergon report --help` lists its options; `ergon -- report ...` measures the program report")
	f("-q ls", "error: ls has no option -q: `ergon ls --help` lists its options; `ergon -- ls ...` measures the program ls")
	f("-f report", "run [format=report] []")
}

// TestTables checks what the parser and the help rely on: names are unique, and every option says what it is.
func TestTables(t *testing.T) {
	p := &program{backends: backend.All()}
	for _, c := range p.commands() {
		seen := map[string]bool{"help": true, "h": true, "version": true, "V": true}
		for _, o := range c.options {
			for _, name := range []string{o.name, o.short} {
				if name != "" && seen[name] {
					t.Errorf("%s: two options %s", c.name, name)
				}
				seen[name] = true
			}
			if o.usage == "" || o.isSwitch() != !strings.Contains(o.usage, "`") && o.name != "project" {
				t.Errorf("%s --%s: %q: a value has a placeholder in backquotes, a switch has none", c.name, o.name, o.usage)
			}
		}
	}
}

// BenchmarkParse is what the command line costs before a command is measured.
func BenchmarkParse(b *testing.B) {
	backends := backend.All()
	for b.Loop() {
		p := &program{backends: backends}
		l, err := parse([]string{"ergon", "-q", "--interval", "nvml=500ms", "true"}, p.commands())
		if err != nil {
			b.Fatal(err)
		}
		if err := p.settle(l, os.LookupEnv); err != nil {
			b.Fatal(err)
		}
	}
}
