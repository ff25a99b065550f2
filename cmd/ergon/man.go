package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/runner"
)

// This file makes the manual pages from the tables that the help is made from, with the macros of man(7). groff and mandoc
// show them.

// man writes a page for ergon and one for each subcommand into a folder, which is made if it is missing.
func (p *program) man(o HelpOptions) error {
	if err := os.MkdirAll(o.Man, 0o777); err != nil { // the umask decides
		return fmt.Errorf("help: --man: %w", err)
	}
	for name, page := range pages(p.commands(), released()) {
		if err := os.WriteFile(filepath.Join(o.Man, name), []byte(page), 0o666); err != nil { // the umask decides
			return fmt.Errorf("help: --man: %w", err)
		}
	}
	return nil
}

// released returns the day of the commit that the program was built from; empty if the build does not know it.
func released() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.time" })
	if i < 0 {
		return ""
	}
	day, err := time.Parse(time.RFC3339, info.Settings[i].Value)
	if err != nil {
		return ""
	}
	return day.UTC().Format(time.DateOnly)
}

// pages returns the manual pages by the names of their files. date is in the foot of each.
func pages(commands []*subcommand, date string) map[string]string {
	all := map[string]string{"ergon.1": mainPage(commands, date)}
	for _, c := range commands {
		all[c.manual()+".1"] = c.page(of(commands, c.name), date)
	}
	return all
}

// manual returns the name of the subcommand's manual page.
func (c *subcommand) manual() string { return "ergon-" + strings.ReplaceAll(c.name, " ", "-") }

// mainPage returns ergon(1): what it does, its subcommands, and the options of `ergon COMMAND`.
func mainPage(commands []*subcommand, date string) string {
	m := newPage("ergon", date, purpose)
	m.macro("SH", "SYNOPSIS")
	m.synopsis("ergon", "[OPTIONS] [--] COMMAND [ARG...]")
	m.macro("br")
	m.synopsis("ergon", "SUBCOMMAND [OPTIONS] [ARG...]")
	m.macro("SH", "DESCRIPTION")
	m.text("ergon is a prefix for a command, like time. It runs the command as if ergon were not there. Afterwards it prints what the " +
		"command cost, and keeps the readings. A value that was not measured is missing, with the reason; it is never 0.")
	m.subcommands(commands)
	run := named(commands, "run")
	m.options(run.options)
	m.macro("SH", "EXIT STATUS")
	m.text("The exit status is that of the command, or 128+N if signal N ended it. Other values:")
	for _, e := range []struct {
		code int
		what string
	}{
		{runner.ExitBudget, "a budget is broken; with --strict also if one is unknown"},
		{runner.ExitOverdue, "trend --overdue found a command whose next run has not come"},
		{runner.ExitRegressed, "ergon compare: something got worse"},
		{runner.ExitInconclusive, "ergon compare --strict: the rounds do not decide, or there is no base"},
		{runner.ExitTimedOut, "the time limit of --timeout ended the command"},
		{runner.ExitErgon, "ergon itself failed or was called wrongly, or --exclusive found another ergon; the command was not started"},
		{runner.ExitNotExecutable, "the command cannot be executed"},
		{runner.ExitNotFound, "the command was not found"},
	} {
		m.macro("TP")
		m.macro("B", strconv.Itoa(e.code))
		m.text(e.what)
	}
	m.environment(commands)
	m.macro("SH", "FILES")
	for _, f := range [][2]string{
		{defaultResults, "the folder of the results, unless --results names another: project=NAME/date=YYYY-MM-DD/run=ID"},
		{settingsName, "settings of the project, in the working folder or at the top of the git repository"},
		{"~/.config/ergon/" + settingsName, "settings of the user"},
	} {
		m.macro("TP")
		m.macro("I", f[0])
		m.text(f[1])
	}
	m.macro("SH", "EXAMPLES")
	m.examples("ergon make -j8", example)
	m.macro("SH", "SEE ALSO")
	m.text("time(1), perf-stat(1)")
	return m.String()
}

