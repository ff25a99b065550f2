package marks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/datamodel"
)

const (
	// longestPath is what a socket's address has room for, with its final zero (unix(7)).
	longestPath = 107
	// longestDatagram is more than a mark with all its lines needs.
	longestDatagram = 8192
	// socketName is the file of the socket in its folder.
	socketName = "marks"
)

// Socket receives marks. Its descriptor can be passed to another process, and both receive then: each datagram reaches one.
type Socket struct {
	file *os.File
	path string
	dir  string // the folder to remove; empty in a process that got the socket from another
}

// Owner is the user and the group that a socket is for.
type Owner struct{ UID, GID int }

// Listen makes a socket in a new folder that only the owner can enter. Nil is the user of this process.
func Listen(owner *Owner) (*Socket, error) {
	parents := []string{os.TempDir(), "/tmp"}
	// The folder of the user's session is in memory. Another user cannot enter it.
	if session := os.Getenv("XDG_RUNTIME_DIR"); session != "" && owner == nil {
		parents = append([]string{session}, parents...)
	}
	var all error
	for _, parent := range parents {
		s, err := listenBelow(parent)
		if err == nil && owner != nil {
			if err = errors.Join(os.Chown(s.path, owner.UID, owner.GID), os.Chown(s.dir, owner.UID, owner.GID)); err != nil {
				err = errors.Join(err, s.Close())
			}
		}
		if err == nil {
			return s, nil
		}
		all = errors.Join(all, err)
	}
	return nil, all
}

func listenBelow(parent string) (s *Socket, err error) {
	dir, err := os.MkdirTemp(parent, "ergon-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	path := filepath.Join(dir, socketName)
	if len(path) > longestPath {
		return nil, fmt.Errorf("%s: longer than %d bytes", path, longestPath)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := errors.Join(
		os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)),
		os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)),
		os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: path})),
	); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &Socket{file: os.NewFile(uintptr(fd), path), path: path, dir: dir}, nil //nolint:gosec // a descriptor
}

// Over returns the socket of a descriptor that came from another process.
func Over(fd int) *Socket {
	_ = unix.SetNonblock(fd, true)
	return &Socket{file: os.NewFile(uintptr(fd), socketName)} //nolint:gosec // a descriptor
}

// Path is the path of the socket, which the command gets as ERGON_SOCKET.
func (s *Socket) Path() string { return s.path }

// FD returns the descriptor. It stays the socket's.
func (s *Socket) FD() (int, error) {
	conn, err := s.file.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	err = conn.Control(func(n uintptr) { fd = int(n) }) //nolint:gosec // a descriptor
	return fd, err
}

// Close closes the descriptor and, in the process that made it, removes the folder.
func (s *Socket) Close() error {
	err := s.file.Close()
	if s.dir != "" {
		err = errors.Join(err, os.Remove(s.path), os.Remove(s.dir))
	}
	return err
}

// Stop ends a Receive: it returns when all datagrams that have arrived are taken.
func (s *Socket) Stop() { _ = s.file.SetReadDeadline(time.Unix(0, 1)) }

// Again allows another Receive after Stop.
func (s *Socket) Again() { _ = s.file.SetReadDeadline(time.Time{}) }

// sender is who sent a datagram, and when, by the kernel. sent is the time in ns of CLOCK_REALTIME, 0 if it is unknown.
type sender struct {
	pid  int
	sent int64
}

// mostAge is the longest time that a datagram is believed to have waited. The clock was set if it seems to be longer.
const mostAge = time.Minute

// age returns how long a datagram has waited until now, at least 0.
func (s sender) age(now time.Time) time.Duration {
	if age := time.Duration(now.UnixNano() - s.sent); s.sent > 0 && age > 0 && age <= mostAge {
		return age
	}
	return 0
}

// Receive calls take for each mark until Stop. began is the moment 0 of the run's clock.
func (r *Receiver) Receive(s *Socket, began time.Time) error {
	conn, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	buf, control := make([]byte, longestDatagram), make([]byte, 512)
	stands, err := monotonic(began)
	if err != nil {
		return err
	}
	for {
		var n, rest, flags int
		var failed error
		one := func(fd uintptr) bool {
			n, rest, flags, _, failed = unix.Recvmsg(int(fd), buf, control, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT) //nolint:gosec // a descriptor
			return !errors.Is(failed, unix.EAGAIN)
		}
		if err := conn.Read(one); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			}
			// Stopped. What has arrived by now is still taken.
			if errControl := conn.Control(func(fd uintptr) { one(fd) }); errControl != nil || failed != nil {
				return errControl
			}
		}
		if failed != nil {
			if errors.Is(failed, unix.EINTR) {
				continue
			}
			return os.NewSyscallError("recvmsg", failed)
		}
		from := credentials(control[:rest])
		// The receiver may have waited for a processor, or may have read counters.
		at := time.Now()
		now := max(0, at.Sub(began)-from.age(at))
		if flags&unix.MSG_TRUNC != 0 {
			r.Bad++
			continue
		}
		r.datagram(buf[:n], from, now, stands)
	}
}

