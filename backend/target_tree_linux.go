package backend

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/procfs"
	"github.com/ergon-energy/ergon/internal/quick"
	"github.com/ergon-energy/ergon/sensors"
)

const (
	// clockTick is the unit of times in /proc: USER_HZ, which every architecture shows to users as 100 a second.
	clockTick = 10 * time.Millisecond
	// mostKept is how many processes keep their files open. The files of others are opened at each look.
	mostKept = 512
	// keptFiles is the most descriptors one process keeps. spareFiles is how many are left for everything else.
	keptFiles, spareFiles = 4, 256
)

// The counts of a process: CPU time in ns, user and system time in ticks, the rest in the units of the kernel.
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

// tree sums the resource use of a process and its descendants from /proc. Each look reads them all once.
//
// Processes that end are the difficulty. Their use is known up to the last look. If the parent waits for the process,
// the kernel adds the complete use to the parent's: to cutime, cstime, cminflt and cmajflt, which are separate from the
// parent's own counts, and to the only sum in /proc/PID/io. If no process of the tree waits for it (SIGCHLD is ignored, or
// init has adopted an orphan), the kernel shows the use nowhere.
//
// So tree books the last known use of a vanished process as a debt of its nearest living ancestor. A rise of the ancestor's
// inherited counts pays the debt. A debt that is still open two looks later is retired: it counts permanently. If an
// ancestor's inherited page faults have not risen, it has waited for no child and pays nothing, because every process has
// page faults.
//
// Nothing is counted twice: each look reads parents before children, and new processes last. A child that still
// exists when it is read cannot be part of the counts that its parent showed before. There is one exception: a process that
// is orphaned, and that a subreaper in the tree waits for, all between two looks.
//
// If no process of the tree waits for a process, two things are missed: its use after the last look, and all of its use if
// no look saw it. So every count is a lower bound.
//
// A look does not allocate once it has seen all processes.
type tree struct {
	group  string // the cgroup that lists the processes; if empty, they are found as children
	parent int    // the target's parent, which adopts orphans of the target if it is a subreaper; 0 is none
	// arguments asks for the command lines.
	arguments bool
	// procs is the open /proc. It is nil if there is none, or if it belongs to another PID namespace. Then no process is
	// known, and foreign says why.
	procs   *procfs.Dir
	foreign error

	known map[int]*process
	order []*process // by start: parents before children
	lost  []*process // gone at this look
	free  []*process // for reuse

	groupFD  int   // cgroup.procs (v2), kept open
	dirFD    int   // the group's folder
	adopted  int   // children of parent
	others   []int // children from before the target, and the sampler
	unified  bool
	kept     int
	mayKeep  int
	retired  counts
	total    counts
	switches [2]uint64 // of ended processes: voluntary, involuntary

	ever, alive, threads uint64
	memory               holdings

	// round is the number of the look. outside counts the processes that were seen outside the group. searching says that
	// this look also goes down from every known process, because some may have left the group.
	round     uint64
	outside   uint64
	searching bool
	// ioSeen says that the bytes of some process are known: of one that is not refused now, or of one that has ended.
	ioSeen, ioEnded, switchesSeen bool

	ended  []sensors.Process // not yet asked for
	epoch  time.Time         // times of looks count from here
	booted time.Time         // starts of processes count from here
	now    time.Duration     // time of the last look
	// stopped says that all living processes were stopped at the last look, stoppedTime for how long in all.
	stopped     bool
	stoppedTime time.Duration
	page        uint64

	path    []byte
	name    []byte
	buf     []byte
	pids    []int
	tids    []int
	spec    unix.Timespec
	spent   unix.Timespec
	dirStat unix.Stat_t
	// readShared is readShares. It is made once, because a closure at each look would allocate.
	readShared func()
}

// process is what the last look saw of a process.
type process struct {
	pid, parent      int
	start            uint64
	keep, noIO, gone bool
	// These files are kept open: stat, io, statm, and the children of the only thread.
	statFD, ioFD, pagesFD, kids int
	state                       byte
	threads, resident           uint64
	// thread is a living thread if the first one has ended, otherwise 0. The files of the process then show no memory, and
	// the state of the first thread.
	thread int
	// listed is the look at which the group last listed the process. missed counts the looks since then.
	listed      uint64
	missed      int
	strayed     bool // it was seen outside the group
	pages       ownPages
	hasIO       bool
	comm        string // its name, cut by the kernel
	life        biography
	count       counts // own and inherited
	inherited   counts // the part that contains the use of children it has waited for
	risen       counts // the rise of inherited at the last look
	owed, fresh counts // use of vanished children: from before this look, and from this look
	switches    [2]uint64
}

