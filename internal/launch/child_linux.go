package launch

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Child is a child process of ours that package os does not know. Signal may be called during Exited; no other methods may
// be called at the same time.
type Child struct {
	pid    int
	ioFile int // see openIO
	io     *IO
	own    *Own
	reaped bool
}

// NewChild takes charge of a child.
func NewChild(pid int) *Child { return &Child{pid: pid, ioFile: -1} }

// PID is the process id.
func (c *Child) PID() int { return c.pid }

// Watch opens what tells at the end how much the process has read and written. It must be called while the process is
// alive and is of our user.
func (c *Child) Watch() { c.ioFile = openIO(c.pid) }

// Exited returns when the process has ended. It is a zombie then, whose files below /proc can be read.
func (c *Child) Exited() (err error) {
	c.io, c.own, err = awaitZombie(c.pid, c.ioFile)
	c.ioFile = -1
	return err
}

// Reap takes the state of the ended process away.
func (c *Child) Reap() (State, error) {
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		_, err := syscall.Wait4(c.pid, &status, 0, &usage)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		c.reaped = true
		if err != nil {
			return State{ExitCode: -1}, fmt.Errorf("wait for process %d: %w", c.pid, err)
		}
		s := stateFrom(status, usage)
		s.IO, s.Own = c.io, c.own
		return s, nil
	}
}

// Discard waits for the end of the process and takes its state away.
func (c *Child) Discard() {
	if c.ioFile >= 0 {
		_ = unix.Close(c.ioFile) // only read from
		c.ioFile = -1
	}
	awaitExit(c.pid)
	_, _ = c.Reap()
}

// Signal sends a signal to the process, unless it is reaped: its process id may be another process's by then.
func (c *Child) Signal(s os.Signal) error {
	if c.reaped {
		return os.ErrProcessDone
	}
	number, ok := s.(syscall.Signal)
	if !ok {
		return errors.ErrUnsupported
	}
	return syscall.Kill(c.pid, number)
}

// awaitZombie returns when the child has ended but leaves it to be reaped (waitid(2), WNOWAIT), with what the dead
// process's files tell of its reading and writing and of itself; nil where that is not to be read.
//
// ioFile is what openIO has returned for the process; it is closed.
func awaitZombie(pid, ioFile int) (*IO, *Own, error) {
	if ioFile >= 0 {
		defer func() { _ = unix.Close(ioFile) }() // only read from
	}
	awaitExit(pid)
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, nil, fmt.Errorf("wait for process %d: %w", pid, err)
		}
	}
	var data [512]byte
	n, err := unix.Pread(ioFile, data[:], 0)
	if err != nil {
		n = 0 // a target that has become another user's, or a kernel without task accounting
	}
	return parseIO(data[:n]), ownOf(pid), nil
}

// openIO opens /proc/PID/io while the process lives; below 0 where that cannot be. When it is dead the file belongs to
// root (task_dump_owner in fs/proc/base.c), and an ordinary user could not open it any more, but goes on reading it.
func openIO(pid int) int {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/io", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

// ownOf is what a process was by itself; nil where that cannot be known.
func ownOf(pid int) *Own {
	used, ok := CPUTime(pid)
	if !ok {
		return nil
	}
	own := &Own{PID: pid, CPU: used}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		own.Name = string(bytes.TrimSuffix(name, []byte("\n")))
	}
	return own
}

// CPUTime is the CPU time of a process with all its threads, its children apart, by its clock (clock_getcpuclockid(3)),
// which goes on to be read until the process is reaped; false where that cannot be known.
func CPUTime(pid int) (time.Duration, bool) {
	var t unix.Timespec
	// MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of include/linux/posix-timers.h
	if unix.ClockGettime(int32(^pid)<<3|2, &t) != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}

// awaitExit waits through the poller where there are pidfds (Linux 5.3), so that no thread is bound. What it cannot wait
// for, waitid does.
func awaitExit(pid int) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer func() { _ = f.Close() }()
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Read(func(uintptr) bool {
		return exited(fd)
	})
}

// exited says whether the process of a pidfd has ended.
func exited(fd int) bool {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p[:], 0)
	return err != nil || n > 0
}

// parseIO reads
//
//	rchar: 323934931
//	wchar: 323929600
//	syscr: 632687
//	syscw: 632675
//	read_bytes: 0
//	write_bytes: 323932160
//	cancelled_write_bytes: 0
//
// and returns nil where one of the first six is missing.
func parseIO(data []byte) *IO {
	var io IO
	fields := []struct {
		name string
		to   *uint64
	}{
		{"rchar", &io.ReadChars},
		{"wchar", &io.WriteChars},
		{"syscr", &io.ReadCalls},
		{"syscw", &io.WriteCalls},
		{"read_bytes", &io.Read},
		{"write_bytes", &io.Written},
	}
	found := 0 // a bit for each
	for line := range bytes.Lines(data) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(": "))
		for i, f := range fields {
			if f.name != string(name) {
				continue
			}
			n, err := strconv.ParseUint(string(value), 10, 64)
			if err != nil {
				return nil
			}
			*f.to = n
			found |= 1 << i
		}
	}
	if found != 1<<len(fields)-1 {
		return nil
	}
	return &io
}

// Adopt makes this process the one that orphans of the target are handed to (PR_SET_CHILD_SUBREAPER), so that their
// CPU time can be known where there is neither a cgroup nor perf. It changes what such an orphan sees as its parent.
func Adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// Orphans reaps the dead among the adopted, leaving the processes named alone, and returns how many there were and
// their CPU time. The living are not waited for.
func Orphans(except ...int) (n int, user, system time.Duration) {
	var children []byte
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		of, _ := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
		children = append(children, of...)
	}
	for word := range bytes.FieldsSeq(children) {
		pid, err := strconv.Atoi(string(word))
		if err != nil || slices.Contains(except, pid) {
			continue
		}
		var status unix.WaitStatus
		var usage unix.Rusage
		if got, err := unix.Wait4(pid, &status, unix.WNOHANG, &usage); err == nil && got == pid {
			n++
			user += time.Duration(usage.Utime.Nano())
			system += time.Duration(usage.Stime.Nano())
		}
	}
	return n, user, system
}

// Descendants lists the living processes below this one, leaving the children named and what is below them out. With
// Adopt that is everything the target has started.
func Descendants(except ...int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // gone meanwhile
		}
		if parent, alive := parseStat(stat); alive && !slices.Contains(except, pid) {
			children[parent] = append(children[parent], pid)
		}
	}
	found := slices.Clone(children[os.Getpid()])
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found, nil
}

// parseStat reads parent and state from "4711 (na) me) S 4710 ..." (proc_pid_stat(5)); the name may hold anything.
func parseStat(stat []byte) (parent int, alive bool) {
	rest := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(rest) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(string(rest[1]))
	return parent, err == nil && parent > 0 && !bytes.ContainsAny(rest[0], "ZXx")
}
