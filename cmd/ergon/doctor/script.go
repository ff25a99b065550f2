package doctor

import (
	"path"
	"slices"
	"strings"
)

// Script returns one script of shell (POSIX) with all changes of the report that root can make by commands, and with how to
// take them back. Everything else that would help stands in it as a comment. user is who wants to measure, and ergon is the
// path of the program. Nobody should run the script unread, so each change says what it opens.
func (r Report) Script(user, ergon string) string {
	s := script{user: user, ergon: ergon}
	s.line("#!/bin/sh")
	s.comment("", "Changes that let ergon measure more on this machine, as `ergon doctor --script` found them. Read them first. Then, as root:")
	s.line("#")
	s.line("#   sh FILE         makes the changes; a second time changes nothing more")
	s.line("#   sh FILE undo    takes them back")
	s.line("#")
	s.comment("", "To leave a change out, remove its two lines at the end.")
	fixes := r.fixes()
	if !slices.ContainsFunc(fixes, Fix.scripted) {
		s.line("")
		s.comment("", "There is nothing here that a script of root's could change.")
		for _, f := range fixes {
			s.line("")
			s.about(f)
		}
		return s.text.String()
	}
	s.head(slices.ContainsFunc(fixes, func(f Fix) bool {
		return slices.ContainsFunc(f.Commands, func(c Command) bool { return strings.Contains(c.Run, ergonWord) })
	}))
	var apply, undo []string
	for _, f := range fixes {
		s.line("")
		s.about(f)
		if !f.scripted() {
			continue
		}
		name := strings.ReplaceAll(f.ID, "-", "_")
		s.apply("apply_"+name, f)
		s.undo("undo_"+name, f)
		apply, undo = append(apply, "apply_"+name), append(undo, "undo_"+name)
	}
	slices.Reverse(undo)
	s.line("")
	s.line(`case "${1-apply}" in`)
	for _, c := range []struct {
		word  string
		calls []string
	}{{"apply", apply}, {"undo", undo}} {
		s.line(c.word + ")")
		for _, call := range c.calls {
			s.line("\t" + call)
		}
		s.line("\t;;")
	}
	s.line("*)")
	s.line(`	echo "usage: sh $0 [apply|undo]" >&2`)
	s.line("\texit 2")
	s.line("\t;;")
	s.line("esac")
	return s.text.String()
}

// fixes returns the fixes of the findings, each once. Two with one name, for two files, become one.
func (r Report) fixes() []Fix {
	var all []Fix
	for _, x := range r.Findings {
		if x.Fix == nil {
			continue
		}
		i := slices.IndexFunc(all, func(f Fix) bool { return f.ID == x.Fix.ID })
		if i < 0 {
			all = append(all, *x.Fix)
			continue
		}
		all[i] = all[i].with(*x.Fix)
	}
	return all
}

// with returns the fix with what another one of its name does beyond it.
func (f Fix) with(other Fix) Fix {
	if f.Title != other.Title {
		f.Title += "; " + other.Title
	}
	f.Files = slices.Clone(f.Files)
	for _, file := range other.Files {
		i := slices.IndexFunc(f.Files, func(have File) bool { return have.Path == file.Path })
		if i < 0 {
			f.Files = append(f.Files, file)
		} else if !strings.Contains(f.Files[i].Content, file.Content) {
			f.Files[i].Content += file.Content
		}
	}
	f.Commands, f.Undo = slices.Clone(f.Commands), slices.Clone(f.Undo)
	for _, c := range other.Commands {
		if !slices.Contains(f.Commands, c) {
			f.Commands = append(f.Commands, c)
		}
	}
	for _, line := range other.Undo {
		if !slices.Contains(f.Undo, line) {
			f.Undo = append([]string{line}, f.Undo...)
		}
	}
	return f
}

// scripted reports whether a script can make the change.
func (f Fix) scripted() bool {
	return len(f.Files) > 0 || slices.ContainsFunc(f.Commands, func(c Command) bool { return c.By == byRoot })
}

// script is a script in the making. A line that several changes share is made once: by the first change, and taken back last.
type script struct {
	text          strings.Builder
	user, ergon   string
	applied, gone []string
}

func (s *script) line(text string) { s.text.WriteString(text + "\n") }

// comment writes a text as lines of comment.
func (s *script) comment(head, text string) {
	for i, line := range wrap("", head+text) {
		if i == 0 {
			s.line("# " + line)
		} else {
			s.line("#   " + strings.TrimSpace(line))
		}
	}
}

