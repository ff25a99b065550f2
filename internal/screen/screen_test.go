package screen_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/internal/screen"
)

// written returns what arrives in the file.
func written(t testing.TB, fill func(*screen.Screen)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := screen.New(f)
	fill(s)
	s.Flush()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestScreenWritesText(t *testing.T) {
	for _, c := range []struct{ name, in, plain, styled string }{
		{"text", "a line\n\ttabbed, µ–±, 漢字\n", "a line\n\ttabbed, µ–±, 漢字\n", ""},
		{"a title of the window", "\x1b]0;owned\a", `\u001b]0;owned\u0007`, ""},
		{"an erased screen", "\x1b[2J\x1b[H", `\u001b[2J\u001b[H`, ""},
		{"a look", "\x1b[1mbold\x1b[0m", `\u001b[1mbold\u001b[0m`, "\x1b[1mbold\x1b[0m"},
		{"nearly a look", "\x1b[1;5mblink \x1b[32mgreen", `\u001b[1;5mblink \u001b[32mgreen`, ""},
		{"C1", "\u009b31m", `\u009b31m`, ""},
		{"C1 as a byte", "\x9b31m", `\x9b31m`, ""},
		{"carriage return, backspace, DEL", "a\r\b\x7f", `a\u000d\u0008\u007f`, ""},
		{"direction", "a\u202eb\u2066c", `a\u202eb\u2066c`, ""},
		{"tags beyond 16 bits", "\U000e0041", `\udb40\udc41`, ""},
		{"not UTF-8", "a\xff\xc3", `a\xff\xc3`, ""},
		{"cut look", "\x1b[", `\x1b\x5b`, ""},
	} {
		if c.styled == "" {
			c.styled = c.plain
		}
		if c.name == "cut look" {
			c.plain = `\u001b[`
		}
		// Cut at every place: it must not matter how a text is divided into calls.
		for cut := range len(c.in) + 1 {
			write := func(w io.Writer) {
				for _, part := range []string{c.in[:cut], c.in[cut:]} {
					if n, err := io.WriteString(w, part); n != len(part) || err != nil {
						t.Errorf("%s: wrote %d of %d: %v", c.name, n, len(part), err)
					}
				}
			}
			if got := written(t, func(s *screen.Screen) { write(s) }); got != c.plain {
				t.Errorf("%s, cut at %d: %q, want %q", c.name, cut, got, c.plain)
			}
			if got := written(t, func(s *screen.Screen) { write(s.Styled()) }); got != c.styled {
				t.Errorf("%s, styled, cut at %d: %q, want %q", c.name, cut, got, c.styled)
			}
		}
	}
}

func TestScreenDraws(t *testing.T) {
	got := written(t, func(s *screen.Screen) {
		s.Linef("run %s: %v", "a\nb\x1b[2J", 1)
		s.DrawBelow("1:00 \x1b[2J")
		s.EraseBelow()
	})
	want := "run a\\nb\\x1b[2J: 1\n" + "\x1b[J\x1bD\x1bM\x1b7\x1bD\r" + `1:00 \x1b[2J` + "\x1b8\x1b[J"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// FuzzScreen checks that nothing but text, line ends and tabs arrives, and that JSON keeps its meaning.
func FuzzScreen(f *testing.F) {
	for _, s := range []string{"", "a\tb\n", "\x1b[31mred\x1b[0m", "\x1b[", "\u202e\u009b\x9b\xff", "\U000e0041\x7f"} {
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, text string, cut int) {
		cut = max(0, min(len(text), cut))
		got := written(t, func(s *screen.Screen) {
			fmt.Fprint(s, text[:cut])
			fmt.Fprint(s, text[cut:])
		})
		if bad := strings.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }); bad >= 0 || !utf8.ValidString(got) {
			t.Errorf("%q became %q", text, got)
		}
		if line := screen.Clean(text); strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 || !utf8.ValidString(line) {
			t.Errorf("%q became %q", text, line)
		}
		doc, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var before, after string
		if err := json.Unmarshal(doc, &before); err != nil {
			t.Fatal(err)
		}
		for _, clean := range []string{string(screen.CleanJSON(doc)), written(t, func(s *screen.Screen) { _, _ = s.Write(doc) })} {
			if err := json.Unmarshal([]byte(clean), &after); err != nil || after != before {
				t.Errorf("JSON of %q became %q: %q, %v", text, clean, after, err)
			}
		}
	})
}
