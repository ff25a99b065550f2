package backend

import (
	"cmp"
	"encoding/binary"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/quick"
	"github.com/ergon-energy/ergon/sensors"
)

const (
	// clockTick is the unit of times in /proc: USER_HZ, which every architecture shows to users as 100 a second.
	clockTick = 10 * time.Millisecond
	// mostKept is how many processes keep their files open; those beyond are opened at each look.
	mostKept = 512
	// keptFiles is how many descriptors one process keeps at most, spareFiles how many are left to everything else.
	keptFiles, spareFiles = 3, 256
)

// What is counted for each process: CPU time in ns, user and system time in ticks, the rest as the kernel does.
const (
	countCPU = iota
	countUser
	countSystem
	countMinor
	countMajor
	countRead
	countWritten
	countReadChars
	countWriteChars
	countReadCalls
	countWriteCalls
	countAll
)

type counts [countAll]uint64

func (c *counts) add(d *counts) {
	for i, n := range d {
		c[i] += n
	}
}

// tree sums what /proc tells of a process and its descendants, again and again, at a look each.
//
// The difficulty is in those that end. What a process used is known up to the last look at it. When its parent waits
// for it the kernel adds all of it, to the very end, to what it shows for the parent: cutime, cstime, cminflt and
// cmajflt beside the parent's own, and /proc/PID/io in one sum with it. When nobody waits (SIGCHLD is ignored, or the
// process was orphaned and went to init) it is shown nowhere any more. So what was last seen of a vanished process is
// kept as owed to its nearest living ancestor; as far as that one's inherited counts rise, the debt is paid, and what
// is still owed at the look after the next is retired: counted for good. An ancestor none of whose inherited page
// faults has risen (no process lives without one) has waited for nobody, and pays nothing.
//
// This never counts anything twice, because each look goes from parents to children, the new ones last: a child that is still there when
// it is read cannot yet be part of what its parent showed before. What it misses is what processes did after the last
// look at them when nobody waited for them, and those never seen that nobody waited for: every count is a lower bound.
// The one exception: a process that is orphaned and then waited for by a subreaper within the tree, all between two
// looks, can be counted twice.
//
// A look does not allocate once it has seen the processes that are there.
type tree struct {
	group  string // the cgroup to list the processes from; without one it is their children
	runner int    // the process that orphans of the target go to if it is a subreaper; 0 is none
	// arguments asks for the command lines.
	arguments bool

	known map[int]*process
	order []*process // by start: parents before children
	lost  []*process // gone at this look
	free  []*process // to be used again

	groupFD  int   // cgroup.procs (v2), kept
	dirFD    int   // the group's folder
	adopted  int   // children of the runner
	others   []int // those from before the target, and the sampler
	unified  bool
	kept     int
	mayKeep  int
	retired  counts
	total    counts
	switches [2]uint64 // of processes that are gone: voluntary, involuntary

	ever, alive, threads, resident uint64
	ioSeen, switchesSeen           bool

	ended  []sensors.Process // and not yet asked for
	epoch  time.Time         // from which the times of looks count
	booted time.Time         // from which the starts of processes count
	now    time.Duration     // of the last look
	// stopped is whether all that lived then was, stoppedTime how long that was so.
	stopped     bool
	stoppedTime time.Duration
	page        uint64

	path    []byte
	buf     []byte
	pids    []int
	tids    []int
	spec    unix.Timespec
	dirStat unix.Stat_t
}

// process is what was last seen of one.
type process struct {
	pid, parent        int
	start              uint64
	statFD, ioFD, kids int
	keep, noIO, gone   bool
	state              byte
	threads, resident  uint64
	hasIO              bool
	comm               string // its name, cut by the kernel
	life               biography
	count              counts // own and inherited
	inherited          counts // the part in which what a child used appears once it was waited for
	risen              counts // by how much that rose at the last look
	owed, fresh        counts // of children that vanished: before this look, at it
	switches           [2]uint64
}

