package backend

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/cgroup"
	"github.com/ergon-energy/ergon/internal/procfs"
	"github.com/ergon-energy/ergon/internal/quick"
	"github.com/ergon-energy/ergon/sensors"
)

const (
	// lookShare is the share of one processor that looks at processes may take, switchesShare the share of looks at context
	// switches: together 0.2 %.
	lookShare, switchesShare = 0.0015, 0.0005
	// switchesPause is the shortest time between two looks at context switches.
	switchesPause = time.Second
	// The files that a look reads, for people.
	statFile, ioFile, statusFile = "/proc/PID/stat", "/proc/PID/io", "/proc/PID/task/TID/status"
)

// targetSource reads the target. Looks at the processes are spaced out to keep to their share of a processor, however many
// processes there are. Values that need a look are NaN at the readings between two looks. The first reading after Follow
// looks. Every reading after the target has ended also looks, because it may be the last.
type targetSource struct {
	list   []sensors.Sensor
	cpu    *cgroup.CPUMeter
	memory *cgroup.MemoryMeter
	clock  *inherited // CPU time if there is no cgroup
	// packages is the CPU time on each of several packages; nil if it is unknown.
	packages *packageMeter
	tree     *tree
	network  ownNetwork

	began      time.Time
	pid, pidfd int
	// sparing is true in the runner, which looks at the processes only at its first reading and after the end. It could
	// not hand over the results of a look in between.
	sparing            bool
	following, ended   bool
	closed             bool
	looks, switches    budget
	held               budget  // readings of the memory that the group holds
	looked, looking    bool    // a look was taken at any reading, and at this one
	largest            float64 // the most memory certainly held at once so far, in bytes
	charged            float64 // the largest charge of the group so far, in bytes
	noStat             bool    // the group's memory.stat cannot be read
	groupHolds         float64 // see readHeld
	spec               unix.Timespec
	voluntary, yielded uint64
	look, lookSwitches func()
	heldByGroup        func() // readHeld
}

func openTarget(setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	s := newTargetSource(setup.Target)
	if s.cpu == nil {
		if clock := taskClock(); clock.probe() == nil {
			s.clock = clock
		}
	}
	s.settle(setup)
	s.sparing = setup.InRunner
	if s.tree.foreign == nil {
		return s, nil, nil
	}
	return s.withoutLooks(foreignProc(s.tree.foreign))
}

// foreignProc returns why the processes in /proc are not looked at.
func foreignProc(err error) error {
	if errors.Is(err, procfs.ErrForeign) {
		return &absenceError{sensors.OtherNamespace, err.Error()}
	}
	return err
}

// groupsOnly is a targetSource that has only what needs no look at processes: what the cgroups and perf count.
type groupsOnly struct {
	*targetSource
	list []sensors.Sensor
	from []int     // the place of each sensor among those of the targetSource
	all  []float64 // a row of the targetSource
}

// withoutLooks leaves out the sensors that need a look, with the reason.
func (s *targetSource) withoutLooks(why error) (sensors.Source, []sensors.Absence, error) {
	g := &groupsOnly{targetSource: s, all: make([]float64, len(s.list))}
	var absences []sensors.Absence
	for i, sensor := range s.list {
		inGroup := i >= targetReadings || sensor.Method != sensors.ByWalk ||
			s.memory != nil && slices.Contains([]int{targetMemory, targetMemoryPeak, targetCharge, targetChargePeak}, i)
		if inGroup {
			g.list, g.from = append(g.list, sensor), append(g.from, i)
		} else {
			absences = append(absences, absent(sensor, sensor.Source, why))
		}
	}
	if len(g.list) == 0 {
		return nil, nil, errors.Join(unreadable("/proc", why), s.Close())
	}
	return g, absences, nil
}

// Sensors implements sensors.Source.
func (g *groupsOnly) Sensors() []sensors.Sensor { return g.list }

