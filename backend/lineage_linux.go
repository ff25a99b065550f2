package backend

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// lineage tells whether a process belongs to the target: it is in the target's cgroup, or descends from the target, or
// is an orphan of its that came to the runner. It is for the few processes that a driver names; what the whole tree does
// is the target family's (see tree).
type lineage struct {
	target, runner int
	// groups are the lines of /proc/PID/cgroup that the target has and this process has not: cgroups that the runner
	// made for it.
	groups []string
	// others are children of the runner that are not the target's: the sampler, and what was there before.
	others []int
	// known is what was found out, by process id, of the processes asked for.
	known map[int]kin
}

// kin is a process at its start, in ticks since boot, and whether it is the target's.
type kin struct {
	start  uint64
	member bool
}

// mostKin is how many processes are remembered; beyond, what was found out is forgotten and found out again.
const mostKin = 4096

func newLineage(target, runner int) *lineage {
	l := &lineage{target: target, runner: runner, known: map[int]kin{}}
	own := groupsOf(os.Getpid())
	l.groups = slices.DeleteFunc(groupsOf(target), func(line string) bool { return slices.Contains(own, line) })
	path := "/proc/" + strconv.Itoa(runner) + "/task/" + strconv.Itoa(runner) + "/children"
	if b, err := os.ReadFile(path); err == nil {
		l.others = slices.DeleteFunc(appendNumbers(nil, b), func(pid int) bool { return pid == target })
	}
	l.others = append(l.others, os.Getpid())
	return l
}

// has tells whether the process is the target's. One that has ended is told from when it was last asked for; known is
// false where it never was.
func (l *lineage) has(pid int) (member, known bool) {
	k, asked := l.known[pid]
	s, alive := processStatOf(pid)
	switch {
	case !alive:
		return k.member, asked
	case asked && k.start == s.start:
		return k.member, true
	}
	if len(l.known) >= mostKin {
		clear(l.known)
	}
	k = kin{start: s.start, member: l.inGroup(pid) || l.descends(pid, s.parent)}
	l.known[pid] = k
	return k.member, true
}

// descends goes up from a process to the target or to the runner. What comes to the runner by one of its other children
// is not the target's.
func (l *lineage) descends(pid, parent int) bool {
	for range 1000 { // a tree is not that deep, and what changes meanwhile must not make a circle
		switch {
		case pid == l.target:
			return true
		case slices.Contains(l.others, pid) || pid == l.runner || pid <= 1:
			return false
		case parent == l.runner && l.runner > 0:
			return true
		}
		s, ok := processStatOf(parent)
		if !ok {
			return false
		}
		pid, parent = parent, s.parent
	}
	return false
}

// inGroup tells whether a process is in one of the target's cgroups, or in one below it.
func (l *lineage) inGroup(pid int) bool {
	return len(l.groups) > 0 && slices.ContainsFunc(groupsOf(pid), l.within)
}

// within tells whether a line of /proc/PID/cgroup names one of the target's groups or one below it.
func (l *lineage) within(line string) bool {
	return slices.ContainsFunc(l.groups, func(own string) bool { return line == own || strings.HasPrefix(line, own+"/") })
}

// groupsOf is the lines of /proc/PID/cgroup (cgroups(7)), one a hierarchy; none where there is no such process:
//
//	4:cpu,cpuacct:/user.slice/ergon-1
//	0::/user.slice
func groupsOf(pid int) []string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(strings.Split(string(b), "\n"), func(line string) bool { return line == "" })
}

// processStatOf reads /proc/PID/stat; not ok where there is no such process.
func processStatOf(pid int) (processStat, bool) {
	if pid <= 0 {
		return processStat{}, false
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return processStat{}, false
	}
	return parseProcessStat(b)
}