// newTree follows nobody yet.
func newTree(group string, runner int) *tree {
	t := &tree{
		group: group, runner: runner, epoch: time.Now(), page: pageSize(), known: map[int]*process{}, groupFD: -1, dirFD: -1, adopted: -1,
		path: make([]byte, 0, 256), buf: make([]byte, 8192),
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && limit.Cur > spareFiles {
		t.mayKeep = int(min((limit.Cur-spareFiles)/keptFiles, mostKept))
	}
	return t
}

// follow begins with the target. The group is used from now on, if it is there.
func (t *tree) follow(pid int) {
	if t.group != "" {
		t.dirFD = openIn(t.named(t.group))
		// Each group of v2 but the root has cgroup.events. Its cgroup.procs lists anew whenever it is read from the
		// start. That of v1 hands out a list it keeps as long as it is read at least once a second (pidlist in
		// kernel/cgroup/cgroup-v1.c), so there it is opened for each look.
		_, err := os.Stat(t.group + "/cgroup.events")
		t.unified = err == nil
	}
	t.now = time.Since(t.epoch)
	t.meet(pid)
	if p := t.known[pid]; p != nil {
		t.begin(p)
	}
	if t.runner > 0 && t.runner != pid {
		t.adopted = openIn(t.inProc(t.runner, "task", t.runner, "children"))
		t.others = append(slices.Clone(t.listed(t.adopted)), os.Getpid())
	}
}

// close releases every file. The counts stay.
func (t *tree) close() {
	for _, p := range t.order {
		p.closeFiles()
	}
	for _, fd := range []*int{&t.groupFD, &t.dirFD, &t.adopted} {
		closeFD(fd)
	}
	t.known, t.order = map[int]*process{}, nil
}

// look reads each process known, then finds the new ones and reads them.
func (t *tree) look() {
	t.lost = t.lost[:0]
	before := t.now
	t.now = time.Since(t.epoch)
	t.order = t.readFrom(0)
	// Now it is known which processes have several threads, each with children of its own.
	known := len(t.order)
	t.find()
	if len(t.order) > known {
		slices.SortFunc(t.order[known:], byStart)
		t.order = t.readFrom(known)
		slices.SortFunc(t.order, byStart)
	}
	t.bury()
	t.alive, t.threads, t.resident = 0, 0, 0
	sum := t.retired
	runs := false
	for _, p := range t.order {
		if p.state != 'Z' && p.state != 'X' {
			runs = runs || p.state != 'T'
			t.alive++
			t.threads += p.threads
			t.resident += p.resident
		}
		p.settle(&t.retired, &sum)
		sum.add(&p.count)
	}
	for i, n := range sum {
		t.total[i] = max(t.total[i], n)
	}
	t.countStopped(t.now-before, !runs && t.alive > 0)
}

// countStopped adds the time since the look before to that in which the target was stopped: all of it where it was so at
// both looks, half of it where it was at one of them.
func (t *tree) countStopped(d time.Duration, stopped bool) {
	if stopped {
		t.stoppedTime += d / 2
	}
	if t.stopped {
		t.stoppedTime += d / 2
	}
	t.stopped = stopped
}

// readFrom reads the processes from the i-th on, in their order. Those that are gone go to t.lost; the others, and all
// before i, are returned.
func (t *tree) readFrom(i int) []*process {
	stay := t.order[:i]
	for _, p := range t.order[i:] {
		if t.read(p) {
			stay = append(stay, p)
			continue
		}
		p.gone = true
		t.lost = append(t.lost, p)
	}
	clear(t.order[len(stay):])
	return stay
}

// byStart orders parents before children. One that starts within the same tick as its parent has the higher number,
// but where the numbers begin anew.
func byStart(a, b *process) int {
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.pid, b.pid))
}

// bury passes what the vanished were last seen with to their nearest living ancestors.
func (t *tree) bury() {
	for _, p := range t.lost {
		heir := t.known[p.parent]
		for steps := 0; heir != nil && heir.gone; steps++ {
			if heir = t.known[heir.parent]; steps > len(t.lost) {
				heir = nil
			}
		}
		into := &t.retired
		if heir != nil {
			into = &heir.fresh
		}
		into.add(&p.count)
		into.add(&p.owed)
		for i, n := range p.switches {
			t.switches[i] += n
		}
	}
	for _, p := range t.lost {
		t.keepEnded(p)
		delete(t.known, p.pid)
		if p.keep {
			t.kept--
		}
		p.closeFiles()
		t.free = append(t.free, p)
	}
}

