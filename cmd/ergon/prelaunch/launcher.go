//go:build linux && cgo

package prelaunch

// #cgo CFLAGS: -fno-plt
// #include <stdlib.h>
// #include "prelaunch.h"
// #include "words.h"
import "C"

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/launch"
)

// Ignored reports whether a signal was ignored when this process began. The Go runtime has forgotten it.
func Ignored(s os.Signal) bool {
	number, ok := s.(syscall.Signal)
	return ok && C.prelaunch.ignored&(1<<(number-1)) != 0
}

// Words returns the command to measure, as the C part finds it in the arguments of a program. It returns nil if there is
// none. off says that the command is only executed.
func Words(argv []string) (words []string, off bool) {
	list := make([]*C.char, len(argv)+1)
	for i, a := range argv {
		list[i] = C.CString(a)
		defer C.free(unsafe.Pointer(list[i]))
	}
	var on C.struct_prelaunch_switches
	at := C.prelaunch_words(C.int(len(argv)), &list[0], &on)
	if at == nil {
		return nil, false
	}
	n := (uintptr(unsafe.Pointer(at)) - uintptr(unsafe.Pointer(&list[0]))) / unsafe.Sizeof(list[0])
	return argv[n:], on.off != 0
}

// Known lists the options that the C part knows, long and short: those that take a value, or the others.
func Known(value bool) (names []string) {
	var which C.int
	if value {
		which = 1
	}
	for at := C.prelaunch_options(which); *at != nil; at = (**C.char)(unsafe.Add(unsafe.Pointer(at), unsafe.Sizeof(*at))) {
		names = append(names, C.GoString(*at))
	}
	return names
}

// Aside returns the variables that the C part has taken out of this process's environment, as NAME=VALUE. It returns true:
// this build has a C part.
func Aside() ([]string, bool) {
	var list []string
	for _, variable := range C.prelaunch.aside {
		if variable == nil {
			break
		}
		list = append(list, C.GoString(variable))
	}
	return list, true
}

// Stderr is the caller's stderr. Descriptor 2 is not: what a crash of ergon writes there goes to the launcher.
func Stderr() *os.File {
	switch {
	case C.prelaunch.launcher == 0:
		return os.Stderr
	case C.prelaunch.errors < 0: // the caller had closed it
		none, _ := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		return none
	}
	return os.NewFile(uintptr(C.prelaunch.errors), "/dev/stderr")
}

// Crash is what the sampler may write a crash to: descriptor 2 of this process, which the launcher makes one line of.
func Crash() *os.File { return os.Stderr }

// Launcher is the runner's view of the launcher, which is this process's parent. Signals may be called at any time; no other
// methods may be called at the same time.
type Launcher struct {
	pid     int
	orders  *os.File
	events  *os.File
	closed  bool
	ends    sync.Map // of chan end by process id: how the children end
	signals chan launch.Signal
}

// end is how a child ended, and when the launcher saw it, in ns of the monotonic clock.
type end struct {
	status syscall.WaitStatus
	usage  syscall.Rusage
	at     int64
}

// Take returns the launcher, nil if there is none. Only the first call returns one.
func Take() *Launcher {
	p := &C.prelaunch
	if p.launcher <= 0 {
		return nil
	}
	l := &Launcher{
		pid: int(p.launcher), orders: os.NewFile(uintptr(p.orders), "launcher's orders"),
		events: os.NewFile(uintptr(p.events), "launcher's events"), signals: make(chan launch.Signal, 1000),
	}
	go l.listen()
	p.orders = -1
	p.launcher = 0
	return l
}

// listen receives what the launcher tells, until the launcher ends. This process ends with it.
func (l *Launcher) listen() {
	var e C.struct_prelaunch_event
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&e)), unsafe.Sizeof(e))
	for {
		if n, err := l.events.Read(buf); err != nil || n != len(buf) {
			return
		}
		if e.signal != 0 {
			s := launch.Signal{Number: syscall.Signal(e.signal), Typed: e.code == siKernel, Leader: int(e.pid) == unix.Getpgrp(), At: time.Now()}
			select {
			case l.signals <- s:
			default: // nobody has read a thousand signals; the end of a child must still be told
			}
			continue
		}
		l.ended(int(e.pid)) <- end{syscall.WaitStatus(e.status), *(*syscall.Rusage)(unsafe.Pointer(&e.usage)), int64(e.at)}
	}
}

// siKernel is si_code of a signal that the terminal sent to the whole process group.
const siKernel = 0x80

