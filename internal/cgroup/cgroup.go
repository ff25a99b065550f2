// Package cgroup gives the target control groups of its own and reads what they count: the CPU time of everything that
// ever ran in them, to the end and whoever waited for it, and the peak of their memory. A walk over processes can know
// neither, as processes come and go between two looks.
//
// It works below the groups this process is in, in the unified hierarchy (v2) and in the older ones (v1), and changes
// nothing in those it finds: no controller is switched on, no other process moved. Where a group can not be made, by an
// ordinary user outside a delegated subtree or in a container with a read-only tree, it says why.
//
// Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/cpuacct.rst and cgroup-v1/memory.rst of the kernel,
// cgroups(7), cgroup_namespaces(7), proc_pid_mountinfo(5).
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// prefix begins the name of every group that is made here.
const prefix = "ergon-"

// attempts bounds how often a group is emptied anew, after pauses that double: what lives in it may fork while it is
// moved, and a process that is just ending can not be moved any more but holds the group to its last thread's end.
// All pauses together are 51 ms.
const (
	attempts   = 10
	firstPause = 100 * time.Microsecond
)

// Group is the target's own: one child folder in each hierarchy that is of use. Its methods do not overlap.
type Group struct {
	// CPU is the folder that counts CPU time, by cpu.stat (v2) or cpuacct.usage (v1). Empty where there is none, and
	// then CPUReason says why. Add may change it.
	CPU       string
	CPUReason string
	// Memory is the folder that has memory.current (v2) or memory.usage_in_bytes (v1), in the same way.
	Memory       string
	MemoryReason string

	name    string
	parents []*parent
	// in and mounts are what Make has read of the groups this process is in.
	in     []membership
	mounts []mount
}

// parent is a group this process is in, and the child that was made of it.
type parent struct {
	hierarchy
	child   string
	refused string
}

// Make makes groups named ergon-ID below those this process is in. It does what it can: what could not be made is
// empty in the Group, with the reason. The error is only for an id that is no name of a folder.
func Make(id string) (*Group, error) {
	if id == "" || strings.ContainsAny(id, "/\n\x00") {
		return &Group{}, fmt.Errorf("cgroup id %q: not the name of a folder", id)
	}
	in, mounts, err := tables("/proc")
	g := below(prefix+id, match(in, mounts))
	g.in, g.mounts = in, mounts
	if err != nil {
		g.CPUReason, g.MemoryReason = text(err), text(err)
	}
	return g, nil
}

// below makes the groups in the hierarchies given.
func below(name string, here []hierarchy) *Group {
	g := &Group{name: name}
	for _, h := range here {
		g.parents = append(g.parents, &parent{hierarchy: h})
	}
	g.choose()
	return g
}

// choose settles which folder counts what, the unified hierarchy first: cpu.stat is in each of its groups, whichever
// controllers are on (v1's cpuacct counts the same), and one group then does for both where memory is on.
func (g *Group) choose() {
	g.CPU, g.CPUReason = g.first("cpuacct.usage", "cpu.stat")
	g.Memory, g.MemoryReason = g.first("memory.usage_in_bytes", "memory.current")
	for _, p := range g.parents {
		if p.child != "" && p.child != g.CPU && p.child != g.Memory {
			p.refuse("")
		}
	}
}

// first finds, and makes where it is not made yet, the first group with the file that its hierarchy should have.
func (g *Group) first(v1, v2 string) (dir, reason string) {
	var reasons []string
	for _, p := range g.parents {
		file := v2
		if p.version == 1 {
			file = v1
			if !strings.HasPrefix(file, p.controller+".") {
				continue
			}
		}
		if err := p.make(g.name); err != nil {
			reasons = append(reasons, fmt.Sprintf("cgroup v%d: %s", p.version, text(err)))
			continue
		}
		if _, err := os.Stat(filepath.Join(p.child, file)); err != nil {
			reasons = append(reasons, fmt.Sprintf("cgroup v%d: no %s, the controller is not on in %s", p.version, file, p.dir))
			continue
		}
		return p.child, ""
	}
	if len(reasons) == 0 {
		return "", fmt.Sprintf("no cgroup hierarchy with %s or %s", v2, v1)
	}
	return "", strings.Join(reasons, "; ")
}

