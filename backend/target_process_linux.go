package backend

import (
	"bytes"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/internal/cmdline"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/quick"
	"github.com/ergon-energy/ergon/sensors"
)

const (
	// cutName is the length in bytes to which the kernel cuts names: TASK_COMM_LEN without the zero byte.
	cutName = 15
	// mostLine is the most bytes of a command line that are kept.
	mostLine = 4096
	// mostEnded is the most ended processes that wait to be asked for. More are forgotten.
	mostEnded = 100_000
)

// biography is what the looks have found out about one process, for the table of processes.
type biography struct {
	parent      int // at the first look
	name, line  string
	stack       uint64        // where its stack begins; each execve changes it
	base        time.Duration // CPU time used before it became the target
	cpu         time.Duration
	peak        uint64
	paid        [2]uint64 // the part of its read and written bytes that children with a report of their own had
	first, last time.Duration
	tell        bool // something other than last has changed since Processes was called
	ended       bool // it has ended, and its record is kept
}

// live updates the biography from the stat file that was just read.
func (t *tree) live(p *process, s *processStat) {
	l := &p.life
	if l.name == "" {
		l.parent, l.first, l.last, l.tell = s.parent, t.now, t.now, true
	}
	if !s.dead() {
		l.last = t.now
	}
	// A process that executes a file has a new stack, and nearly always a new name.
	if string(s.name) != p.comm || s.stack != l.stack {
		if s.stack != l.stack && l.stack != 0 {
			p.pages = ownPages{} // nothing is shared with its parent any more
		}
		p.comm, l.stack, l.peak, l.tell = string(s.name), s.stack, 0, true
		t.title(p)
	}
	ns, ok := t.clock(p.pid)
	if !ok {
		ns = (s.user + s.system) * uint64(clockTick)
	}
	if used := time.Duration(ns) - l.base; used > l.cpu {
		l.cpu, l.tell = used, true
	}
	t.peaked(p, s.resident*t.page)
}

// peaked raises the peak of a process to an amount of resident memory in bytes.
func (t *tree) peaked(p *process, resident uint64) {
	if resident > p.life.peak {
		p.life.peak, p.life.tell = resident, true
	}
	t.memory.one = max(t.memory.one, resident)
}

// title finds the name after a process has executed a file, and its command line if the user asked for it. It allocates.
//
// The kernel cuts names after 15 bytes. A cut name is completed from the first word of the command line, or from the
// second, which may be a script. The word must name a file that begins with the cut name. Unless the user asked for
// command lines, nothing else of them is used.
func (t *tree) title(p *process) {
	l := &p.life
	l.name = p.comm
	if !t.arguments && len(p.comm) < cutName {
		return
	}
	fd := t.openProc(p.pid, "cmdline", 0, "")
	if fd < 0 {
		return
	}
	n, err := quick.Pread(fd, t.buf[:mostLine], 0)
	closeFD(&fd)
	if err != 0 || n == 0 {
		return // a zombie: the known line stays
	}
	words := t.buf[:n]
	if len(p.comm) >= cutName {
		l.name = wholeName(p.comm, words)
	}
	if t.arguments {
		l.line = commandLine(words, n == mostLine)
	}
}

// commandLine returns the arguments as one line for a shell, without secrets, in at most mostLine bytes. Each argument ends
// with a zero byte. If more bytes were there than were read, the last argument is cut off. It is left out, since it may be a
// part of a secret. An ellipsis stands for what is left out.
func commandLine(words []byte, cut bool) string {
	argv := strings.Split(string(bytes.TrimRight(words, "\x00")), "\x00")
	argv = cmdline.Mask(argv)
	if cut {
		argv = argv[:len(argv)-1]
	}
	line := cmdline.Line(argv)
	for len(argv) > 0 && len(line)+len(" …") > mostLine {
		argv, cut = argv[:len(argv)-1], true
		line = cmdline.Line(argv)
	}
	if cut {
		line = strings.TrimSpace(line + " …")
	}
	return line
}

// wholeName completes a cut name from a command line. Each word of it ends with a zero byte.
func wholeName(cut string, words []byte) string {
	for range 2 {
		var word []byte
		word, words, _ = bytes.Cut(words, []byte{0})
		word = word[bytes.LastIndexByte(word, '/')+1:]
		if len(word) <= 255 && bytes.HasPrefix(word, []byte(cut)) {
			return string(word)
		}
	}
	return cut
}

// keepEnded keeps the last record of a process that is gone, or that is dead and not yet waited for.
func (t *tree) keepEnded(p *process) {
	if p.life.ended {
		return
	}
	p.life.ended = true
	if len(t.ended) < mostEnded {
		r := t.record(p)
		r.Gone = t.epoch.Add(t.now)
		t.ended = append(t.ended, r)
	}
}

// record returns the report of a process.
func (t *tree) record(p *process) sensors.Process {
	l := &p.life
	r := sensors.Process{
		PID: p.pid, Parent: l.parent, Start: t.booted.Add(time.Duration(p.start) * clockTick), Name: l.name, CommandLine: l.line,
		FirstSeen: t.epoch.Add(l.first), LastSeen: t.epoch.Add(l.last), CPU: l.cpu, PeakMemory: l.peak, HasIO: p.hasIO,
	}
	if p.hasIO {
		r.Read = p.count[countRead] - min(l.paid[0], p.count[countRead])
		r.Written = p.count[countWritten] - min(l.paid[1], p.count[countWritten])
	}
	return r
}

// begin fixes the time of the boot, from which the kernel counts the starts of processes, and the target's CPU time so far.
func (t *tree) begin(target *process) {
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t.spec) == nil {
		t.booted = time.Now().Add(-time.Duration(t.spec.Nano()))
	}
	// The process has already used some time, before it executes the command.
	if ns, ok := t.clock(target.pid); ok {
		target.life.base, target.life.cpu = time.Duration(ns), 0
	}
}

// Processes implements sensors.ProcessLister.
func (s *targetSource) Processes(yield func(sensors.Process)) time.Time {
	t := s.tree
	for i := range t.ended {
		yield(t.ended[i])
	}
	clear(t.ended)
	t.ended = t.ended[:0]
	for _, p := range t.order {
		if !p.life.tell || p.life.ended {
			continue
		}
		p.life.tell = false
		yield(t.record(p))
	}
	if !s.looked {
		return time.Time{}
	}
	return t.epoch.Add(t.now)
}
