//go:build linux && cgo

package launch

// #include "relay.h"
import "C"

import (
	"encoding/binary"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Signals relays the signals that must reach the target even if they were sent to ergon alone. os/signal does not
// report where a signal came from, so a handler in C does. A signal that was ignored when ergon began is ignored again: the Go
// runtime has installed its own handler, which ends the process.
func Signals(ignored func(os.Signal) bool) (<-chan Signal, error) {
	var list []C.int
	for _, s := range relayed() {
		if ignored(s) {
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
		runtime.LockOSThread() // for good: only this thread has the signals unblocked
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
		// SI_KERNEL: the terminal sent it to the whole foreground process group. Only a hang-up goes to the session leader
		// alone, which may be ergon.
		typed := code == siKernel && (number != syscall.SIGHUP || !leader)
		out <- Signal{Number: number, Typed: typed, Leader: sender == unix.Getpgrp(), At: time.Now()}
	}
}

const siKernel = 0x80
