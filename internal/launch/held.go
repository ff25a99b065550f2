//go:build linux && cgo

package launch

// #include "early.h"
import "C"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Early is what the constructor forked.
type Early struct {
	// Sampler is the process id of the sampler, -1 where it could not be started; In and Out are the runner's ends
	// of its stdin and stdout.
	Sampler int
	In, Out *os.File
	gate    *os.File
	verdict *os.File
	pid     int
}

// IsSampler says whether this process is the sampler that the constructor forked.
func IsSampler() bool { return C.ergon_early.is_sampler != 0 }

// TakeEarly returns what the constructor forked, nil where it forked nothing. The caller owns it; to be called once.
func TakeEarly() *Early {
	e := &C.ergon_early
	if e.forked == 0 {
		return nil
	}
	e.forked = 0
	return &Early{
		Sampler: int(e.sampler),
		In:      os.NewFile(uintptr(e.sampler_in), "sampler's stdin"),
		Out:     os.NewFile(uintptr(e.sampler_out), "sampler's stdout"),
		gate:    os.NewFile(uintptr(e.gate), "launcher's gate"),
		verdict: os.NewFile(uintptr(e.verdict), "launcher's verdict"),
		pid:     int(e.launcher),
	}
}

// Target is the launcher, held until Start, to execute the words of the command line from that index on. It is nil
// where the fork failed.
func (e *Early) Target(argv []string, index int) Target {
	if e.pid <= 0 {
		return nil
	}
	return &held{early: e, command: argv[index], index: index}
}

// Kill ends the sampler.
func (e *Early) Kill() error { return syscall.Kill(e.Sampler, syscall.SIGKILL) }

