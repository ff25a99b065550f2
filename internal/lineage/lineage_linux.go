package lineage

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Lineage tells whether a process belongs to the target: it is in the target's cgroup, descends from the target, or is
// an orphan of the target that the target's parent has adopted. It is for the few processes that a driver names. The target family
// follows all processes (see tree).
type Lineage struct {
	target, parent int
	// groups are the lines of the target's /proc/PID/cgroup that this process does not have: the cgroups that the runner
	// made for the target.
	groups []string
	// others are children of the target's parent that do not belong to the target: the runner or the sampler, and earlier children.
	others []int
	// known has the answer for each process that was asked for, by process id.
	known map[int]kin
}

// kin tells whether a process belongs to the target. Its start, in ticks since boot, identifies the process.
type kin struct {
	start  uint64
	member bool
}

// mostKin is the most answers that are kept. Then all are dropped and found again.
const mostKin = 4096

// New returns the lineage of the target. The children of its parent at this moment, except the target, are others.
func New(target, parent int) *Lineage {
	others := []int{os.Getpid()}
	path := "/proc/" + strconv.Itoa(parent) + "/task/" + strconv.Itoa(parent) + "/children"
	if b, err := os.ReadFile(path); err == nil {
		for word := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(word); err == nil && pid != target {
				others = append(others, pid)
			}
		}
	}
	return Of(target, parent, others...)
}

// Of is New if some children of the target may be the children of its parent by now. others are the processes that do not
// belong to the target.
func Of(target, parent int, others ...int) *Lineage {
	l := &Lineage{target: target, parent: parent, others: others, known: map[int]kin{}}
	own := groupsOf(os.Getpid())
	l.groups = slices.DeleteFunc(groupsOf(target), func(line string) bool { return slices.Contains(own, line) })
	return l
}

// Has tells whether the process belongs to the target. For a process that has ended, it returns the last answer; if it
// was never asked for, known is false.
func (l *Lineage) Has(pid int) (member, known bool) {
	k, asked := l.known[pid]
	s, alive := statOf(pid)
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

// descends goes up from a process to the target or to its parent. A process that reaches the parent through one of its
// other children does not belong to the target.
func (l *Lineage) descends(pid, parent int) bool {
	for range 1000 { // no tree is that deep, and a tree that changes during the loop could make a circle
		switch {
		case pid == l.target:
			return true
		case slices.Contains(l.others, pid) || pid == l.parent || pid <= 1:
			return false
		case parent == l.parent && l.parent > 0:
			return true
		}
		s, ok := statOf(parent)
		if !ok {
			return false
		}
		pid, parent = parent, s.parent
	}
	return false
}

// inGroup tells whether a process is in one of the target's cgroups, or in a group below.
func (l *Lineage) inGroup(pid int) bool {
	return len(l.groups) > 0 && slices.ContainsFunc(groupsOf(pid), l.within)
}

// within tells whether a line of /proc/PID/cgroup names one of the target's groups, or a group below.
func (l *Lineage) within(line string) bool {
	return slices.ContainsFunc(l.groups, func(own string) bool { return line == own || strings.HasPrefix(line, own+"/") })
}

// groupsOf returns the lines of /proc/PID/cgroup, one for each hierarchy (cgroups(7)). It returns none if there is no such
// process:
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

// stat has two fields of /proc/PID/stat (proc_pid_stat(5)).
type stat struct {
	parent int
	start  uint64 // in ticks since boot
}

// statOf reads /proc/PID/stat. It is not ok if there is no such process. The name in parentheses may contain anything. It ends
// at the last parenthesis, because only the state and numbers follow.
func statOf(pid int) (s stat, ok bool) {
	if pid <= 0 {
		return s, false
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return s, false
	}
	const parent, start = 1, 19 // of the fields behind the name
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) <= start {
		return s, false
	}
	s.parent, err = strconv.Atoi(fields[parent])
	if err == nil {
		s.start, err = strconv.ParseUint(fields[start], 10, 64)
	}
	return s, err == nil
}