// settle pays what is owed out of what was inherited since the last look. What stays owed for a second look is retired,
// the rest is part of the sum.
func (p *process) settle(retired, sum *counts) {
	for i := range p.count {
		if p.risen[countMinor] > 0 {
			due := p.owed[i] + p.fresh[i]
			pay := p.risen[i]
			// Times are cut to ticks on both sides.
			switch slack := uint64(2); i {
			case countCPU:
				pay += slack * uint64(clockTick)
			case countUser, countSystem:
				pay += slack
			}
			pay = min(pay, due)
			switch i {
			case countRead:
				p.life.paid[0] += pay
			case countWritten:
				p.life.paid[1] += pay
			}
			old := min(pay, p.owed[i])
			p.owed[i] -= old
			p.fresh[i] -= pay - old
		}
		retired[i] += p.owed[i]
		sum[i] += p.owed[i] + p.fresh[i]
		p.owed[i], p.fresh[i] = p.fresh[i], 0
	}
}

// find makes the processes that are there known.
func (t *tree) find() {
	if t.dirFD >= 0 {
		t.findInGroup()
	} else {
		t.findChildren()
	}
}

func (t *tree) findInGroup() {
	if !t.unified {
		closeFD(&t.groupFD)
	}
	if t.groupFD < 0 {
		t.groupFD = openIn(t.named(t.group + "/cgroup.procs"))
	}
	t.meetListed(t.groupFD)
	// The kernel counts the folders below in the links of a folder. There are some only where the target, a nested
	// ergon for one, makes groups itself.
	if quick.Fstat(t.dirFD, &t.dirStat) == 0 && t.dirStat.Nlink > 2 {
		t.findBelow(t.group)
	}
}

// findBelow looks through groups below the target's own. It allocates.
func (t *tree) findBelow(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // the group was removed meanwhile.
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		sub := dir + "/" + e.Name()
		fd := openIn(t.named(sub + "/cgroup.procs"))
		t.meetListed(fd)
		closeFD(&fd)
		t.findBelow(sub)
	}
}

// findChildren goes down from all processes known: one that was orphaned is still followed, with what it starts.
func (t *tree) findChildren() {
	if t.adopted >= 0 {
		for _, pid := range t.listed(t.adopted) {
			if !slices.Contains(t.others, pid) {
				t.meet(pid)
			}
		}
	}
	for i := 0; i < len(t.order); i++ { // the list grows on the way.
		p := t.order[i]
		if p.threads <= 1 {
			if p.kids >= 0 {
				t.meetListed(p.kids)
				continue
			}
			fd := openIn(t.inProc(p.pid, "task", p.pid, "children"))
			t.meetListed(fd)
			if p.keep && p.threads == 1 {
				p.kids = fd
			} else {
				closeFD(&fd)
			}
			continue
		}
		// Each thread has children of its own.
		for _, tid := range t.threadsOf(p.pid) {
			fd := openIn(t.inProc(p.pid, "task", tid, "children"))
			t.meetListed(fd)
			closeFD(&fd)
		}
	}
}

func (t *tree) meetListed(fd int) {
	for _, pid := range t.listed(fd) {
		t.meet(pid)
	}
}

// meet makes a process known, unless it is already or is gone. A number that is used again for another process is met
// at the look after the one at which the former is missed.
func (t *tree) meet(pid int) {
	if pid <= 0 || t.known[pid] != nil {
		return
	}
	var p *process
	if n := len(t.free); n > 0 {
		p, t.free = t.free[n-1], t.free[:n-1]
	} else {
		p = new(process)
	}
	*p = process{pid: pid, statFD: -1, ioFD: -1, kids: -1, keep: t.kept < t.mayKeep}
	s, ok := t.stat(p)
	if !ok {
		p.closeFiles()
		t.free = append(t.free, p)
		return
	}
	p.start, p.threads, p.parent = s.start, s.threads, s.parent
	t.live(p, &s)
	if p.keep {
		t.kept++
	}
	t.known[pid] = p
	t.order = append(t.order, p)
	t.ever++
}