// command writes a command as one line of comment.
func (s *script) command(head string, c Command) {
	s.line("# " + head + strings.Join(strings.Fields(c.String()), " "))
}

// head writes what all changes use. copies says that one of them copies ergon.
func (s *script) head(copies bool) {
	s.line("")
	s.line("set -eu")
	s.line("")
	s.line("# who wants to measure")
	s.line("user=" + quote(s.user))
	if copies {
		s.line("# the program; its copy gets a capability, so nobody else should be able to write it")
		s.line("ergon=" + quote(s.ergon))
	}
	s.line("")
	s.line(`
[ "$(id -u)" = 0 ] || { echo "$0: only root can make these changes" >&2; exit 1; }
[ "$user" != root ] || { echo "$0: root needs none of this: set user= to who wants to measure" >&2; exit 1; }

# put FILE TEXT: writes a new file. It leaves a file alone that somebody else has written.
put() {
	if [ -e "$1" ] && [ "$(cat "$1")" != "$2" ]; then
		echo "$0: $1 is there already, with other content: merge it by hand" >&2
		exit 1
	fi
	mkdir -p "$(dirname "$1")"
	printf '%s\n' "$2" >"$1"
	chmod 0644 "$1"
}

# leave GROUP: takes the user out of a group, and removes ergon's own group with its last member.
leave() {
	! id -nG "$user" | tr ' ' '\n' | grep -qx "$1" || gpasswd -d "$user" "$1" >/dev/null
	[ "$1" = ergon ] || return 0
	! getent group ergon >/dev/null || [ -n "$(getent group ergon | cut -d: -f4)" ] || groupdel ergon
}

# close_again FILE...: gives files that a group could read back to root alone.
close_again() {
	for file; do
		[ ! -e "$file" ] || { chgrp root "$file" && chmod g-r "$file"; }
	done
}`[1:])
}

// about writes what a change is, what it opens, and what is left for people to do.
func (s *script) about(f Fix) {
	s.comment("", strings.ToUpper(f.ID)+": "+f.Title)
	s.comment("risk: ", f.Risk)
	if f.Note != "" {
		s.comment("note: ", f.Note)
	}
	for _, c := range f.Commands {
		switch c.By {
		case byUser:
			s.command("to use it: ", c)
		case byHand:
			s.command("by hand, as it does more than that: ", c)
		case byRoot:
		}
	}
	for _, or := range f.Or {
		s.comment("or: ", or.Title)
		for _, c := range or.Commands {
			s.command("    ", c)
		}
	}
}

// apply writes the function that makes a change.
func (s *script) apply(name string, f Fix) {
	s.line(name + "() {")
	for _, file := range f.Files {
		s.line("\tput " + word(file.Path) + " " + quote(strings.TrimSuffix(file.Content, "\n")))
	}
	for _, c := range f.Commands {
		run := strings.NewReplacer(userWord, `"$user"`, ergonWord, `"$ergon"`).Replace(c.Run)
		if c.By != byRoot || slices.Contains(s.applied, run) {
			continue
		}
		s.applied = append(s.applied, run)
		if c.Unless != "" {
			run = c.Unless + " || " + run
		}
		s.line("\t" + run)
	}
	s.line("\techo " + quote("made: "+f.Title))
	s.line("}")
}

// undo writes the function that takes a change back.
func (s *script) undo(name string, f Fix) {
	s.line(name + "() {")
	for _, file := range f.Files {
		s.line("\trm -f " + word(file.Path))
		if dir := path.Dir(file.Path); strings.HasSuffix(dir, ".d") && strings.HasPrefix(dir, "/etc/systemd/system/") {
			s.line("\trmdir " + word(dir) + " 2>/dev/null || :")
		}
	}
	for _, line := range f.Undo {
		if !slices.Contains(s.gone, line) {
			s.gone = append(s.gone, line)
			s.line("\t" + line)
		}
	}
	s.line("\techo " + quote("taken back: "+f.Title))
	s.line("}")
}

// quote returns a text as one word of shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// word returns a text as one word of shell, with quotes only if it needs them.
func word(text string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("/._-:@+=,", c)
	}
	if text != "" && !strings.ContainsFunc(text, func(c rune) bool { return !plain(c) }) {
		return text
	}
	return quote(text)
}