// credentials returns the sender of a datagram and the time, and closes the descriptors that came with it: systemd-notify sends one, and
// waits until it is closed.
func credentials(control []byte) (from sender) {
	list, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return from
	}
	for _, m := range list {
		switch {
		case m.Header.Level != unix.SOL_SOCKET:
		case m.Header.Type == unix.SCM_RIGHTS:
			fds, _ := unix.ParseUnixRights(&m)
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
		case m.Header.Type == unix.SCM_TIMESTAMPNS:
			var t unix.Timespec
			if n, err := binary.Decode(m.Data, binary.NativeEndian, &t); err == nil && n > 0 {
				from.sent = t.Nano()
			}
		case m.Header.Type == unix.SCM_CREDENTIALS:
			if c, err := unix.ParseUnixCredentials(&m); err == nil {
				from.pid = int(c.Pid)
			}
		}
	}
	return from
}

// monotonic returns a moment in ns of CLOCK_MONOTONIC.
func monotonic(t time.Time) (int64, error) {
	latest := int64(math.MinInt64)
	for range 3 { // if this process waits for a processor between the two clocks, the moment comes out too early
		var spec unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &spec); err != nil {
			return 0, os.NewSyscallError("clock_gettime", err)
		}
		latest = max(latest, spec.Nano()-int64(time.Since(t)))
	}
	return latest, nil
}

// Monotonic returns the present in ns of CLOCK_MONOTONIC, which all processes of the machine share. It is 0 if the system
// does not tell.
func Monotonic() int64 {
	ns, _ := monotonic(time.Now())
	return ns
}

// Send sends a datagram to a socket. It does not wait: if the receiver does not take datagrams, the error is ErrFull.
func Send(path string, datagram []byte) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	err = unix.Sendto(fd, datagram, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: path})
	switch {
	case errors.Is(err, unix.EAGAIN):
		return ErrFull
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Forwarder hands marks on to another socket. It never waits for the receiver: it keeps mostWaiting marks, and leaves out those
// that come while so many wait.
type Forwarder struct {
	file  *os.File
	queue chan []byte
	done  chan int // how many marks the receiver did not take
	left  int      // marks that were left out
	clock int64    // the moment 0 of the run's clock, in ns of the monotonic clock
}

const (
	// mostWaiting is more marks than come while the receiver reads its counters.
	mostWaiting = 1024
	// lastWait is how long the last marks wait for a receiver that does not take them.
	lastWait = 20 * time.Millisecond
)

// Forward returns a Forwarder to the socket of a path. began is the moment 0 of the clock of the marks. An error says why the
// socket does not answer.
func Forward(path string, began time.Time) (*Forwarder, error) {
	clock, err := monotonic(began)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f := &Forwarder{
		file: os.NewFile(uintptr(fd), path), queue: make(chan []byte, mostWaiting), done: make(chan int, 1), clock: clock, //nolint:gosec // a descriptor
	}
	go f.run()
	return f, nil
}

// run sends what waits until the queue is closed. A receiver that has ended or stands still costs marks, never time.
func (f *Forwarder) run() {
	lost := 0
	for datagram := range f.queue {
		if _, err := f.file.Write(datagram); err != nil {
			lost++
		}
	}
	f.done <- lost
}

// Put hands marks on, with their process and their time. It does not wait. Nil does nothing.
func (f *Forwarder) Put(list []datamodel.Mark) {
	if f == nil {
		return
	}
	for _, m := range list {
		select {
		case f.queue <- Encode(m, f.clock+int64(m.At)):
		default:
			f.left++
		}
	}
}

// Close sends what waits, for at most lastWait, and returns how many marks did not arrive. No Put may follow.
func (f *Forwarder) Close() (lost int) {
	if f == nil {
		return 0
	}
	close(f.queue)
	_ = f.file.SetWriteDeadline(time.Now().Add(lastWait))
	lost = f.left + <-f.done
	_ = f.file.Close() // all is sent
	return lost
}
