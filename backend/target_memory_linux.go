package backend

import (
	"time"

	"github.com/ergon-energy/ergon/internal/quick"
	"github.com/ergon-energy/ergon/sensors"
)

const (
	// sharesShare is the share of one processor that reading the shares of pages may take, and groupShare the share that
	// reading the group's memory.stat may take.
	sharesShare, groupShare = 0.0002, 0.0002
	// leastDoubt is the part of the memory that must be in doubt before the shares of pages are read.
	leastDoubt = 0.05
	sharesFile = "/proc/PID/smaps_rollup"
	pagesFile  = "/proc/PID/statm"
)

// describeMemory fixes the sources of the memory sensors.
func (s *targetSource) describeMemory(list []sensors.Sensor, walk string) {
	pages := walk + ", " + statFile + ", " + pagesFile
	for _, i := range []int{targetMemory, targetMemoryPeak} {
		list[i].Source = pages + ", " + sharesFile
		if s.memory != nil {
			list[i].Source = s.memory.Source() + ".stat, " + pages
		}
	}
	list[targetMapped].Source = pages
	if s.memory == nil {
		return
	}
	list[targetCharge].Source = s.memory.Source()
	list[targetChargePeak].Source = s.memory.Source() + ", largest reading"
	if s.memory.HasPeak() {
		list[targetChargePeak].Source, list[targetChargePeak].Method = s.memory.Source()+" peak", sensors.ByCgroup
		list[targetChargePeak].Provenance = sensors.FromCounter
		list[targetChargePeak].Doc = "largest charge of the target's cgroup at any time, kept by the kernel"
	}
}

// readMemory sets the memory readings.
func (s *targetSource) readMemory(dst []float64, now time.Duration) {
	s.readCharge(dst)
	t := s.tree
	page := float64(t.page)
	single := s.looking && t.alive <= 1
	switch {
	case s.looking && t.memory.largest == nil:
		// No process lives, or the kernel shows the memory of none.
	case s.memory != nil && t.outside == 0 && !single && !s.noStat:
		if s.held.due(now) {
			s.held.charge(now, timed(&s.spec, s.heldByGroup))
			if s.groupHolds > 0 {
				dst[targetMemory] = s.groupHolds
				s.largest = max(s.largest, s.groupHolds)
			}
		}
	case s.looking:
		pages, certain := t.holds(now)
		dst[targetMemory] = float64(pages) * page
		s.largest = max(s.largest, float64(certain)*page)
	}
	s.largest = max(s.largest, float64(t.memory.one))
	if s.largest > 0 {
		dst[targetMemoryPeak] = s.largest
	}
	if t.memory.mapped > 0 {
		dst[targetMapped] = float64(t.memory.mapped) * page
	}
}

// readCharge reads what the group is charged with.
func (s *targetSource) readCharge(dst []float64) {
	if s.memory == nil {
		return
	}
	if n, err := s.memory.Current(); err == nil {
		dst[targetCharge] = float64(n)
		s.charged = max(s.charged, float64(n))
	}
	if s.memory.HasPeak() {
		if n, err := s.memory.Peak(); err == nil {
			s.charged = max(s.charged, float64(n))
		}
	}
	if s.charged > 0 {
		dst[targetChargePeak] = s.charged
	}
}

// readHeld sets groupHolds to the memory in bytes that the group's processes hold, or to 0 if it is unknown. The group's counts
// lag behind, so they count only up to the largest charge, which does not.
func (s *targetSource) readHeld() {
	s.groupHolds = 0
	h, err := s.memory.Held()
	if err != nil {
		s.noStat = true
		return
	}
	t := s.tree
	t.memory.mapped = 0
	if p := t.memory.largest; p != nil {
		p.resident = 0 // if it is gone
		t.readPages(p)
		t.memory.mapped = p.pages.shared
		s.groupHolds = float64(p.pages.resident * t.page)
	}
	anonymous := min(float64(h.Anonymous), s.charged)
	s.groupHolds = max(s.groupHolds, anonymous+float64(t.memory.mapped*t.page), min(float64(h.Anonymous+h.Mapped), s.charged))
}

// holdings finds how much memory the target holds: anonymous pages, and pages of files and shared memory that it has mapped. Each
// page counts once, however many processes map it. Pages of files that no process has mapped do not count.
//
// One process holds what is resident. Several may share pages in two ways:
//
//   - A fork shares all anonymous pages until one of the two processes writes to a page or executes a file. What a forked
//     process had at the first look at it therefore counts only for its parent. What comes later is its own.
//   - Pages of files and of shared memory. As much counts as the process has that maps the most.
//
// Both make the sum a lower bound. If much of it is in doubt, the kernel is asked for the shares of the pages (smaps_rollup),
// which divide each page by the processes that map it. That takes about 13 ms per GiB, so it has a budget of its own.
//
// With a memory cgroup, its anonymous pages are counted by the kernel instead. The pages of files are the greater of what the
// cgroup has mapped and what the largest process has mapped, because a page belongs to the cgroup that first read it.
type holdings struct {
	all     uint64   // the sum of the resident pages of the living processes
	most    uint64   // the resident pages of the largest process
	largest *process // nil if the memory of none is shown
	one     uint64   // the largest resident memory of any process so far, in bytes

	shares   budget
	measured uint64 // all, at the last reading of the shares
	highest  uint64 // the largest measured
	// found are the pages that are certainly different ones, at the last look. doubt are those that may be. mapped are the
	// most pages of files and shared memory that one process has mapped.
	found, doubt, mapped uint64
	// part is the part of the doubt that the last reading of the shares found to be held.
	part float64
}

