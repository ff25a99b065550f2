// Package screen is ergon's only way to a terminal. Commands, hosts, devices, paths, manifests and errors hold text that
// somebody else chose, and such text could control a terminal. A Screen escapes it, whoever writes it, and lets pass only
// the few sequences that this package defines. It does so for pipes and files as well: a terminal may show them later.
package screen

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

const escape = '\x1b'

// The looks that a part of a line may have, as ANSI codes.
const (
	Bold   = "1"
	Dim    = "2"
	Red    = "31"
	Yellow = "33"
	plain  = "0"
)

// Look returns text in a look, for a Styled writer.
func Look(code, text string) string { return "\x1b[" + code + "m" + text + "\x1b[" + plain + "m" }

// look returns the length of the look that b begins with, 0 if it begins with none. whole is false if more bytes could make
// it one.
func look(b []byte) (n int, whole bool) {
	whole = true
	for _, code := range []string{Bold, Dim, Red, Yellow, plain} {
		sequence := "\x1b[" + code + "m"
		switch {
		case bytes.HasPrefix(b, []byte(sequence)):
			return len(sequence), true
		case strings.HasPrefix(sequence, string(b)):
			whole = false
		}
	}
	return 0, whole
}

// A line is drawn below the cursor's line: the cursor's line may hold a question of the command. The cursor stays where the
// command left it. Going down and up first makes room at the bottom of the screen (ECMA-48; DECSC and DECRC of the VT100).
const (
	eraseBelow    = "\x1b[J"
	lineDown      = "\x1bD"
	lineUp        = "\x1bM"
	saveCursor    = "\x1b7"
	restoreCursor = "\x1b8"
)

// Screen writes text for people to a file, which may be a terminal. It is safe for concurrent use.
type Screen struct {
	file *os.File
	mu   sync.Mutex
	rest []byte // the beginning of a character whose end was not written yet
}

// New returns a Screen that writes to f.
func New(f *os.File) *Screen { return &Screen{file: f} }

// File returns the file itself: for another process, for what a terminal is asked, and for bytes that are no text. Text must
// not be written to it.
func (s *Screen) File() *os.File { return s.file }

// Write writes text. It escapes everything that could control a terminal, except line ends and tabs. Characters are escaped
// as JSON does. It keeps the beginning of a character for the next call.
func (s *Screen) Write(b []byte) (int, error) { return s.write(b, false) }

// Styled returns a writer like the Screen itself that also lets the looks of this package pass. Foreign text must go through
// Clean before it is put between looks.
func (s *Screen) Styled() io.Writer { return styled{s} }

type styled struct{ screen *Screen }

func (w styled) Write(b []byte) (int, error) { return w.screen.write(b, true) }

// write cleans b together with the rest of the call before.
func (s *Screen) write(b []byte, styled bool) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := append(s.rest, b...)
	out, rest := clean(make([]byte, 0, len(text)), text, styled)
	s.rest = bytes.Clone(rest)
	if len(out) > 0 {
		if _, err := s.file.Write(out); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// Flush writes what Write has kept. It is called before the program ends.
func (s *Screen) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.rest {
		_, _ = fmt.Fprintf(s.file, `\x%02x`, c)
	}
	s.rest = nil
}

// Linef writes one line. Line ends within it are escaped as well, so foreign text cannot begin a line of its own.
func (s *Screen) Linef(format string, args ...any) {
	_, _ = s.Write([]byte(Clean(fmt.Sprintf(format, args...)) + "\n")) // if nobody listens, the exit code still counts
}

// DrawBelow draws a line below the line of the cursor, in place of one that was drawn before.
func (s *Screen) DrawBelow(line string) {
	s.control(eraseBelow + lineDown + lineUp + saveCursor + lineDown + "\r" + Clean(line) + restoreCursor)
}

// EraseBelow removes the line that was drawn below the line of the cursor.
func (s *Screen) EraseBelow() { s.control(eraseBelow) }

func (s *Screen) control(sequence string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.file.WriteString(sequence) // a status line that is lost is no harm
}