// ended returns the channel that gets how a child ended.
func (l *Launcher) ended(pid int) chan end {
	c, _ := l.ends.LoadOrStore(pid, make(chan end, 1))
	return c.(chan end)
}

// Signals relays the signals that are sent to ergon. Before the first call a signal that ends processes ends ergon. This
// process no longer obeys those that a terminal sends to the whole process group. words is how many of the last arguments
// are the command.
func (l *Launcher) Signals(words int) (<-chan launch.Signal, error) {
	if C.prelaunch_watches() == 0 { // what this process made now would be left behind
		_, _ = l.orders.Read(make([]byte, 1)) // the launcher says nothing more; it ends, and this process with it
		return nil, errors.New("ergon was asked to end")
	}
	signal.Ignore(syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT, syscall.SIGHUP)
	return l.signals, l.send(C.struct_prelaunch_order{what: C.PRELAUNCH_WATCH, number: C.int32_t(words)}, -1)
}

// PID is the process id of the launcher. It is the parent of the commands.
func (l *Launcher) PID() int { return l.pid }

// Close takes no further commands. Commands that are held or run are not affected.
func (l *Launcher) Close() error {
	l.closed = true
	return nil
}

// Adopt makes the launcher the parent of the commands' orphans. It reaps them as soon as they end.
func (l *Launcher) Adopt() error {
	_, err := l.order(C.struct_prelaunch_order{what: C.PRELAUNCH_ADOPT})
	return err
}

// Orphans returns what the orphans used that were reaped since the last call.
func (l *Launcher) Orphans(...int) launch.Used {
	a, _ := l.order(C.struct_prelaunch_order{what: C.PRELAUNCH_ORPHANS}) // a launcher that has gone takes this process with it
	return launch.Used{User: time.Duration(a.user), System: time.Duration(a.system), MaxRSS: int64(a.peak) << 10}
}

// Keep gives the launcher a copy of a descriptor, which it has until it ends. No command inherits it.
func (l *Launcher) Keep(descriptor int) error {
	return l.send(C.struct_prelaunch_order{what: C.PRELAUNCH_KEEP}, descriptor)
}

// Follow says that ergon ends as the started command does. The first word on how ergon ends counts.
func (l *Launcher) Follow() {
	_ = l.send(C.struct_prelaunch_order{what: C.PRELAUNCH_FOLLOW}, -1)
}

// Finish says how ergon ends as soon as this process has: with the code or, if it is not 0, by the signal.
func (l *Launcher) Finish(code, signal int) {
	_ = l.send(C.struct_prelaunch_order{what: C.PRELAUNCH_FINISH, number: C.int32_t(code), signal: C.int32_t(signal)}, -1) // a launcher that has gone has killed us
}

// Unmeasured asks the launcher to become the command as soon as this process has ended, and to say why in one line.
func (l *Launcher) Unmeasured(why string) {
	o := C.struct_prelaunch_order{what: C.PRELAUNCH_UNMEASURED}
	for i := range min(len(why), len(o.text)-1) {
		o.text[i] = C.char(why[i])
	}
	_ = l.send(o, -1)
}

// Hold makes a process that becomes the command at Start. A *launch.GroupError says that one of the cgroups could not be
// joined. Any other error says that there is no process.
func (l *Launcher) Hold(c launch.Command) (launch.Target, error) {
	order, command, err := encode(c)
	if err != nil {
		return nil, err
	}
	if l.closed {
		return nil, fmt.Errorf("hold %s: the launcher is closed: %w", c.Argv[0], os.ErrClosed)
	}
	ours, theirs, err := pair()
	if err != nil {
		return nil, fmt.Errorf("hold %s: %w", c.Argv[0], err)
	}
	// The child finds the command as soon as it looks, or gets it while the launcher answers.
	early := len(command) <= roomy
	if early {
		_, _ = ours.Write(command)
	}
	err = l.send(order, theirs)
	_ = unix.Close(theirs) // only the child may hold it open
	if err != nil {
		_ = ours.Close()
		return nil, fmt.Errorf("hold %s: %w", c.Argv[0], err)
	}
	if !early {
		_, _ = ours.Write(command) // it fails if the child has ended
	}
	a, err := l.answer()
	if err != nil {
		_ = ours.Close()
		return nil, fmt.Errorf("hold %s: %w", c.Argv[0], err)
	}
	t := &target{by: l, pid: int(a.number), command: c.Argv[0], conn: ours}
	v, err := t.verdict()
	if err != nil || v.failed == 0 { // an error means that a signal ended the child, and Reap reports that
		return t, nil //nolint:nilerr // Reap reports it
	}
	t.Abandon()
	switch group := int(v.group); {
	case group >= 0:
		return nil, &launch.GroupError{Group: c.Groups[position(c.Groups, group)], Err: v.failed}
	case group == C.PRELAUNCH_USER:
		return nil, &launch.UserError{User: *c.User, Err: v.failed}
	case group <= C.PRELAUNCH_PLACE:
		return nil, &fs.PathError{Op: "open", Path: c.Places()[C.PRELAUNCH_PLACE-group], Err: v.failed}
	}
	return nil, fmt.Errorf("hold %s: %w", c.Argv[0], v.failed)
}

