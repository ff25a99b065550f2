package launch

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/procfs"
)

// Ended is what the files of an ended process say about it.
type Ended struct {
	proc *procfs.Dir // nil if there is no /proc of our PID namespace
	// ioFile is /proc/PID/io if it is open. The file of a zombie belongs to root (task_dump_owner in fs/proc/base.c): an ordinary
	// user cannot open it, but can read a descriptor that was opened before.
	ioFile int
	open   bool
	io     *IO
	own    *Own
}

// Watch opens the file of a living process of our user. It does not open the file of a stranger that has the process's number in the
// /proc of another PID namespace.
func Watch(pid int) Ended {
	var e Ended
	var err error
	if e.proc, err = procfs.Open(); err != nil {
		return e
	}
	if fd, err := e.proc.Open(strconv.Itoa(pid) + "/io"); err == nil {
		e.ioFile, e.open = fd, true
	}
	return e
}

// await waits until the child has ended, and leaves it as a zombie (waitid(2), WNOWAIT). Then it reads the zombie's files.
func (e *Ended) await(pid int) error {
	awaitExit(pid)
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			e.close()
			return fmt.Errorf("wait for process %d: %w", pid, err)
		}
	}
	e.Read(pid)
	return nil
}

// Read reads the files of the zombie, and closes them.
func (e *Ended) Read(pid int) {
	defer e.close()
	e.own = ownOf(pid, e.proc)
	if !e.open {
		return
	}
	var data [512]byte
	n, err := unix.Pread(e.ioFile, data[:], 0)
	if err != nil {
		n = 0 // a target that has become another user's, or a kernel without task accounting
	}
	e.io = parseIO(data[:n])
}

// close closes the files. A second call does nothing.
func (e *Ended) close() {
	e.proc.Close()
	if e.open {
		_ = unix.Close(e.ioFile) // only read from
	}
	e.open = false
}

// Before returns the counts of the process that will wait for the target, if they are needed to find the target's.
func (e *Ended) Before(parent int) *IO {
	if e.io != nil {
		return nil
	}
	return ioOf(parent)
}

// Enter puts into a state what is known. before has the counts of the target's parent from just before it waited for the
// target.
//
// The kernel does not let an ordinary user read the counts of a process that has the rights of another user or may not be
// dumped: a setuid program, one with capabilities, ssh-agent. But wait4 adds them to the counts of the parent, and these
// can be read. The number of bytes from and to storage is then the parent's after less the parent's before. The parent may
// make system calls in between, so the number of calls stays unknown.
func (e *Ended) Enter(s *State, parent int, before *IO) {
	s.IO, s.Own = e.io, e.own
	if before == nil {
		return
	}
	if now := ioOf(parent); now != nil {
		s.IO = &IO{
			StorageOnly: true, Read: now.Read - min(before.Read, now.Read), Written: now.Written - min(before.Written, now.Written),
			Cancelled: now.Cancelled - min(before.Cancelled, now.Cancelled),
		}
	}
}

// ioOf returns the counts of this process or of its parent, with the children that it has waited for. It returns nil if the
// file cannot be read. Both are found in the /proc of any PID namespace in which this process can be seen: /proc/self is
// this process there, and its stat file has the parent's number there.
func ioOf(pid int) *IO {
	name := "self"
	if pid != os.Getpid() {
		stat, err := os.ReadFile("/proc/self/stat")
		parent, ok := parseStat(stat)
		if err != nil || !ok || pid != os.Getppid() {
			return nil
		}
		name = strconv.Itoa(parent)
	}
	data, err := os.ReadFile("/proc/" + name + "/io")
	if err != nil {
		return nil
	}
	return parseIO(data)
}

// ownOf returns what a process used without its children, or nil if that is unknown.
func ownOf(pid int, proc *procfs.Dir) *Own {
	used, ok := CPUTime(pid)
	if !ok {
		return nil
	}
	own := &Own{PID: pid, CPU: used}
	if stat, err := proc.ReadFile(strconv.Itoa(pid) + "/stat"); err == nil {
		own.Name, own.Childless = parseOwn(stat)
	}
	return own
}