// stat reads /proc/PID/stat. It is not ok where the process is gone. A file that is kept open stays with the process
// it was opened for, whoever gets its number later.
func (t *tree) stat(p *process) (processStat, bool) {
	n, err := t.proc(p, &p.statFD, "stat")
	if err != 0 {
		return processStat{}, false
	}
	return parseProcessStat(t.buf[:n])
}

// read refreshes what is known of a process; false if it is gone.
func (t *tree) read(p *process) bool {
	s, ok := t.stat(p)
	if !ok || s.start != p.start {
		return false
	}
	p.parent, p.state, p.threads = s.parent, s.state, s.threads
	p.resident = s.resident
	before := p.inherited
	t.live(p, &s)
	inherited := (s.childUser + s.childSystem) * uint64(clockTick)
	p.count[countCPU], p.inherited[countCPU] = uint64(p.life.base+p.life.cpu)+inherited, inherited
	p.count[countUser], p.inherited[countUser] = s.user+s.childUser, s.childUser
	p.count[countSystem], p.inherited[countSystem] = s.system+s.childSystem, s.childSystem
	p.count[countMinor], p.inherited[countMinor] = s.minor+s.childMinor, s.childMinor
	p.count[countMajor], p.inherited[countMajor] = s.major+s.childMajor, s.childMajor
	if !p.noIO {
		t.readIO(p)
	}
	if s.dead() {
		t.keepEnded(p)
	}
	for i, n := range p.inherited {
		p.risen[i] = n - min(n, before[i])
	}
	return true
}

// readIO reads /proc/PID/io. That of a process that has become somebody else (setuid) is refused and left out from
// then on; one that ends meanwhile is noticed at the next look.
func (t *tree) readIO(p *process) {
	n, err := t.proc(p, &p.ioFD, "io")
	if err == unix.EACCES || err == unix.EPERM {
		p.noIO = true
		closeFD(&p.ioFD)
	}
	if err != 0 {
		return
	}
	io, ok := parseProcessIO(t.buf[:n])
	if !ok {
		return
	}
	t.ioSeen, p.hasIO = true, true
	if io.read != p.count[countRead] || io.written != p.count[countWritten] {
		p.life.tell = true
	}
	for i, n := range [...]uint64{io.read, io.written, io.readChars, io.writeChars, io.readCalls, io.writeCalls} {
		p.count[countRead+i], p.inherited[countRead+i] = n, n
	}
}

// lookAtSwitches reads the context switches of every thread, which the kernel shows for each thread alone. It returns
// those of all processes ever seen. What threads that have ended did is known up to the sum last seen.
func (t *tree) lookAtSwitches() (voluntary, involuntary uint64) {
	voluntary, involuntary = t.switches[0], t.switches[1]
	for _, p := range t.order {
		var sum [2]uint64
		if p.threads <= 1 {
			t.addSwitches(&sum, p, p.pid)
		} else {
			for _, tid := range t.threadsOf(p.pid) {
				t.addSwitches(&sum, p, tid)
			}
		}
		for i, n := range sum {
			p.switches[i] = max(p.switches[i], n)
		}
		voluntary += p.switches[0]
		involuntary += p.switches[1]
	}
	return voluntary, involuntary
}

func (t *tree) addSwitches(sum *[2]uint64, p *process, tid int) {
	fd := openIn(t.inProc(p.pid, "task", tid, "status"))
	if fd < 0 {
		return
	}
	n, err := quick.Pread(fd, t.buf, 0)
	closeFD(&fd)
	if err != 0 {
		return
	}
	if peak, ok := parsePeak(t.buf[:n]); ok && tid == p.pid {
		p.peaked(peak)
	}
	if voluntary, involuntary, ok := parseSwitches(t.buf[:n]); ok {
		sum[0] += voluntary
		sum[1] += involuntary
		t.switchesSeen = true
	}
}

