package backend

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/quick"
	"github.com/ergon-energy/ergon/sensors"
)

const (
	// cutName is the length from which a name may be the beginning of a longer one (TASK_COMM_LEN less the end).
	cutName = 15
	// mostLine is how much is kept of a command line, in By.
	mostLine = 4096
	// mostEnded is how many processes that have ended wait to be asked for; those beyond are forgotten.
	mostEnded = 100_000
)

// biography is what a look keeps of one process for the table of processes.
type biography struct {
	parent      int // when it was first seen
	name, line  string
	stack       uint64        // where its stack begins, which is elsewhere after each execve
	base        time.Duration // of its CPU time, used before it was the target
	cpu         time.Duration
	peak        uint64
	paid        [2]uint64 // of what was read and written: the part of children that were seen
	first, last time.Duration
	tell        bool // whether anything but last has changed since it was last asked for
	ended       bool // and kept
}

// live notes what the stat file just read says.
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
	p.peaked(s.resident * t.page)
}

// peaked notes an amount of resident memory.
func (p *process) peaked(resident uint64) {
	if resident > p.life.peak {
		p.life.peak, p.life.tell = resident, true
	}
}

// title finds the name and, where it is asked for, the command line, after a process has executed a file. It allocates.
//
// The kernel cuts names after 15 bytes. What is cut is completed from the first two words of the command line, a script
// being the second, if they name a file that begins with it. No other part of it is used unasked.
func (t *tree) title(p *process) {
	l := &p.life
	l.name = p.comm
	if !t.arguments && len(p.comm) < cutName {
		return
	}
	fd := openIn(t.inProc(p.pid, "cmdline", 0, ""))
	if fd < 0 {
		return
	}
	n, err := quick.Pread(fd, t.buf[:mostLine], 0)
	closeFD(&fd)
	if err != 0 || n == 0 {
		return // a zombie, of which the line that was known stays
	}
	words := t.buf[:n]
	if len(p.comm) >= cutName {
		l.name = wholeName(p.comm, words)
	}
	if t.arguments {
		l.line = string(bytes.ReplaceAll(bytes.TrimRight(words, "\x00"), []byte{0}, []byte{' '}))
	}
}

// wholeName completes a cut name from a command line, whose words end with a zero byte each.
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

// keepEnded keeps what was last seen of a process that is gone, or dead and not yet waited for.
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

// record is what is known of a process.
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

// begin notes when processes start: the kernel tells it by the time since boot.
func (t *tree) begin(target *process) {
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t.spec) == nil {
		t.booted = time.Now().Add(-time.Duration(t.spec.Nano()))
	}
	// What is to become the target has used some time for that.
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