// roomy is the size in bytes that fits into the socket of a child before the child reads.
const roomy = 16 << 10

// mostBrief is the longest time for which briefly waits.
const mostBrief = 2 * time.Millisecond

// briefly waits until a file can be read, for at most mostBrief. It does nothing if Go uses several processors. With one, a
// goroutine that waits wakes up to two threads, once the processor has nothing else to do: the thread of the poller and
// the monitor. They would compete with the command. This thread keeps the processor instead.
func briefly(file *os.File) {
	if runtime.GOMAXPROCS(0) > 1 {
		return
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		list := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		most := unix.NsecToTimespec(mostBrief.Nanoseconds())
		_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&list)), 1, uintptr(unsafe.Pointer(&most)), 0, 0, 0)
	})
}

// position returns the index of the group that the child numbers n: the v2 group is number 0, and the v1 groups follow.
func position(groups []launch.Group, n int) int {
	v1 := 0
	for i, g := range groups {
		if g.Version == 1 {
			v1++
		}
		if n == 0 && g.Version != 1 || n > 0 && g.Version == 1 && v1 == n {
			return i
		}
	}
	panic(fmt.Sprintf("the child names cgroup %d of %d", n, len(groups)))
}

// encode makes the order to the launcher and the message to the child.
func encode(c launch.Command) (order C.struct_prelaunch_order, command []byte, err error) {
	order.what = C.PRELAUNCH_HOLD
	if len(c.Argv) == 0 {
		return order, nil, errors.New("hold: no command")
	}
	var files []string
	for _, g := range c.Groups {
		switch {
		case g.Version == 1:
			files = append(files, filepath.Join(g.Dir, "tasks"))
		case order.text[0] != 0:
			return order, nil, errors.New("hold: two v2 cgroups, and a process can be in one only")
		case len(g.Dir) >= len(order.text):
			return order, nil, &launch.GroupError{Group: g, Err: syscall.ENAMETOOLONG}
		default:
			for i := range g.Dir {
				order.text[i] = C.char(g.Dir[i])
			}
		}
	}
	var text bytes.Buffer
	places := c.Places()
	for _, list := range [][]string{files, c.Argv, c.Env, places} {
		for _, s := range list {
			if strings.IndexByte(s, 0) >= 0 {
				return order, nil, fmt.Errorf("hold: %q: a zero byte cannot be passed on", s)
			}
			text.WriteString(s)
			text.WriteByte(0)
		}
	}
	head := C.struct_prelaunch_command{
		files: C.uint32_t(len(files)), words: C.uint32_t(len(c.Argv)), changes: C.uint32_t(len(c.Env)), places: C.uint32_t(len(places)), size: C.uint32_t(text.Len()),
	}
	var groups []byte
	if u := c.User; u != nil {
		head.other, head.uid, head.gid, head.groups = 1, C.uint32_t(u.UID), C.uint32_t(u.GID), C.uint32_t(len(u.Groups))
		for _, g := range u.Groups {
			groups = binary.NativeEndian.AppendUint32(groups, g)
		}
	}
	return order, slices.Concat(bytesOf(&head), groups, text.Bytes()), nil
}

// bytesOf returns a copy of what a message holds in memory.
func bytesOf[T any](message *T) []byte {
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(message)), unsafe.Sizeof(*message)))
}

// pair makes the socket between the runner and a child. The runner's end is read through the poller.
func pair() (ours *os.File, theirs int, err error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, err
	}
	if err := unix.SetNonblock(ends[0], true); err != nil {
		return nil, 0, errors.Join(err, unix.Close(ends[0]), unix.Close(ends[1]))
	}
	return os.NewFile(uintptr(ends[0]), "held command's socket"), ends[1], nil
}