// Wait takes the state of the ended sampler away. os.FindProcess would do both as well, but first forks a child to see
// what the kernel can do: 0.4 ms.
func (e *Early) Wait() {
	awaitExit(e.Sampler)
	for {
		if _, err := syscall.Wait4(e.Sampler, nil, 0, nil); !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// Close lets both children go that were not taken up.
func (e *Early) Close() {
	_ = e.In.Close()
	_ = e.Out.Close()
	if e.pid > 0 {
		(&held{early: e}).Abandon()
	}
	if e.Sampler > 0 {
		_, _ = syscall.Wait4(e.Sampler, nil, 0, nil)
	}
}

type held struct {
	early   *Early
	command string
	index   int
	started bool
	reaped  bool
	ioFile  int // see openIO
	io      *IO
	own     *Own
}

func (h *held) PID() int { return h.early.pid }

// order sends one order and reads the answer. The write fails where a signal has ended the launcher.
func (h *held) order(what, index int, path string) (answer int32, err error) {
	var o C.struct_ergon_order
	buf := make([]byte, unsafe.Sizeof(o))
	binary.NativeEndian.PutUint32(buf[unsafe.Offsetof(o.what):], uint32(what))
	binary.NativeEndian.PutUint32(buf[unsafe.Offsetof(o.index):], uint32(index))
	if copy(buf[unsafe.Offsetof(o.path):len(buf)-1], path) < len(path) {
		return int32(syscall.ENAMETOOLONG), nil
	}
	if _, err := h.early.gate.Write(buf); err != nil {
		return 0, err
	}
	var word [4]byte
	if _, err := io.ReadFull(h.early.verdict, word[:]); err != nil {
		return 0, err
	}
	return int32(binary.NativeEndian.Uint32(word[:])), nil
}

// Join gets the command into a cgroup while it is held back, in a way that does not wait for the rest of the machine: by
// its own move in v1, by being born anew in v2, which changes PID.
func (h *held) Join(group string, version int) error {
	what, path := C.ERGON_BE_BORN, group
	if version == 1 {
		what, path = C.ERGON_JOIN, filepath.Join(group, "tasks")
	}
	answer, err := h.order(what, 0, path)
	switch {
	case err != nil:
		return fmt.Errorf("the launcher has ended: %w", syscall.ESRCH)
	case answer > 0:
		return syscall.Errno(answer)
	case answer < 0:
		_, _ = syscall.Wait4(h.early.pid, nil, 0, nil) // the old one ends at once
		h.early.pid = int(-answer)
	}
	return nil
}

func (h *held) Start() error {
	h.started = true
	h.ioFile = openIO(h.early.pid)
	// An error is the end of the launcher by a signal, or the end of the file that execve closes.
	answer, err := h.order(C.ERGON_EXECUTE, h.index, "")
	_ = h.early.gate.Close()
	_ = h.early.verdict.Close()
	if err != nil {
		return nil //nolint:nilerr // how it ended, Reap will tell
	}
	h.reaped = true
	_ = unix.Close(h.ioFile) // where there is one
	_, _ = syscall.Wait4(h.early.pid, nil, 0, nil)
	return &ExecError{h.command, syscall.Errno(answer)}
}

func (h *held) Exited() (err error) {
	h.io, h.own, err = awaitZombie(h.early.pid, h.ioFile)
	return err
}

func (h *held) Reap() (State, error) {
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		_, err := syscall.Wait4(h.early.pid, &status, 0, &usage)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		h.reaped = true
		if err != nil {
			return State{ExitCode: -1}, err
		}
		s := stateFrom(status, usage)
		s.IO, s.Own = h.io, h.own
		return s, nil
	}
}

func (h *held) Signal(s os.Signal) error {
	if h.reaped {
		return os.ErrProcessDone
	}
	number, ok := s.(syscall.Signal)
	if !ok {
		return errors.ErrUnsupported
	}
	return syscall.Kill(h.early.pid, number)
}

func (h *held) Abandon() {
	if h.started {
		return
	}
	h.started, h.reaped = true, true
	_ = h.early.gate.Close()
	_ = h.early.verdict.Close()
	_, _ = syscall.Wait4(h.early.pid, nil, 0, nil)
}

// Signals relays the signals that are to reach the target also when they were sent to ergon alone. Those that were
// ignored on entry are ignored again: the Go runtime has put its own handler in their place, which ends the process.
func Signals() (<-chan Signal, error) {
	var list []C.int
	for _, s := range relayed() {
		if C.ergon_early.ignored&(1<<(s-1)) != 0 {
			signal.Ignore(s)
			continue
		}
		list = append(list, C.int(s))
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(int(w.Fd()), true); err != nil {
		return nil, err
	}
	out, installed := make(chan Signal, 16), make(chan error)
	go func() {
		defer func() { _ = w.Close() }()
		runtime.LockOSThread() // for good: it is this thread that has the signals unblocked
		var errno C.int
		if len(list) > 0 {
			errno = C.ergon_relay(C.int(w.Fd()), &list[0], C.int(len(list)))
		}
		if errno != 0 {
			installed <- syscall.Errno(errno)
			return
		}
		installed <- nil
		relay(r, out)
	}()
	return out, <-installed
}

// relay reads what the handler writes.
func relay(r io.Reader, out chan<- Signal) {
	session, err := unix.Getsid(0)
	leader := err == nil && session == os.Getpid()
	var buf [12]byte
	for {
		if _, err := io.ReadFull(r, buf[:]); err != nil {
			return
		}
		number := syscall.Signal(binary.NativeEndian.Uint32(buf[0:]))
		code := int32(binary.NativeEndian.Uint32(buf[4:]))
		sender := int(binary.NativeEndian.Uint32(buf[8:]))
		// SI_KERNEL: the terminal sent it to the whole foreground process group. But of a hang-up the session leader is
		// told alone, which may be ergon.
		typed := code == siKernel && (number != syscall.SIGHUP || !leader)
		out <- Signal{Number: number, Typed: typed, Leader: sender == unix.Getpgrp(), At: time.Now()}
	}
}

const siKernel = 0x80