// proc reads one small file of a process, kept open or not, into t.buf.
func (t *tree) proc(p *process, fd *int, name string) (int, unix.Errno) {
	if *fd >= 0 {
		return quick.Pread(*fd, t.buf, 0)
	}
	opened := openIn(t.inProc(p.pid, name, 0, ""))
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

// listed reads a list of numbers, as of cgroup.procs and children. It is valid until the next call.
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
		// Both are lists of the kernel's seq_file; see surelyWhole.
		if n += m; m == 0 || n < surelyWhole {
			break
		}
	}
	t.pids = appendNumbers(t.pids, t.buf[:n])
	return t.pids
}

// appendNumbers appends the numbers of a list with one blank or line end after each.
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

// threadsOf lists /proc/PID/task. It is valid until the next call.
func (t *tree) threadsOf(pid int) []int {
	t.tids = t.tids[:0]
	fd := openIn(t.inProc(pid, "task", 0, ""))
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

// appendEntries appends those entries of a folder that are numbers: struct linux_dirent64 of getdents64(2), the length
// of an entry at 16, its name at 19 up to a zero byte.
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

// clock reads the CPU-time clock of a process (clock_getcpuclockid(3)): all its threads, also those that have ended,
// in ns, where /proc/PID/stat is cut to ticks.
func (t *tree) clock(pid int) (uint64, bool) {
	if errno := quick.ClockGettime(cpuClock(pid), &t.spec); errno != 0 {
		return 0, false
	}
	return uint64(t.spec.Nano()), true
}

// cpuClock is MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of include/linux/posix-timers.h.
func cpuClock(pid int) int32 { return int32(^pid)<<3 | 2 }

// named is a path as the kernel takes it.
func (t *tree) named(path string) []byte {
	t.path = append(append(t.path[:0], path...), 0)
	return t.path
}

// inProc is /proc/PID/NAME or /proc/PID/NAME/TID or /proc/PID/NAME/TID/FILE as the kernel takes it.
func (t *tree) inProc(pid int, name string, tid int, file string) []byte {
	b := append(t.path[:0], "/proc/"...)
	b = strconv.AppendInt(b, int64(pid), 10)
	b = append(append(b, '/'), name...)
	if tid > 0 {
		b = strconv.AppendInt(append(b, '/'), int64(tid), 10)
	}
	if file != "" {
		b = append(append(b, '/'), file...)
	}
	t.path = append(b, 0)
	return t.path
}

func (p *process) closeFiles() {
	closeFD(&p.statFD)
	closeFD(&p.ioFD)
	closeFD(&p.kids)
}

// openIn opens a file to read, without the allocations of os.Open. The path ends with a zero byte. It returns the
// descriptor or, below zero, the error.
func openIn(path []byte) int {
	fd, _, err := unix.Syscall6(unix.SYS_OPENAT, ^uintptr(0)-99 /* AT_FDCWD, -100 */, uintptr(unsafe.Pointer(&path[0])),
		unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0, 0, 0)
	if err != 0 {
		return -int(err)
	}
	return int(fd)
}

// closeFD closes a descriptor that is open, and marks it closed.
func closeFD(fd *int) {
	if *fd >= 0 {
		_ = unix.Close(*fd) // only read from.
	}
	*fd = -1
}

// budget spaces out something costly so that it takes no more than a share of one processor. It is not due while the
// last time is being paid off.
type budget struct {
	share float64
	next  time.Duration
}

func (b *budget) due(now time.Duration) bool { return now >= b.next }

// charge books the CPU time that was spent at a time.
func (b *budget) charge(now, spent time.Duration) {
	b.next = now + time.Duration(float64(spent)/b.share)
}

// threadTime is the CPU time of the calling thread, to which the caller is to be locked.
func threadTime(t *unix.Timespec) time.Duration {
	if errno := quick.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, t); errno != 0 {
		return 0
	}
	return time.Duration(t.Nano())
}

// pageSize is that of the kernel.
func pageSize() uint64 { return uint64(os.Getpagesize()) }

// timed runs f and returns the CPU time it took.
func timed(t *unix.Timespec, f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadTime(t)
	f()
	return threadTime(t) - start
}

// source of a look, for people.
func (t *tree) source() string {
	if strings.TrimSpace(t.group) != "" {
		return "walk of the cgroup's processes"
	}
	return "walk of the process tree"
}
