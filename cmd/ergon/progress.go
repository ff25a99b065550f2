package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/report"
)

// plainEvery is the time between two lines if there is no terminal.
const plainEvery = time.Minute

// progress is the status line while a command runs.
type progress struct {
	to       *screen.Screen
	terminal bool
	mu       sync.Mutex
	shown    bool
	last     time.Duration
}

// progress returns the status line of --progress; nil if there is none. auto is a line that is drawn every second on a terminal,
// one line a minute if CI is set, else nothing.
func (p *program) progress(mode string) *progress {
	s := &progress{to: p.err, terminal: isTerminal(p.err.File()) && !isDumb()}
	switch {
	case mode == "off", mode == "auto" && !s.terminal && os.Getenv("CI") == "":
		return nil
	case mode == "plain":
		s.terminal = false
	}
	return s
}

// status shows the present figures. It shows nothing on a terminal that the command drives itself, or if another job is in the
// foreground.
func (s *progress) status(elapsed time.Duration, now datamodel.Now) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	line := report.Status{Elapsed: elapsed, Now: now}.Line(report.Options{Width: width(s.to.File()) - 1, Unicode: utf8Locale()})
	switch {
	case !s.terminal:
		if elapsed-s.last >= plainEvery {
			s.last = elapsed.Truncate(plainEvery)
			fmt.Fprintln(s.to, line)
		}
	case elapsed >= 2*time.Second:
		s.draw(line)
	}
}

// idle says what ergon waits for before the command starts, or after it has ended.
func (s *progress) idle(elapsed, of time.Duration, after bool) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := ", then starts the command"
	if after {
		next = ", the command has ended"
	}
	switch {
	case elapsed >= of:
		s.clear()
	case s.terminal:
		line := fmt.Sprintf("ergon measures the idle machine: %.0f s of %v", elapsed.Seconds(), of) + next
		s.draw(line[:max(0, min(len(line), width(s.to.File())-1))])
	case elapsed == 0:
		fmt.Fprintf(s.to, "ergon measures the idle machine for %v%s\n", of, next)
	}
}

// counting says that ergon counts files before the command starts, or after it has ended.
func (s *progress) counting(after, done bool) {
	if s == nil || !s.terminal {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	line := "ergon counts files, then starts the command"
	if after {
		line = "ergon counts files, the command has ended"
	}
	if done {
		s.clear()
	} else {
		s.draw(line[:max(0, min(len(line), width(s.to.File())-1))])
	}
}

// draw replaces the line, if we may write on the terminal.
func (s *progress) draw(line string) {
	if mayDraw(s.to.File()) {
		s.to.DrawBelow(line)
		s.shown = true
	}
}

// erase removes the line.
func (s *progress) erase() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}

// clear is erase; the caller holds the lock.
func (s *progress) clear() {
	if s.shown && mayDraw(s.to.File()) {
		s.to.EraseBelow()
	}
	s.shown = false
}
