//go:build linux && cgo

package prelaunch

// #include "prelaunch.h"
import "C"

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/launch"
)

// Ignored reports whether a signal was ignored when this process began. The Go runtime has forgotten it.
func Ignored(s os.Signal) bool {
	number, ok := s.(syscall.Signal)
	return ok && C.prelaunch.ignored&(1<<(number-1)) != 0
}

// Launcher controls the fork server. Its methods must not be called at the same time.
type Launcher struct {
	pid    int
	orders *os.File // nil after Close
}

// Take returns the launcher that the constructor forked, nil if it forked none. Only the first call returns one.
func Take() *Launcher {
	p := &C.prelaunch
	if p.launcher <= 0 {
		return nil
	}
	l := &Launcher{pid: int(p.launcher), orders: os.NewFile(uintptr(p.orders), "launcher's socket")}
	p.launcher = 0
	return l
}

// PID is the process id of the fork server, 0 after Close.
func (l *Launcher) PID() int {
	if l.orders == nil {
		return 0
	}
	return l.pid
}

// Close ends the fork server. Commands that are held or run are not affected. A second call does nothing.
func (l *Launcher) Close() error {
	if l.orders == nil {
		return nil
	}
	err := l.orders.Close()
	l.orders = nil
	launch.NewChild(l.pid).Discard()
	return err
}

// Hold makes a process that becomes the command at Start. A *launch.GroupError says that one of the cgroups could not be
// joined. Any other error says that there is no process.
func (l *Launcher) Hold(c launch.Command) (launch.Target, error) {
	order, command, err := encode(c)
	if err != nil {
		return nil, err
	}
	if l.orders == nil {
		return nil, fmt.Errorf("hold %s: the launcher is closed: %w", c.Argv[0], os.ErrClosed)
	}
	ours, theirs, err := pair()
	if err != nil {
		return nil, fmt.Errorf("hold %s: %w", c.Argv[0], err)
	}
	err = l.send(order, theirs)
	_ = unix.Close(theirs) // only the child may hold it open
	if err != nil {
		_ = ours.Close()
		return nil, fmt.Errorf("hold %s: the launcher has ended: %w", c.Argv[0], err)
	}
	// The child gets the command before its process id is known, so it works while the server answers.
	_, _ = ours.Write(command) // it fails if the child has ended
	pid, err := l.answer()
	if err != nil {
		_ = ours.Close()
		return nil, fmt.Errorf("hold %s: %w", c.Argv[0], err)
	}
	t := &target{Child: launch.NewChild(pid), command: c.Argv[0], conn: ours}
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
	}
	return nil, fmt.Errorf("hold %s: %w", c.Argv[0], v.failed)
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

// encode makes the message to the server and the one to the child.
func encode(c launch.Command) (order, command []byte, err error) {
	if len(c.Argv) == 0 {
		return nil, nil, errors.New("hold: no command")
	}
	order = make([]byte, unsafe.Sizeof(C.struct_prelaunch_order{}))
	var files []string
	for _, g := range c.Groups {
		switch {
		case g.Version == 1:
			files = append(files, filepath.Join(g.Dir, "tasks"))
		case order[0] != 0:
			return nil, nil, errors.New("hold: two v2 cgroups, and a process can be in one only")
		case len(g.Dir) >= len(order):
			return nil, nil, &launch.GroupError{Group: g, Err: syscall.ENAMETOOLONG}
		default:
			copy(order, g.Dir)
		}
	}
	var text bytes.Buffer
	for _, list := range [][]string{files, c.Argv, c.Env} {
		for _, s := range list {
			if strings.IndexByte(s, 0) >= 0 {
				return nil, nil, fmt.Errorf("hold: %q: a zero byte cannot be passed on", s)
			}
			text.WriteString(s)
			text.WriteByte(0)
		}
	}
	head := make([]byte, unsafe.Sizeof(C.struct_prelaunch_command{}))
	var h C.struct_prelaunch_command
	for _, field := range []struct {
		at    uintptr
		value int
	}{
		{unsafe.Offsetof(h.files), len(files)},
		{unsafe.Offsetof(h.words), len(c.Argv)},
		{unsafe.Offsetof(h.changes), len(c.Env)},
		{unsafe.Offsetof(h.size), text.Len()},
	} {
		binary.NativeEndian.PutUint32(head[field.at:], uint32(field.value))
	}
	if u := c.User; u != nil {
		binary.NativeEndian.PutUint32(head[unsafe.Offsetof(h.other):], 1)
		binary.NativeEndian.PutUint32(head[unsafe.Offsetof(h.uid):], u.UID)
		binary.NativeEndian.PutUint32(head[unsafe.Offsetof(h.gid):], u.GID)
		binary.NativeEndian.PutUint32(head[unsafe.Offsetof(h.groups):], uint32(len(u.Groups)))
		for _, g := range u.Groups {
			head = binary.NativeEndian.AppendUint32(head, g)
		}
	}
	return order, append(head, text.Bytes()...), nil
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

// send sends an order, and with it a descriptor. One order is under way at a time, so the socket is never full.
func (l *Launcher) send(order []byte, descriptor int) error {
	conn, err := l.orders.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = conn.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), order, unix.UnixRights(descriptor), nil, unix.MSG_NOSIGNAL)
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, sent)
}

// answer reads what the server says: the process id of the child.
func (l *Launcher) answer() (pid int, err error) {
	var word [4]byte
	if _, err := io.ReadFull(l.orders, word[:]); err != nil {
		return 0, fmt.Errorf("the launcher has ended: %w", err)
	}
	n := int32(binary.NativeEndian.Uint32(word[:]))
	if n <= 0 {
		return 0, syscall.Errno(-n)
	}
	return int(n), nil
}

// target is a command that is held back by its socket.
type target struct {
	*launch.Child
	command string
	conn    *os.File // nil after Start and Abandon
}

// verdict is the child's answer. errno is 0 for success.
type verdict struct {
	failed syscall.Errno
	group  int32
}

// verdict waits for one. io.EOF is the end of the child, or of its socket at its execve.
func (t *target) verdict() (verdict, error) {
	var v C.struct_prelaunch_verdict
	buf := make([]byte, unsafe.Sizeof(v))
	if _, err := io.ReadFull(t.conn, buf); err != nil {
		return verdict{}, err
	}
	return verdict{
		failed: syscall.Errno(binary.NativeEndian.Uint32(buf[unsafe.Offsetof(v.failed):])),
		group:  int32(binary.NativeEndian.Uint32(buf[unsafe.Offsetof(v.group):])),
	}, nil
}

func (t *target) Start() error {
	if t.conn == nil {
		return fmt.Errorf("start %s: it was started or abandoned before: %w", t.command, os.ErrProcessDone)
	}
	conn := t.conn
	defer func() { _ = conn.Close() }()
	t.Watch()
	_, err := t.conn.Write([]byte{1}) // it fails if a signal has ended the child, and then there is no verdict
	v, noVerdict := t.verdict()
	t.conn = nil
	if err != nil || noVerdict != nil {
		return nil // Reap tells how it ended
	}
	t.Discard()
	return &launch.ExecError{Command: t.command, Err: v.failed}
}

func (t *target) Abandon() {
	if t.conn == nil {
		return
	}
	_ = t.conn.Close()
	t.conn = nil
	t.Discard()
}