// make makes the child unless it is there already or was refused.
func (p *parent) make(name string) error {
	if p.refused != "" {
		return errors.New(p.refused)
	}
	if p.child != "" {
		return nil
	}
	child := filepath.Join(p.dir, name)
	if err := os.Mkdir(child, 0o755); err != nil {
		p.refused = text(err)
		return err
	}
	p.child = child
	return nil
}

// refuse gives a child up. An empty reason leaves it open to be made again.
func (p *parent) refuse(why string) {
	_ = os.Remove(p.child) // it is empty; should it not be, Leave had nothing to say of it either.
	p.child, p.refused = "", why
}

// Folder is one of the groups.
type Folder struct {
	Dir     string
	Version int // of its hierarchy: 1 or 2
}

// Folders lists the groups there are: none, one, or one in each of several hierarchies.
func (g *Group) Folders() (list []Folder) {
	for _, p := range g.parents {
		if p.child != "" {
			list = append(list, Folder{p.child, p.version})
		}
	}
	return list
}

// Refuse gives up a group that does not take a process, and makes the next best in its place. CPU, Memory and Folders are
// settled when every folder has taken the process.
func (g *Group) Refuse(dir string, why error) {
	for _, p := range g.parents {
		if p.child == dir && dir != "" {
			p.refuse(text(why))
		}
	}
	g.choose()
}

// Add moves a process with all its threads into the groups. Children it already has stay where they are. A group that
// does not take it is refused. The error says that the process is not in any group, or that it is gone.
//
// To move a process from outside, the kernel waits until it is sure that nobody forks meanwhile: 10 ms and more if that
// was not done lately. A process that is created in the group, or moves its only thread itself, does not wait.
func (g *Group) Add(pid int) error {
	for again := true; again; {
		again = false
		for _, f := range g.Folders() {
			err := Join(f.Dir, pid)
			if errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("add process %d: %s: %w", pid, f.Dir, err)
			}
			if err != nil {
				g.Refuse(f.Dir, err)
				again = true
				break
			}
		}
	}
	if g.CPU == "" && g.Memory == "" {
		return fmt.Errorf("add process %d: %s", pid, g.CPUReason)
	}
	return nil
}