// Read implements sensors.Source.
func (g *groupsOnly) Read(dst []float64) error {
	err := g.targetSource.Read(g.all)
	for i, at := range g.from {
		dst[i] = g.all[at]
	}
	return err
}

// newTargetSource opens the counters of the cgroups.
func newTargetSource(groups sensors.Target) *targetSource {
	s := &targetSource{
		pidfd: -1, began: time.Now(),
		looks: budget{share: lookShare}, switches: budget{share: switchesShare}, held: budget{share: groupShare},
	}
	if meter, err := cgroup.OpenCPU(groups.CPUGroup); err == nil {
		s.cpu = meter
	}
	if meter, err := cgroup.OpenMemory(groups.MemoryGroup); err == nil {
		s.memory = meter
	}
	return s
}

// settle fixes the list of sensors and how looks are taken, depending on what was found.
func (s *targetSource) settle(setup sensors.Setup) {
	group := setup.Target.CPUGroup
	if group == "" {
		group = setup.Target.MemoryGroup
	}
	s.tree = newTree(group, setup.Parent)
	s.tree.arguments = setup.Arguments
	s.list = s.sensors()
	if s.cpu != nil {
		if s.packages = openPackages(setup.Sys, setup.Target.CPUGroup); s.packages != nil {
			s.list = append(s.list, s.packages.list...)
		}
	}
	// The closures are made once, because a closure at each reading would allocate.
	s.look = s.tree.look
	s.heldByGroup = s.readHeld
	s.tree.readShared = s.tree.readShares
	s.lookSwitches = func() { s.voluntary, s.yielded = s.tree.lookAtSwitches() }
}

// sensors returns the list, with sources that depend on what was found.
func (s *targetSource) sensors() []sensors.Sensor {
	walk := s.tree.source()
	list := targetSensors(walk + ", " + statFile)
	for i := targetRead; i <= targetWriteCalls; i++ {
		list[i].Source = walk + ", " + ioFile
	}
	for _, i := range []int{targetVoluntary, targetInvoluntary} {
		list[i].Source = walk + ", " + statusFile
	}
	exact := func(i int, by sensors.Method, source, doc string) {
		list[i].Method, list[i].Source, list[i].Doc, list[i].Provenance = by, source, doc, sensors.FromCounter
	}
	switch {
	case s.cpu != nil:
		exact(targetCPU, sensors.ByCgroup, s.cpu.Source(), "CPU time of all that ever ran in the target's cgroup")
		exact(targetUser, sensors.ByCgroup, s.cpu.Source(), "CPU time in user mode of all that ever ran in the target's cgroup")
		exact(targetSystem, sensors.ByCgroup, s.cpu.Source(), "CPU time in the kernel of all that ever ran in the target's cgroup")
	case s.clock != nil:
		exact(targetCPU, sensors.ByPerf, "perf task-clock (inherit)",
			"CPU time of the target and all its descendants, but for the exit of each: 0.1 ms and more a process")
	default:
		list[targetCPU].Source = walk + ", CPU clock of each process"
	}
	s.describeMemory(list, walk)
	return list
}

func (s *targetSource) Sensors() []sensors.Sensor { return s.list }

// Follow starts to follow a process. It is not an error if the process is gone: the counters of its cgroup are still read, and
// values that need a look are NaN.
func (s *targetSource) Follow(pid int) error {
	if s.closed {
		return fmt.Errorf("follow process %d: %w", pid, os.ErrClosed)
	}
	s.following, s.pid = true, pid
	// There is no pidfd before Linux 5.3 or if the process is gone. Then a reading looks when a look is due.
	if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		s.pidfd = fd
	} else if errors.Is(err, unix.ESRCH) {
		s.ended = true
	}
	s.tree.follow(pid)
	s.network.follow(pid)
	if s.clock != nil && !s.ended {
		threads := []int{pid}
		if s.tree.procs != nil {
			threads = s.tree.threadsOf(pid)
		}
		if err := s.clock.follow(threads); err != nil {
			return fmt.Errorf("follow process %d: %w", pid, err)
		}
	}
	return nil
}