// ownPages is what is known about the pages of one process.
type ownPages struct {
	forked bool // its anonymous pages were its parent's
	based  bool
	base   uint64 // anonymous pages that its parent has as well
	// resident, anonymous and shared are the pages at the last look.
	resident, anonymous, shared uint64
}

// begin starts a look.
func (m *holdings) begin() { m.all, m.most, m.largest = 0, 0, nil }

// meet adds a living process to the look.
func (m *holdings) meet(p *process) {
	if p.resident == 0 {
		return // it is ending, or the kernel hides it
	}
	m.all += p.resident
	if p.resident > m.most {
		m.most, m.largest = p.resident, p
	}
}

// forget drops a process that is gone.
func (m *holdings) forget(p *process) {
	if m.largest == p {
		m.largest = nil
	}
}

// readPages reads /proc/PID/statm. Without it, all pages count as shared.
func (t *tree) readPages(p *process) {
	p.pages.resident, p.pages.anonymous, p.pages.shared = p.resident, 0, p.resident
	var n int
	if p.thread == 0 {
		m, err := t.proc(p, &p.pagesFD, "statm")
		if err != 0 {
			return
		}
		n = m
	} else if n = t.readThread(p, "statm"); n == 0 {
		return
	}
	if resident, shared, ok := parsePages(t.buf[:n]); ok && resident > 0 {
		p.pages.resident, p.pages.anonymous, p.pages.shared = resident, resident-shared, shared
	}
}

// readThread reads a file of the living thread of a process whose first thread has ended. It returns the length, or 0.
func (t *tree) readThread(p *process, name string) int {
	fd := t.openProc(p.pid, "task", p.thread, name)
	if fd < 0 {
		return 0
	}
	n, err := quick.Pread(fd, t.buf, 0)
	closeFD(&fd)
	if err != 0 {
		return 0
	}
	return n
}

// holds returns the pages that the living processes hold together, and the least of them that is certain.
func (t *tree) holds(now time.Duration) (pages, certain uint64) {
	m := &t.memory
	if t.alive <= 1 {
		return m.most, m.most
	}
	m.sum(t)
	certain = max(m.found, m.most)
	if float64(m.doubt) > leastDoubt*float64(certain) && m.changed() && (m.shares.due(now) || m.grown()) {
		m.shares.charge(now, timed(&t.spent, t.readShared))
		certain = max(certain, m.found)
	}
	return max(certain, min(m.found+uint64(m.part*float64(m.doubt)), m.all)), certain
}

// sum finds the pages that certainly are different ones, and those that may be.
func (m *holdings) sum(t *tree) {
	var own, base, shared, most uint64
	for _, p := range t.order {
		if !p.alive() || p.resident == 0 {
			continue
		}
		t.readPages(p)
		o := &p.pages
		if o.forked && !o.based {
			o.base, o.based = o.anonymous, true
		}
		o.base = min(o.base, o.anonymous)
		own, base = own+o.anonymous-o.base, base+o.base
		shared, most = shared+o.shared, max(most, o.shared)
	}
	m.found, m.doubt, m.mapped = own+most, base+shared-most, most
}

// changed reports whether the resident memory has changed by more than 2 % since the shares were read.
func (m *holdings) changed() bool {
	return m.all > m.measured+m.measured/50 || m.all < m.measured-m.measured/50
}

// grown reports whether the resident memory is well above all that was measured: then the peak is worth a reading before its
// time. The memory grows by a quarter in between, so all these readings together take less than five times the last one.
func (m *holdings) grown() bool { return m.all > m.highest+m.highest/4 }

// readShares asks the kernel for the shares of the pages of each process, and corrects the sum. If it refuses, as for a
// process of another user, the sum stays.
func (t *tree) readShares() {
	m := &t.memory
	m.measured, m.highest, m.part = m.all, max(m.highest, m.all), 0
	var anonymous, rest uint64 // in bytes
	for _, p := range t.order {
		if !p.alive() || p.resident == 0 {
			continue
		}
		all, part, ok := t.sharesOf(p)
		if !ok {
			all, part = (p.pages.anonymous-p.pages.base)*t.page, (p.pages.anonymous-p.pages.base)*t.page
		}
		anonymous, rest = anonymous+part, rest+all-part
	}
	found := anonymous/t.page + max(rest/t.page, m.mapped)
	if found > m.found && m.doubt > 0 {
		m.part = min(float64(found-m.found)/float64(m.doubt), 1)
		m.found, m.doubt = found, 0
	}
}

// sharesOf reads smaps_rollup of a process.
func (t *tree) sharesOf(p *process) (all, anonymous uint64, ok bool) {
	var n int
	if p.thread != 0 {
		n = t.readThread(p, "smaps_rollup")
	} else {
		fd := t.openProc(p.pid, "smaps_rollup", 0, "")
		if fd < 0 {
			return 0, 0, false
		}
		if m, err := quick.Pread(fd, t.buf, 0); err == 0 {
			n = m
		}
		closeFD(&fd)
	}
	return parseShares(t.buf[:n])
}