// Pids lists the living processes in the groups and in those below them.
func (g *Group) Pids() ([]int, error) {
	seen := map[int]bool{}
	var pids []int
	var errs []error
	for _, p := range g.parents {
		if p.child == "" {
			continue
		}
		dirs, err := subtree(p.child)
		errs = append(errs, err)
		for _, dir := range dirs {
			members, err := members(dir)
			errs = append(errs, err)
			for _, pid := range members {
				if !seen[pid] {
					seen[pid] = true
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids, errors.Join(errs...)
}

// CPUTime is what all that ever ran in the group has used. The error wraps fs.ErrNotExist where there is no group.
func (g *Group) CPUTime() (CPUTime, error) {
	meter, err := OpenCPU(g.CPU)
	if err != nil {
		return CPUTime{}, err
	}
	used, err := meter.Read()
	return used, errors.Join(err, meter.Close())
}

// PeakMemory is the largest amount of memory, in bytes, that the group held at once: anonymous memory, page cache and
// the kernel's own. The error wraps fs.ErrNotExist where there is no group or the kernel (v2 before 5.19) keeps none.
func (g *Group) PeakMemory() (uint64, error) {
	meter, err := OpenMemory(g.Memory)
	if err != nil {
		return 0, err
	}
	peak, err := meter.Peak()
	return peak, errors.Join(err, meter.Close())
}

// Leave puts the processes that are still there back into the groups they would be in without us, and removes the
// groups, also those that a nested ergon has left below them. It returns how many processes were still alive. A group
// below that somebody else made and still uses is left as it is, and with it ours, which the error says.
// A second call does nothing.
func (g *Group) Leave() (survivors int, err error) {
	var errs []error
	for _, p := range g.parents {
		if p.child == "" {
			continue
		}
		n, err := dissolve(p.child, p.dir)
		survivors = max(survivors, n)
		errs = append(errs, err)
		p.child = ""
	}
	g.CPU, g.Memory = "", ""
	return survivors, errors.Join(errs...)
}

// Sweep removes groups that runs which were killed have left below the groups this process is in. Only those that are
// empty, with all below them, and at least so old go: a younger one may be about to get its target. It returns how many
// there were. What can not be removed stays, as it is in use or somebody else's.
func Sweep(age time.Duration) int {
	here, err := located()
	if err != nil {
		return 0
	}
	removed := 0
	for _, h := range here {
		entries, _ := os.ReadDir(h.dir) // what it could read.
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) || time.Since(info.ModTime()) < age {
				continue
			}
			dirs, _ := subtree(filepath.Join(h.dir, e.Name())) // a group in use is refused by the kernel.
			for _, d := range slices.Backward(dirs) {
				if err = os.Remove(d); err != nil {
					break
				}
			}
			if err == nil {
				removed++
			}
		}
	}
	return removed
}

// dissolve moves the processes in dir and in groups of ours below it into another group, and removes all of them.
func dissolve(dir, into string) (survivors int, err error) {
	if syscall.Rmdir(dir) == nil { // as a rule nothing is left
		return 0, nil
	}
	moved := map[int]bool{}
	for i := range attempts {
		if i > 0 {
			time.Sleep(firstPause << (i - 1))
		}
		var dirs []string
		if dirs, err = subtree(dir); errors.Is(err, fs.ErrNotExist) {
			return len(moved), nil // somebody swept it away.
		} else if err != nil {
			return len(moved), err
		}
		foreign := false
		for i, d := range dirs {
			pids, _ := members(d) // what can not be listed can not be removed, and that error is the one returned.
			if i > 0 && !strings.HasPrefix(filepath.Base(d), prefix) {
				foreign = foreign || len(pids) > 0
				continue
			}
			for _, pid := range pids {
				if Join(into, pid) == nil {
					moved[pid] = true
				}
			}
		}
		var errs []error
		for _, d := range slices.Backward(dirs) {
			if gone := os.Remove(d); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
				errs = append(errs, gone)
			}
		}
		if err = errors.Join(errs...); err == nil || foreign {
			break
		}
	}
	return len(moved), err
}

// subtree lists a group and all below it, each before its children.
func subtree(dir string) ([]string, error) {
	dirs := []string{dir}
	for i := 0; i < len(dirs); i++ {
		entries, err := os.ReadDir(dirs[i])
		if err != nil && (i == 0 || !errors.Is(err, fs.ErrNotExist)) {
			return dirs, err
		}
		for _, e := range entries {
			if e.IsDir() {
				dirs = append(dirs, filepath.Join(dirs[i], e.Name()))
			}
		}
	}
	return dirs, nil
}

// members lists the processes of one group. Those of another pid namespace, which read as 0, are left out.
func members(dir string) ([]int, error) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for field := range strings.FieldsSeq(string(b)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Join writes one process id to cgroup.procs. The file is never made: in a folder that is no cgroup that is an error.
func Join(dir string, pid int) error {
	f, err := os.OpenFile(filepath.Join(dir, "cgroup.procs"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(pid))
	return errors.Join(err, f.Close())
}

// text is an error as part of a reason: "mkdir /sys/fs/cgroup/ergon-x: permission denied".
func text(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Error()
	}
	return err.Error()
}
