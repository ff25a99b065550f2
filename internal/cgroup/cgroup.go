// Package cgroup makes control groups for the target and reads their counters: the complete CPU time of everything that
// ever ran in them, and the peak of their memory. A walk over processes cannot know either, because processes come and
// go between two looks.
//
// It makes groups below the groups of this process, in the unified hierarchy (v2) and in the older ones (v1). It does not
// change existing groups: it enables no controller and moves no other process. If a group cannot be made, it says why.
// That happens to ordinary users outside a delegated subtree, and in containers with a read-only tree.
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
	"sync"
	"syscall"
	"time"
)

// prefix is the start of the name of every group that is made here.
const prefix = "ergon-"

// attempts bounds how often a group is emptied, with pauses that double and sum up to 51 ms. Processes may fork while they
// are moved. A process that is ending cannot be moved, and keeps the group until its last thread has ended.
const (
	attempts   = 10
	firstPause = 100 * time.Microsecond
	// lockTries bounds how often a group is made again if Sweep of another run has just removed it.
	lockTries = 5
)

// Group is the target's group: one child folder in each useful hierarchy. Calls must not overlap.
type Group struct {
	// CPU is the folder that counts CPU time, in cpu.stat (v2) or cpuacct.usage (v1). If it is empty, CPUReason says
	// why. Add may change it.
	CPU       string
	CPUReason string
	// Memory is the folder with memory.current (v2) or memory.usage_in_bytes (v1). If it is empty, MemoryReason says why.
	Memory       string
	MemoryReason string

	name    string
	parents []*parent
	home    *Home
}

// parent is a group of this process, and the child that was made in it.
type parent struct {
	hierarchy
	child   string
	lock    *os.File // locks the child while its run goes on
	refused string
}

// Home is what was found of the groups of this process: where they are, and their quota of CPU time. Groups that belong
// to the same session are made below one Home, so that it is found only once.
type Home struct {
	in     []membership
	mounts []mount
	err    error // why there are no cgroups
	quota  func() (Quota, error)
	has    map[string]bool // whether a group below a folder has a file: by the path of the folder, with the file's name
}

// Find finds the groups of this process.
func Find() *Home {
	h := &Home{has: map[string]bool{}}
	h.in, h.mounts, h.err = tables("/proc")
	h.quota = sync.OnceValues(func() (Quota, error) { return quotaOf(h.in, h.mounts) })
	return h
}

// Make makes groups named ergon-ID below the groups of this process. A folder that could not be made is empty in the
// Group, with the reason. Make returns an error only if id is not a valid folder name.
func Make(id string) (*Group, error) { return Find().Make(id) }

// Make does what the function Make does, for groups that were found before.
func (h *Home) Make(id string) (*Group, error) {
	if id == "" || strings.ContainsAny(id, "/\n\x00") {
		return &Group{}, fmt.Errorf("cgroup id %q: not the name of a folder", id)
	}
	g := below(prefix+id, match(h.in, h.mounts), h)
	if h.err != nil {
		g.CPUReason, g.MemoryReason = text(h.err), text(h.err)
	}
	return g, nil
}

// below makes the groups in the given hierarchies.
func below(name string, here []hierarchy, home *Home) *Group {
	g := &Group{name: name, home: home}
	for _, h := range here {
		g.parents = append(g.parents, &parent{hierarchy: h})
	}
	g.choose()
	return g
}

// choose decides which folder counts CPU time and which counts memory, the unified hierarchy first. Each of its groups has
// cpu.stat, whatever controllers are enabled, and v1's cpuacct counts the same. If the memory controller is enabled, one
// group counts both.
func (g *Group) choose() {
	g.CPU, g.CPUReason = g.first("cpuacct.usage", "cpu.stat")
	g.Memory, g.MemoryReason = g.first("memory.usage_in_bytes", "memory.current")
	for _, p := range g.parents {
		if p.child != "" && p.child != g.CPU && p.child != g.Memory {
			p.refuse("")
		}
	}
}

// first returns the first group that has the file of its hierarchy. It makes the group if needed.
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
		if !g.home.childHas(p, file) {
			reasons = append(reasons, fmt.Sprintf("cgroup v%d: no %s, the controller is not enabled in %s", p.version, file, p.dir))
			continue
		}
		return p.child, ""
	}
	if len(reasons) == 0 {
		return "", fmt.Sprintf("no cgroup hierarchy with %s or %s", v2, v1)
	}
	return "", strings.Join(reasons, "; ")
}

// childHas reports whether the child has a file. All children of a folder have the same.
func (h *Home) childHas(p *parent, file string) bool {
	at := filepath.Join(p.dir, file)
	has, known := h.has[at]
	if !known {
		_, err := os.Stat(filepath.Join(p.child, file))
		has = err == nil
		h.has[at] = has
	}
	return has
}

// make makes the child, unless it exists or was refused before.
func (p *parent) make(name string) error {
	if p.refused != "" {
		return errors.New(p.refused)
	}
	if p.child != "" {
		return nil
	}
	child := filepath.Join(p.dir, name)
	for range lockTries {
		if err := os.Mkdir(child, 0o755); err != nil {
			p.refused = text(err)
			return err
		}
		// Until it was locked, the group looked like one that a killed run has left, and Sweep may have removed it.
		lock, unlocked := lockDir(child)
		swept := errors.Is(unlocked, errLocked) || errors.Is(unlocked, fs.ErrNotExist)
		if unlocked == nil && !there(child, lock) {
			_ = lock.Close() // it was only locked
			swept = true
		}
		if !swept { // it is locked, or there are no locks here
			p.child, p.lock = child, lock
			return nil
		}
	}
	p.refused = "mkdir " + child + ": it was removed again and again"
	return errors.New(p.refused)
}

