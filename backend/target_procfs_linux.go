package backend

import (
	"encoding/binary"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/quick"
)

// This file reads /proc/PID and cgroup.procs for tree. Nothing here allocates once the buffers are large enough.

// proc reads one small file of a process into t.buf. The file may be kept open in fd.
func (t *tree) proc(p *process, fd *int, name string) (int, unix.Errno) {
	if *fd >= 0 {
		return quick.Pread(*fd, t.buf, 0)
	}
	opened := t.openProc(p.pid, name, 0, "")
	if opened < 0 {
		return 0, unix.Errno(-opened)
	}
	n, err := quick.Pread(opened, t.buf, 0)
	if p.keep && err == 0 {
		*fd = opened
	} else {
		closeFD(&opened)
	}
	return n, err
}

// listed reads a list of numbers, such as cgroup.procs or children. The result is valid until the next call.
func (t *tree) listed(fd int) []int {
	t.pids = t.pids[:0]
	if fd < 0 {
		return nil
	}
	n := 0
	for {
		if n == len(t.buf) {
			t.buf = append(t.buf, make([]byte, len(t.buf))...)
		}
		m, err := quick.Pread(fd, t.buf[n:], int64(n))
		if err != 0 {
			break
		}
		// Both files are lists of seq_file: see surelyWhole.
		if n += m; m == 0 || n < surelyWhole {
			break
		}
	}
	t.pids = appendNumbers(t.pids, t.buf[:n])
	return t.pids
}

// appendNumbers appends the numbers of a list in which one blank or newline follows each number.
func appendNumbers(to []int, b []byte) []int {
	for len(b) > 0 {
		n, rest, ok := number(b)
		if !ok || n > 1<<31-1 {
			break
		}
		to = append(to, int(n))
		if len(rest) > 0 {
			rest = rest[1:]
		}
		b = rest
	}
	return to
}

// threadsOf lists /proc/PID/task. The result is valid until the next call.
func (t *tree) threadsOf(pid int) []int {
	t.tids = t.tids[:0]
	fd := t.openProc(pid, "task", 0, "")
	if fd < 0 {
		return nil
	}
	for {
		n, err := unix.Getdents(fd, t.buf)
		if err != nil || n <= 0 {
			break
		}
		t.tids = appendEntries(t.tids, t.buf[:n])
	}
	closeFD(&fd)
	return t.tids
}

// appendEntries appends the entries of a folder that are numbers. In struct linux_dirent64 of getdents64(2) the length
// of an entry is at offset 16. Its name starts at 19 and ends with a zero byte.
func appendEntries(to []int, b []byte) []int {
	const atLength, atName = 16, 19
	for len(b) > atName {
		length := int(binary.NativeEndian.Uint16(b[atLength:]))
		if length <= atName || length > len(b) {
			break
		}
		n, digits := 0, 0
		for _, c := range b[atName:length] {
			if c-'0' > 9 || digits > 9 {
				if c != 0 {
					digits = 0
				}
				break
			}
			n = n*10 + int(c-'0')
			digits++
		}
		if digits > 0 {
			to = append(to, n)
		}
		b = b[length:]
	}
	return to
}

// clock reads the CPU-time clock of a process in ns (clock_getcpuclockid(3)). It includes threads that have ended.
// /proc/PID/stat has the same time, rounded down to ticks.
func (t *tree) clock(pid int) (uint64, bool) {
	if errno := quick.ClockGettime(cpuClock(pid), &t.spec); errno != 0 {
		return 0, false
	}
	return uint64(t.spec.Nano()), true
}

// cpuClock is MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of include/linux/posix-timers.h.
func cpuClock(pid int) int32 { return int32(^pid)<<3 | 2 }

// named returns a path with the zero byte that system calls need.
func (t *tree) named(path string) []byte {
	t.path = append(append(t.path[:0], path...), 0)
	return t.path
}

// openProc opens PID/NAME, PID/NAME/TID or PID/NAME/TID/FILE below /proc. It returns the descriptor, or the negative error
// number.
func (t *tree) openProc(pid int, name string, tid int, file string) int {
	b := strconv.AppendInt(t.path[:0], int64(pid), 10)
	b = append(append(b, '/'), name...)
	if tid > 0 {
		b = strconv.AppendInt(append(b, '/'), int64(tid), 10)
	}
	if file != "" {
		b = append(append(b, '/'), file...)
	}
	t.path = append(b, 0)
	return openAt(t.procs.FD(), t.path)
}

// openIn opens a file for reading; see openAt.
func openIn(path []byte) int { return openAt(unix.AT_FDCWD, path) }

// openAt opens a file below a folder for reading, without the allocations of os.Open. The path ends with a zero byte. It
// returns the descriptor, or the negative error number.
func openAt(dir int, path []byte) int {
	fd, _, err := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&path[0])),
		unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0, 0, 0)
	if err != 0 {
		return -int(err)
	}
	return int(fd)
}

// closeFD closes a descriptor if it is open, and marks it as closed.
func closeFD(fd *int) {
	if *fd >= 0 {
		_ = unix.Close(*fd) // nothing was written
	}
	*fd = -1
}

// pageSize returns the size of a page in bytes.
func pageSize() uint64 { return uint64(os.Getpagesize()) }
