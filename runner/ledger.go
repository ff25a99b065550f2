package runner

import (
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/cgroup"
	"github.com/ergon-energy/ergon/internal/launch"
)

// entries makes the ledger of a target that was reaped. before is the CPU time that its process had used before it executed
// the command.
func entries(wall, before time.Duration, s launch.State, g *cgroup.Group) datamodel.Ledger {
	l := datamodel.Ledger{WallTime: seconds(wall)}
	if s.Rusage {
		l.UserTime, l.SystemTime = sinceStart(s.User, s.System, before)
	}
	if s.MaxRSS > 0 {
		l.MaxRSS = count(s.MaxRSS)
		l.MinorFaults, l.MajorFaults = count(s.MinorFaults), count(s.MajorFaults)
		l.VoluntarySwitches, l.InvoluntarySwitches = count(s.VoluntarySwitches), count(s.InvoluntarySwitches)
	}
	if io := s.IO; io != nil {
		l.IOSource = "/proc/PID/io of the ended target, with the children it waited for"
		if io.StorageOnly {
			l.IOSource = "ergon's own /proc/PID/io before and after wait4, to which the kernel adds the target's with the children it waited for"
		} else {
			l.ReadChars, l.WriteChars = count(io.ReadChars), count(io.WriteChars)
			l.ReadCalls, l.WriteCalls = count(io.ReadCalls), count(io.WriteCalls)
		}
		l.ReadBytes, l.WriteBytes, l.CancelledBytes = count(io.Read), count(io.Written), count(io.Cancelled)
	}
	if own := s.Own; own != nil {
		l.TargetPID, l.TargetName, l.TargetTime = int64(own.PID), own.Name, seconds(max(0, own.CPU-before))
		l.Childless = own.Childless
	}
	if meter, err := cgroup.OpenCPU(g.CPU); err == nil {
		if used, err := meter.Read(); err == nil {
			l.GroupTime, l.GroupTimeSource = seconds(used.Total), meter.Source()
			l.GroupUserTime, l.GroupSystemTime = seconds(used.User), seconds(used.System)
		}
		_ = meter.Close() // only read from
	}
	if meter, err := cgroup.OpenMemory(g.Memory); err == nil {
		if peak, err := meter.Peak(); err == nil {
			l.GroupMemoryPeak, l.GroupMemorySource = count(peak), meter.Source()
		}
		_ = meter.Close()
	}
	return l
}

// sinceStart subtracts the CPU time before the execve from the times of wait4. These are some 0.1 ms in which the launcher
// forked and prepared the process. Their split into user and system mode is unknown, so both shrink in proportion.
func sinceStart(user, system, before time.Duration) (*float64, *float64) {
	all := user + system
	if all <= 0 {
		return seconds(user), seconds(system)
	}
	part := max(0, 1-before.Seconds()/all.Seconds())
	u, s := user.Seconds()*part, system.Seconds()*part
	return &u, &s
}

// move is what a target used before it was moved into its cgroup. The kernel may take 10 ms and more for the move, and the
// target runs meanwhile. least and most bound its CPU time outside the cgroup.
type move struct {
	moved       bool
	least, most time.Duration
}

// watch compares the target's clock with its cgroup's just after the move. The clock runs on while they are read.
func (m *move) watch(pid int, g *cgroup.Group) {
	m.moved = true
	first, ok := launch.CPUTime(pid)
	counted, err := g.CPUTime()
	if err != nil || !ok {
		return
	}
	last, ok := launch.CPUTime(pid)
	if !ok {
		last = first
	}
	m.least, m.most = max(0, first-counted.Total), max(0, last-counted.Total)
}

// enter adds to the ledger what the cgroup did not count.
func (m *move) enter(l *datamodel.Ledger) {
	if !m.moved {
		return
	}
	l.GroupLacks = seconds(m.most - m.least)
	if l.GroupTime != nil {
		*l.GroupTime += m.least.Seconds()
	}
}

// quota is the limit of CPU time that applies to the target.
type quota struct {
	of     *cgroup.Quota // nil without a quota
	before cgroup.Throttled
}

// watch reads the quota's counters before the target starts.
func (q *quota) watch(g *cgroup.Group) {
	of, err := g.Quota()
	if err != nil {
		return
	}
	if q.before, err = of.Throttled(); err == nil {
		q.of = &of
	}
}

// enter puts into the ledger how often and how long the target was throttled since watch.
func (q *quota) enter(l *datamodel.Ledger) {
	if q.of == nil {
		return
	}
	now, err := q.of.Throttled()
	if err != nil {
		return
	}
	d := now.Since(q.before)
	l.QuotaPeriods, l.QuotaStops, l.QuotaTime = count(d.Periods), count(d.Count), seconds(d.Time)
	l.Quota, l.QuotaSource = &q.of.PerSecond, q.of.File
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

func count[N int | int64 | uint64](n N) *float64 {
	f := float64(n)
	return &f
}

// ownTime returns the CPU time of this process and of the launcher, in s, or nil if it is unknown.
func (o *round) ownTime() *float64 {
	t := ownTime()
	if launcher, ok := launch.CPUTime(o.Launcher.PID()); t != nil && ok && o.Launcher.PID() != 0 {
		*t += launcher.Seconds()
	}
	return t
}