// send sends an order, and with it a descriptor unless that is -1. One order is under way at a time, so the socket is never
// full.
func (l *Launcher) send(order C.struct_prelaunch_order, descriptor int) error {
	conn, err := l.orders.SyscallConn()
	if err != nil {
		return err
	}
	message := bytesOf(&order)
	used := int(unsafe.Offsetof(order.text)) + bytes.IndexByte(message[unsafe.Offsetof(order.text):], 0)
	var rights []byte
	if descriptor >= 0 {
		rights = unix.UnixRights(descriptor)
	}
	var sent error
	err = conn.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), message[:used+1], rights, nil, unix.MSG_NOSIGNAL)
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, sent)
}

// answer reads what the launcher answers.
func (l *Launcher) answer() (a C.struct_prelaunch_answer, err error) {
	if _, err := io.ReadFull(l.orders, unsafe.Slice((*byte)(unsafe.Pointer(&a)), unsafe.Sizeof(a))); err != nil {
		return a, fmt.Errorf("the launcher has ended: %w", err)
	}
	if a.number < 0 {
		return a, syscall.Errno(-a.number)
	}
	return a, nil
}

// order gives an order without a descriptor and returns its answer.
func (l *Launcher) order(o C.struct_prelaunch_order) (C.struct_prelaunch_answer, error) {
	if err := l.send(o, -1); err != nil {
		return C.struct_prelaunch_answer{}, err
	}
	return l.answer()
}

// target is a command that is held back by its socket. It is a child of the launcher.
type target struct {
	by      *Launcher
	pid     int
	command string
	conn    *os.File // nil after Start and Abandon
	began   int64    // when Start told it to begin, in ns of the monotonic clock; 0 before
	reaped  atomic.Bool
	files   launch.Ended
	end     *end // nil before Exited
}

func (t *target) PID() int { return t.pid }

func (t *target) Exited() error {
	if t.end == nil {
		e := <-t.by.ended(t.pid)
		t.end = &e
		t.files.Read(t.pid)
	}
	return nil
}

func (t *target) Reap() (launch.State, error) {
	if err := t.Exited(); err != nil {
		return launch.State{ExitCode: -1}, err
	}
	before := t.files.Before(t.by.pid)
	t.reaped.Store(true) // a signal would be lost on a zombie, and a moment later its process id may be another process's
	order := C.struct_prelaunch_order{what: C.PRELAUNCH_REAP, number: C.int32_t(t.pid)}
	var err error
	if before == nil { // nothing is read after it
		order.signal = 1
		err = t.by.send(order, -1)
	} else {
		_, err = t.by.order(order)
	}
	t.by.ends.Delete(t.pid)
	s := launch.StateOf(t.end.status, t.end.usage)
	if t.began != 0 {
		s.Wall = time.Duration(t.end.at - t.began)
	}
	t.files.Enter(&s, t.by.pid, before)
	if err != nil {
		err = fmt.Errorf("reap process %d: %w", t.pid, err)
	}
	return s, err
}

func (t *target) Signal(s os.Signal) error {
	if t.reaped.Load() { // its process id may be another process's by now
		return os.ErrProcessDone
	}
	number, ok := s.(syscall.Signal)
	if !ok {
		return errors.ErrUnsupported
	}
	return syscall.Kill(t.pid, number)
}

// verdict is the child's answer. errno is 0 for success.
type verdict struct {
	failed syscall.Errno
	group  int32
}

// verdict waits for one. io.EOF is the end of the child, or of its socket at its execve.
func (t *target) verdict() (verdict, error) {
	var v C.struct_prelaunch_verdict
	if _, err := io.ReadFull(t.conn, unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v))); err != nil {
		return verdict{}, err
	}
	return verdict{failed: syscall.Errno(v.failed), group: int32(v.group)}, nil
}

func (t *target) Start() error {
	if t.conn == nil {
		return fmt.Errorf("start %s: it was started or abandoned before: %w", t.command, os.ErrProcessDone)
	}
	conn := t.conn
	defer func() { _ = conn.Close() }()
	t.files = launch.Watch(t.pid)
	t.began = monotonic()
	_, err := t.conn.Write([]byte{1}) // it fails if a signal has ended the child, and then there is no verdict
	briefly(t.by.events)              // the end of a brief command tells that it was executed, too
	v, noVerdict := t.verdict()
	t.conn = nil
	if err != nil || noVerdict != nil {
		return nil // Reap tells how it ended
	}
	_, _ = t.Reap()
	return &launch.ExecError{Command: t.command, Err: v.failed}
}

// monotonic returns the time of the clock that the launcher has as well, in ns.
func monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // every kernel has this clock
	return t.Nano()
}

func (t *target) Abandon() {
	if t.conn == nil {
		return
	}
	_ = t.conn.Close()
	t.conn = nil
	_, _ = t.Reap()
}