// parseOwn returns the name of a process from /proc/PID/stat (proc_pid_stat(5)), and whether the process has waited for no
// child. A child has page faults, which are added to the parent's cminflt or cmajflt (fields 11 and 13). If SIGCHLD is
// ignored (field 33), the kernel adds nothing, so childless is false.
func parseOwn(stat []byte) (name string, childless bool) {
	from, to := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if from < 0 || to < from {
		return "", false
	}
	const state, minor, major, ignored = 3, 11, 13, 33
	fields := bytes.Fields(stat[to+1:])
	if len(fields) <= ignored-state {
		return string(stat[from+1 : to]), false
	}
	signals, err := strconv.ParseUint(string(fields[ignored-state]), 10, 64)
	waits := err == nil && signals>>(uint(unix.SIGCHLD)-1)&1 == 0
	return string(stat[from+1 : to]), waits && string(fields[minor-state]) == "0" && string(fields[major-state]) == "0"
}

// CPUTime returns the CPU time of a process with all its threads, but without its children. It reads the process's clock
// (clock_getcpuclockid(3)), which works until the process is reaped. It returns false if the clock cannot be read.
func CPUTime(pid int) (time.Duration, bool) {
	var t unix.Timespec
	// MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of include/linux/posix-timers.h
	if unix.ClockGettime(int32(^pid)<<3|2, &t) != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}

// awaitExit waits for the end of a process through Go's poller, so that no thread is blocked. Before Linux 5.3 there is no
// pidfd. Then it returns at once, and the caller's waitid waits.
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
// and returns nil if one is missing.
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
		{"cancelled_write_bytes", &io.Cancelled},
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

// Adopt makes this process the new parent of the target's orphans (PR_SET_CHILD_SUBREAPER). Their CPU time is then known
// without a cgroup or perf. An orphan sees another parent than it would without ergon. Orphans are found in /proc, so it is
// an error if /proc belongs to another PID namespace.
func (Direct) Adopt() error {
	if err := procfs.Check(); err != nil {
		return fmt.Errorf("adopt orphans: %w", err)
	}
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// Orphans reaps the adopted processes that have ended, except those named. It returns what they used. It does not wait for
// processes that are alive.
func (Direct) Orphans(except ...int) (used Used) {
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
			used.User += time.Duration(usage.Utime.Nano())
			used.System += time.Duration(usage.Stime.Nano())
			used.MaxRSS = max(used.MaxRSS, usage.Maxrss<<10)
		}
	}
	return used
}

// Children lists the children of a process with one thread, also the dead ones that were not waited for. It is an error if
// /proc belongs to another PID namespace, or if the kernel has no such list.
func Children(pid int) ([]int, error) {
	proc, err := procfs.Open()
	if err != nil {
		return nil, fmt.Errorf("list children: %w", err)
	}
	defer proc.Close()
	id := strconv.Itoa(pid)
	text, err := proc.ReadFile(id + "/task/" + id + "/children")
	if err != nil {
		return nil, fmt.Errorf("list children: %w", err)
	}
	var list []int
	for word := range bytes.FieldsSeq(text) {
		if child, err := strconv.Atoi(string(word)); err == nil {
			list = append(list, child)
		}
	}
	return list, nil
}

// Descendants lists the living processes below the process of, without the named ones and what is below these. If of has
// adopted the target's orphans, that is everything the target has started. It is an error if /proc belongs to another PID namespace, because the numbers
// there are those of strangers.
func Descendants(of int, except ...int) ([]int, error) {
	if err := procfs.Check(); err != nil {
		return nil, fmt.Errorf("list descendants: %w", err)
	}
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
			continue // it has ended
		}
		if parent, alive := parseStat(stat); alive && !slices.Contains(except, pid) {
			children[parent] = append(children[parent], pid)
		}
	}
	found := slices.Clone(children[of])
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found, nil
}

// Parent returns the parent of a process. It is 0 if that is unknown.
func Parent(pid int) int {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	parent, _ := parseStat(stat)
	return parent
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