// newTree returns a tree that follows no process yet.
func newTree(group string, parent int) *tree {
	t := &tree{
		memory: holdings{shares: budget{share: sharesShare}},
		group:  group, parent: parent, epoch: time.Now(), page: pageSize(), known: map[int]*process{}, groupFD: -1, dirFD: -1, adopted: -1,
		path: make([]byte, 0, 256), buf: make([]byte, 8192),
	}
	t.procs, t.foreign = procfs.Open()
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && limit.Cur > spareFiles {
		t.mayKeep = int(min((limit.Cur-spareFiles)/keptFiles, mostKept))
	}
	return t
}

// follow starts with the target. From now on the group is used, if there is one.
func (t *tree) follow(pid int) {
	if t.procs == nil {
		return
	}
	if t.group != "" {
		t.dirFD = openIn(t.named(t.group))
		// Every v2 group except the root has cgroup.events. In v2, cgroup.procs is listed anew when it is read from
		// its start. In v1 the kernel caches a list that is read at least once a second (pidlist in
		// kernel/cgroup/cgroup-v1.c). So in v1 it is opened at each look.
		_, err := os.Stat(t.group + "/cgroup.events")
		t.unified = err == nil
	}
	t.now = time.Since(t.epoch)
	t.meet(pid)
	if p := t.known[pid]; p != nil {
		t.begin(p)
	}
	if t.parent > 0 && t.parent != pid {
		t.adopted = t.openProc(t.parent, "task", t.parent, "children")
		t.others = append(slices.Clone(t.listed(t.adopted)), os.Getpid())
	}
}

// close closes every file. The counts stay.
func (t *tree) close() {
	for _, p := range t.order {
		p.closeFiles()
	}
	for _, fd := range []*int{&t.groupFD, &t.dirFD, &t.adopted} {
		closeFD(fd)
	}
	t.known, t.order = map[int]*process{}, nil
	t.procs.Close()
}

// look reads each known process, then finds new processes and reads them.
func (t *tree) look() {
	t.lost = t.lost[:0]
	before := t.now
	t.now = time.Since(t.epoch)
	t.order = t.readFrom(0)
	// By now it is known which processes have several threads. Each thread has its own list of children.
	known := len(t.order)
	t.find()
	if len(t.order) > known {
		slices.SortFunc(t.order[known:], byStart)
		t.order = t.readFrom(known)
		slices.SortFunc(t.order, byStart)
	}
	t.bury()
	t.alive, t.threads = 0, 0
	t.memory.begin()
	sum := t.retired
	runs := false
	t.ioSeen = t.ioEnded
	for _, p := range t.order {
		t.ioSeen = t.ioSeen || p.hasIO
		if p.alive() {
			runs = runs || p.state != 'T'
			t.alive++
			t.threads += p.threads
			if p.thread != 0 {
				t.threads-- // the first one
			}
			t.memory.meet(p)
		}
		p.settle(&t.retired, &sum)
		sum.add(&p.count)
	}
	for i, n := range sum {
		t.total[i] = max(t.total[i], n)
	}
	t.countStopped(t.now-before, !runs && t.alive > 0)
}

// countStopped adds the time d since the previous look to the target's stopped time: all of d if the target was stopped
// at both looks, half of d if at one of them.
func (t *tree) countStopped(d time.Duration, stopped bool) {
	if stopped {
		t.stoppedTime += d / 2
	}
	if t.stopped {
		t.stoppedTime += d / 2
	}
	t.stopped = stopped
}

// readFrom reads the processes from index i on, in order, and moves those that are gone to t.lost. It returns all others,
// including those before i.
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

// byStart orders parents before children. A child that starts in the same tick as its parent has the higher number,
// unless the numbers have wrapped.
func byStart(a, b *process) int {
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.pid, b.pid))
}

// bury books the last known use of vanished processes as owed by their nearest living ancestors.
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
		t.ioEnded = t.ioEnded || p.hasIO
		t.keepEnded(p)
		t.memory.forget(p)
		delete(t.known, p.pid)
		if p.keep {
			t.kept--
		}
		p.closeFiles()
		t.free = append(t.free, p)
	}
}