// unlock releases the lock.
func (p *parent) unlock() {
	if p.lock != nil {
		_ = p.lock.Close() // it was only locked
		p.lock = nil
	}
}

// there reports whether an open folder is still under its name.
func there(dir string, f *os.File) bool {
	named, err := os.Stat(dir)
	if err != nil {
		return false
	}
	open, err := f.Stat()
	return err == nil && os.SameFile(named, open)
}

// refuse gives up a child. With an empty reason it may be made again.
func (p *parent) refuse(why string) {
	_ = os.Remove(p.child) // it is empty; if not, Leave could not remove it either
	p.unlock()
	p.child, p.refused = "", why
}

// Folder is one of the groups.
type Folder struct {
	Dir     string
	Version int // the version of its hierarchy: 1 or 2
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
// To move another process, the kernel waits until no process can fork during the move: 10 ms and more, unless it has done so
// recently. A process that is created in the group, or moves its only thread itself, does not wait.
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

// Pids lists the living processes in the groups and in groups below them.
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

// CPUTime returns the CPU time of everything that ever ran in the group. The error wraps fs.ErrNotExist if there is no group.
func (g *Group) CPUTime() (CPUTime, error) {
	meter, err := OpenCPU(g.CPU)
	if err != nil {
		return CPUTime{}, err
	}
	used, err := meter.Read()
	return used, errors.Join(err, meter.Close())
}

// PeakMemory returns the largest memory of the group in bytes: anonymous memory, page cache and kernel memory. The error
// wraps fs.ErrNotExist if there is no group, or if the kernel keeps no peak (v2 before 5.19).
func (g *Group) PeakMemory() (uint64, error) {
	meter, err := OpenMemory(g.Memory)
	if err != nil {
		return 0, err
	}
	peak, err := meter.Peak()
	return peak, errors.Join(err, meter.Close())
}

// Leave moves the remaining processes back into the groups they would be in without ergon, and removes the groups. It also
// removes groups that a nested ergon has left below them. It returns how many processes were still alive. If somebody
// else made a group below and still uses it, that group and its parents stay, and the error says so. So does a group
// whose processes take long to end. A later call tries again to remove what has stayed.
func (g *Group) Leave() (survivors int, err error) {
	var errs []error
	for _, p := range g.parents {
		if p.child == "" {
			continue
		}
		n, err := dissolve(p.child, p.dir)
		survivors = max(survivors, n)
		if err == nil {
			p.child = ""
			p.unlock()
		}
		errs = append(errs, err)
	}
	g.CPU, g.Memory = "", ""
	return survivors, errors.Join(errs...)
}

// Sweep removes groups that killed runs have left below the groups of this process. It removes only groups that are empty,
// with everything below them, and have the name of a run. A lock says that the run of a group goes on. It returns how many it removed. A group that
// cannot be removed is in use or belongs to another user.
func Sweep() int {
	here, err := located()
	if err != nil {
		return 0
	}
	removed := 0
	for _, h := range here {
		entries, _ := os.ReadDir(h.dir) // the entries that could be read
		for _, e := range entries {
			if e.IsDir() && ofRun(e.Name()) && sweep(filepath.Join(h.dir, e.Name())) == nil {
				removed++
			}
		}
	}
	return removed
}

// ofRun reports whether a group has the name of a run: ergon-TIME-RANDOM. Other programs may name groups after ergon too, and
// do not lock them.
func ofRun(name string) bool {
	id, ok := strings.CutPrefix(name, prefix)
	at, random, cut := strings.Cut(id, "-")
	_, err := time.Parse("20060102T150405", at)
	return ok && cut && err == nil && random != "" && !strings.ContainsFunc(random, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

// sweep removes a group and the groups below it. It stops at the first one that is in use.
func sweep(dir string) error {
	dirs, err := subtree(dir)
	if err != nil {
		return err
	}
	for _, d := range slices.Backward(dirs) {
		if ofRun(filepath.Base(d)) {
			lock, err := lockDir(d)
			if err != nil {
				return err
			}
			defer func() { _ = lock.Close() }() // it was only locked
		}
		if err := os.Remove(d); err != nil { // the kernel refuses to remove a group in use
			return err
		}
	}
	return nil
}

// dissolve moves the processes in dir and in ergon's groups below it into another group, and removes these groups.
func dissolve(dir, into string) (survivors int, err error) {
	if syscall.Rmdir(dir) == nil { // usually nothing is left
		return 0, nil
	}
	moved := map[int]bool{}
	for i := range attempts {
		if i > 0 {
			time.Sleep(firstPause << (i - 1))
		}
		var dirs []string
		if dirs, err = subtree(dir); errors.Is(err, fs.ErrNotExist) {
			return len(moved), nil // another process has swept it away
		} else if err != nil {
			return len(moved), err
		}
		foreign := false
		for i, d := range dirs {
			pids, _ := members(d) // a group that cannot be listed cannot be removed, and that error is returned
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

// subtree lists a group and all groups below it, parents first.
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

// errLocked means that the run of a group goes on.
var errLocked = errors.New("the run of the group goes on")

// members lists the processes of one group. Processes outside the PID namespace read as 0 and are left out.
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

// Join writes one process id to cgroup.procs. It never creates the file: a folder that is not a cgroup gives an error.
func Join(dir string, pid int) error {
	f, err := os.OpenFile(filepath.Join(dir, "cgroup.procs"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(pid))
	return errors.Join(err, f.Close())
}

// text returns an error as part of a reason: "mkdir /sys/fs/cgroup/ergon-x: permission denied".
func text(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Error()
	}
	return err.Error()
}