// Read implements sensors.Source.
func (s *targetSource) Read(dst []float64) error {
	missing(dst)
	if s.closed {
		return fmt.Errorf("read target: %w", os.ErrClosed)
	}
	if !s.following {
		return nil
	}
	s.ended = s.ended || s.hasEnded()
	s.readGroups(dst)
	if s.clock != nil {
		dst[targetCPU] = s.clock.read() / 1e9
	}
	now := time.Since(s.began)
	s.looking = false
	maySpare := s.sparing && s.looked && !s.ended
	if s.tree.procs != nil && (!s.looked || s.ended || !maySpare && s.looks.due(now)) {
		s.looked, s.looking = true, true
		s.looks.charge(now, timed(&s.spec, s.look))
		s.readLook(dst)
	}
	s.readMemory(dst, now)
	if s.tree.foreign == nil && !s.sparing { // the runner could not hand over where it began
		s.network.read(&dst[targetReceived], &dst[targetSent])
	}
	if s.tree.procs != nil && (s.ended || !maySpare && s.switches.due(now)) {
		s.switches.charge(now, timed(&s.spec, s.lookSwitches))
		s.switches.next = max(s.switches.next, now+switchesPause-switchesPause/20)
		if s.tree.switchesSeen {
			dst[targetVoluntary], dst[targetInvoluntary] = float64(s.voluntary), float64(s.yielded)
		}
	}
	return nil
}

// readGroups reads the counters of the cgroups, NaN after the groups are removed.
func (s *targetSource) readGroups(dst []float64) {
	if s.cpu != nil {
		if t, err := s.cpu.Read(); err == nil {
			dst[targetCPU], dst[targetUser], dst[targetSystem] = t.Total.Seconds(), t.User.Seconds(), t.System.Seconds()
		}
	}
	if s.packages != nil {
		s.packages.read(dst[targetReadings:])
	}
}

// readLook sets the results of the last look, if a process was ever seen.
func (s *targetSource) readLook(dst []float64) {
	t := s.tree
	if t.ever == 0 {
		return
	}
	if s.cpu == nil {
		if s.clock == nil {
			dst[targetCPU] = float64(t.total[countCPU]) / 1e9
		}
		dst[targetUser] = float64(t.total[countUser]) / float64(time.Second/clockTick)
		dst[targetSystem] = float64(t.total[countSystem]) / float64(time.Second/clockTick)
	}
	if t.ioSeen {
		for i := countRead; i <= countWriteCalls; i++ {
			dst[targetRead+i-countRead] = float64(t.total[i])
		}
	}
	if t.alive > 0 { // there is no reading after the last process has ended
		dst[targetProcesses] = float64(t.alive)
		dst[targetThreads] = float64(t.threads)
	}
	dst[targetProcessesEver] = float64(t.ever)
	if t.dirFD >= 0 {
		dst[targetOutside] = float64(t.outside)
	}
	dst[targetMinorFaults] = float64(t.total[countMinor])
	dst[targetMajorFaults] = float64(t.total[countMajor])
	dst[targetStopped] = t.stoppedTime.Seconds()
}

// hasEnded reports whether the target has ended. Its children may live on. From then on its pidfd is readable.
func (s *targetSource) hasEnded() bool {
	if s.pidfd < 0 {
		return false
	}
	return quick.Readable(s.pidfd)
}

// Close implements sensors.Source.
func (s *targetSource) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.tree.close()
	closeFD(&s.pidfd)
	if s.clock != nil {
		s.clock.close()
	}
	errs := []error{s.network.close()}
	if s.cpu != nil {
		errs = append(errs, s.cpu.Close())
	}
	if s.packages != nil {
		errs = append(errs, s.packages.meter.Close())
	}
	if s.memory != nil {
		errs = append(errs, s.memory.Close())
	}
	return errors.Join(errs...)
}