// page returns the manual page of a subcommand. words are its own subcommands.
func (c *subcommand) page(words []*subcommand, date string) string {
	m := newPage(c.manual(), date, c.usage)
	m.macro("SH", "SYNOPSIS")
	arguments := c.arguments
	if len(c.options) > 0 {
		arguments = strings.TrimSpace("[OPTIONS] " + arguments)
	}
	m.synopsis("ergon "+c.name, arguments)
	if c.description != "" {
		m.macro("SH", "DESCRIPTION")
		m.text(c.description)
	}
	m.subcommands(words)
	m.options(c.options)
	if c.example != "" {
		m.macro("SH", "EXAMPLES")
		m.examples(c.example)
	}
	m.macro("SH", "SEE ALSO")
	m.macro("BR", "ergon", "(1)")
	return m.String()
}

// page is a manual page that is being written.
type page struct{ strings.Builder }

// newPage begins a page. what is the line of its name.
func newPage(name, date, what string) *page {
	m := &page{}
	// mandoc knows a date by its plain hyphens.
	fmt.Fprintf(m, ".TH %s 1 \"%s\" \"%s\" \"User Commands\"\n", roff(strings.ToUpper(name)), date, roff("ergon "+version()))
	m.macro("nh") // no word may be split: it may be the name of an option or a variable
	m.WriteString(".ad l\n")
	m.macro("SH", "NAME")
	m.WriteString(roff(name) + ` \- ` + roff(what) + "\n")
	return m
}

// macro writes a request with its arguments.
func (m *page) macro(name string, arguments ...string) {
	m.WriteString("." + name)
	for _, a := range arguments {
		m.WriteString(` "` + strings.ReplaceAll(roff(a), `"`, `\(dq`) + `"`)
	}
	m.WriteString("\n")
}

// text writes a paragraph's text.
func (m *page) text(text string) {
	text = roff(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text // it is no request
	}
	m.WriteString(text + "\n")
}

// synopsis writes how to call a command.
func (m *page) synopsis(command, arguments string) {
	m.macro("B", command)
	if arguments != "" {
		m.text(arguments)
	}
}

// examples writes lines to type.
func (m *page) examples(lines ...string) {
	m.macro("EX")
	for _, line := range lines {
		m.text(line)
	}
	m.macro("EE")
}

// subcommands writes the pages of subcommands, with a line about each.
func (m *page) subcommands(list []*subcommand) {
	if len(list) > 0 {
		m.macro("SH", "SUBCOMMANDS")
	}
	for _, c := range list {
		m.macro("TP")
		m.macro("BR", c.manual(), "(1)")
		m.text(c.usage)
	}
}

// options writes the options in their groups.
func (m *page) options(t table) {
	if len(t) == 0 {
		return
	}
	m.macro("SH", "OPTIONS")
	for _, g := range groups() {
		heading := g != ungrouped
		for _, o := range t {
			if o.group != g {
				continue
			}
			if heading {
				m.macro("SS", g.String())
				heading = false
			}
			m.macro("TP")
			m.macro("B", o.form())
			m.text(o.text())
		}
	}
}

// environment writes the variables that set options, each once.
func (m *page) environment(commands []*subcommand) {
	m.macro("SH", "ENVIRONMENT")
	var seen []string
	for _, c := range commands {
		for _, o := range c.options {
			if o.variable == "" || slices.Contains(seen, o.variable) {
				continue
			}
			seen = append(seen, o.variable)
			m.macro("TP")
			m.macro("B", o.variable)
			m.text("sets --" + o.name)
		}
	}
	m.macro("TP")
	m.macro("B", "ERGON")
	m.text("off executes the command and measures nothing, as --off does")
}

// roff returns text that groff and mandoc show as it is.
func roff(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-': // else it may become a hyphen, which cannot be copied into a shell
			b.WriteString(`\-`)
		case r == '\'':
			b.WriteString(`\(aq`)
		case r == '`':
			b.WriteString("\\(ga")
		case r == '^':
			b.WriteString(`\(ha`)
		case r == '~':
			b.WriteString(`\(ti`)
		case r >= utf8.RuneSelf:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