// settle pays debts from what was inherited since the last look. A debt that is still open at a second look moves to
// retired. Other open debts count in sum.
func (p *process) settle(retired, sum *counts) {
	for i := range p.count {
		if p.risen[countMinor] > 0 {
			due := p.owed[i] + p.fresh[i]
			pay := p.risen[i]
			// Both times are rounded down to ticks.
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

// find makes new processes known. In a group it also finds out who has left the group.
func (t *tree) find() {
	if t.dirFD < 0 {
		t.findAdopted()
		t.findChildren()
		return
	}
	t.round++
	t.findInGroup()
	if t.missedAny() || t.searching {
		t.searching = false
		inGroup := len(t.order)
		t.findChildren()
		for _, p := range t.order[inGroup:] {
			p.missed = 1
		}
	}
}

// missedAny reports whether a living process is not in the group. A process that is ending leaves the list a moment before it
// shows that it ends. So a process has left the group only if it is missed at two looks, one after the other.
func (t *tree) missedAny() (missed bool) {
	for _, p := range t.order {
		if !p.alive() || p.listed == t.round {
			p.missed = 0
			continue
		}
		missed = true
		if p.missed++; p.missed > 1 && !p.strayed {
			p.strayed = true
			t.outside++
		}
	}
	return missed
}

func (t *tree) findInGroup() {
	if !t.unified {
		closeFD(&t.groupFD)
	}
	if t.groupFD < 0 {
		t.groupFD = openIn(t.named(t.group + "/cgroup.procs"))
	}
	t.meetMembers(t.groupFD)
	// The link count of a folder includes its subfolders. There are some only if the target makes groups itself, as a
	// nested ergon does.
	if quick.Fstat(t.dirFD, &t.dirStat) == 0 && t.dirStat.Nlink > 2 {
		t.findBelow(t.group)
	}
}

// findBelow finds processes in groups below the target's own. It allocates.
func (t *tree) findBelow(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // the group has been removed
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		sub := dir + "/" + e.Name()
		fd := openIn(t.named(sub + "/cgroup.procs"))
		t.meetMembers(fd)
		closeFD(&fd)
		t.findBelow(sub)
	}
}

// findAdopted finds the orphans of the target that the runner has adopted.
func (t *tree) findAdopted() {
	if t.adopted < 0 {
		return
	}
	for _, pid := range t.listed(t.adopted) {
		if !slices.Contains(t.others, pid) {
			t.meet(pid)
		}
	}
}

// findChildren goes down from every known process. So orphans and what they start are still followed.
func (t *tree) findChildren() {
	for i := 0; i < len(t.order); i++ { // the list grows during the loop
		p := t.order[i]
		if p.threads <= 1 {
			if p.kids >= 0 {
				t.meetListed(p.kids)
				continue
			}
			fd := t.openProc(p.pid, "task", p.pid, "children")
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
			fd := t.openProc(p.pid, "task", tid, "children")
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

// meetMembers makes the processes known that a group lists.
func (t *tree) meetMembers(fd int) {
	for _, pid := range t.listed(fd) {
		if p := t.meet(pid); p != nil {
			p.listed = t.round
		}
	}
}

// meet makes a process known, unless it is known or has ended. If its number belonged to a known process that ended,
// it becomes known at the look after the one that missed the old process. It returns nil if there is no process.
func (t *tree) meet(pid int) *process {
	if pid <= 0 {
		return nil
	}
	if p := t.known[pid]; p != nil {
		return p
	}
	var p *process
	if n := len(t.free); n > 0 {
		p, t.free = t.free[n-1], t.free[:n-1]
	} else {
		p = new(process)
	}
	*p = process{pid: pid, statFD: -1, ioFD: -1, pagesFD: -1, kids: -1, keep: t.kept < t.mayKeep}
	s, ok := t.stat(p)
	if !ok {
		p.closeFiles()
		t.free = append(t.free, p)
		return nil
	}
	p.start, p.threads, p.parent = s.start, s.threads, s.parent
	p.pages.forked = t.sharesStack(&s)
	t.live(p, &s)
	if p.keep {
		t.kept++
	}
	t.known[pid] = p
	t.order = append(t.order, p)
	t.ever++
	return p
}

// sharesStack reports whether a process that was just found has the same memory as its parent, because it was forked and has
// not executed a file since. Each execve puts the stack elsewhere. If the parent or a stack is not known, it may be so.
func (t *tree) sharesStack(s *processStat) bool {
	if len(t.order) == 0 { // the target itself
		return false
	}
	parent := t.known[s.parent]
	return parent == nil || s.stack == 0 || s.stack == parent.life.stack
}

// stat reads /proc/PID/stat. It is not ok if the process is gone. An open file stays with its process, even if another
// process gets the number later. If the first thread has ended, state and memory are those of a living thread.
func (t *tree) stat(p *process) (processStat, bool) {
	n, err := t.proc(p, &p.statFD, "stat")
	if err != 0 {
		return processStat{}, false
	}
	s, ok := parseProcessStat(t.buf[:n])
	p.thread = 0
	if ok && s.ended() && !s.dead() {
		name := append(t.name[:0], s.name...) // the buffer is used again
		t.name = name
		for _, tid := range t.threadsOf(p.pid) {
			of, found := t.statOf(p.pid, tid)
			if found && !of.ended() {
				s.state, s.resident, p.thread = of.state, of.resident, tid
				break
			}
		}
		s.name = name
	}
	return s, ok
}

// statOf reads the stat file of one thread.
func (t *tree) statOf(pid, tid int) (processStat, bool) {
	fd := t.openProc(pid, "task", tid, "stat")
	if fd < 0 {
		return processStat{}, false
	}
	n, err := quick.Pread(fd, t.buf, 0)
	closeFD(&fd)
	if err != 0 {
		return processStat{}, false
	}
	return parseProcessStat(t.buf[:n])
}

// alive reports whether a thread of the process lives, as far as the last look saw.
func (p *process) alive() bool { return p.state != 'Z' && p.state != 'X' }

// main returns the thread whose files show the memory of the process.
func (p *process) main() int {
	if p.thread != 0 {
		return p.thread
	}
	return p.pid
}

// read updates the counts of a process. It returns false if the process is gone.
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
		t.readIO(p, s.dead())
	}
	if s.dead() {
		t.keepEnded(p)
	}
	for i, n := range p.inherited {
		p.risen[i] = n - min(n, before[i])
	}
	return true
}

// readIO reads /proc/PID/io. The kernel refuses it to ordinary users once the process has the rights of another user or may
// not be dumped. Then it is not read again, and its bytes are unknown: those from before say little. Of a dead process the
// kernel refuses it too, but the bytes from before say most. If the process has just ended, the next look notices.
func (t *tree) readIO(p *process, dead bool) {
	n, err := t.proc(p, &p.ioFD, "io")
	if err == unix.EACCES || err == unix.EPERM {
		p.noIO = true
		if !dead {
			p.hasIO, p.life.tell = false, true
		}
		closeFD(&p.ioFD)
	}
	if err != 0 {
		return
	}
	io, ok := parseProcessIO(t.buf[:n])
	if !ok {
		return
	}
	p.hasIO = true
	if io.read != p.count[countRead] || io.written != p.count[countWritten] {
		p.life.tell = true
	}
	for i, n := range [...]uint64{io.read, io.written, io.readChars, io.writeChars, io.readCalls, io.writeCalls} {
		p.count[countRead+i], p.inherited[countRead+i] = n, n
	}
}

// lookAtSwitches reads the context switches of every thread, because the kernel has no sum for the process. It returns the
// sums over all processes ever seen. Switches of ended threads count up to the last look.
func (t *tree) lookAtSwitches() (voluntary, involuntary uint64) {
	voluntary, involuntary = t.switches[0], t.switches[1]
	t.searching = true // about once a second, too
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
	fd := t.openProc(p.pid, "task", tid, "status")
	if fd < 0 {
		return
	}
	n, err := quick.Pread(fd, t.buf, 0)
	closeFD(&fd)
	if err != 0 {
		return
	}
	if peak, ok := parsePeak(t.buf[:n]); ok && tid == p.main() {
		t.peaked(p, peak)
	}
	if voluntary, involuntary, ok := parseSwitches(t.buf[:n]); ok {
		sum[0] += voluntary
		sum[1] += involuntary
		t.switchesSeen = true
	}
}

// source says for people how a look finds the processes.
func (t *tree) source() string {
	if strings.TrimSpace(t.group) != "" {
		return "walk of the cgroup's processes"
	}
	return "walk of the process tree"
}

// closeFiles closes the files that are kept open.
func (p *process) closeFiles() {
	closeFD(&p.statFD)
	closeFD(&p.ioFD)
	closeFD(&p.pagesFD)
	closeFD(&p.kids)
}
