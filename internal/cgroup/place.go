package cgroup

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// hierarchy is a mounted tree of groups, with the group of this process in it.
type hierarchy struct {
	version    int    // 1 or 2
	controller string // of v1: "cpuacct" or "memory"
	dir        string // the folder of the group of this process
}

// membership is one line of /proc/self/cgroup.
type membership struct {
	controllers []string // none in v2
	group       string   // path within the hierarchy, as this process's cgroup namespace shows it
}

// mount is one line of /proc/self/mountinfo that is a cgroup file system.
type mount struct {
	version     int
	controllers []string // of v1, and other options of the file system
	root        string   // the group that is mounted
	dir         string   // where it is mounted
}

// located finds the groups of this process: v2 first, then the two useful controllers of v1.
func located() ([]hierarchy, error) {
	in, mounts, err := tables("/proc")
	return match(in, mounts), err
}

// tables reads the groups of this process and where they are mounted.
func tables(proc string) ([]membership, []mount, error) {
	in, err := os.ReadFile(filepath.Join(proc, "self/cgroup"))
	if err != nil {
		return nil, nil, fmt.Errorf("no cgroups: %w", err)
	}
	mounts, err := os.ReadFile(filepath.Join(proc, "self/mountinfo"))
	if err != nil {
		return nil, nil, fmt.Errorf("no cgroups: %w", err)
	}
	return parseMemberships(string(in)), parseMounts(string(mounts)), nil
}

// match finds the folder of each useful group. It skips a hierarchy if the mount does not contain the group. That happens
// in a container that sees the host's cgroups but not its own.
func match(in []membership, mounts []mount) []hierarchy {
	var found []hierarchy
	for _, h := range []hierarchy{{version: 2}, {version: 1, controller: "cpuacct"}, {version: 1, controller: "memory"}} {
		if top, rest, ok := place(in, mounts, h.version, h.controller); ok {
			h.dir = filepath.Join(top, rest)
			found = append(found, h)
		}
	}
	return found
}

// place returns where a hierarchy is mounted, and the path of this process's group below the mount.
func place(in []membership, mounts []mount, version int, controller string) (top, rest string, ok bool) {
	for _, m := range in {
		if version == 2 && m.controllers != nil || version == 1 && !slices.Contains(m.controllers, controller) {
			continue
		}
		for _, at := range mounts {
			if at.version != version || version == 1 && !slices.Contains(at.controllers, controller) {
				continue
			}
			if rest, ok := under(at.root, m.group); ok {
				return at.dir, rest, true
			}
		}
	}
	return "", "", false
}

// under returns the path of a group relative to the mounted group. Paths with ".." lie outside the cgroup namespace.
func under(root, group string) (string, bool) {
	if !strings.HasPrefix(group, "/") || strings.Contains(group+"/", "/../") {
		return "", false
	}
	if root == "/" {
		return group, true
	}
	rest, ok := strings.CutPrefix(group, root)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// parseMemberships parses /proc/self/cgroup (cgroups(7)):
//
//	4:memory:/user.slice
//	3:cpu,cpuacct:/
//	0::/user.slice/session-1.scope
func parseMemberships(text string) []membership {
	var all []membership
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "/") {
			continue
		}
		m := membership{group: path.Clean(parts[2])}
		if strings.HasPrefix(parts[2], "/..") {
			m.group = parts[2] // Clean would move a path from outside the namespace into it
		}
		if parts[1] != "" {
			m.controllers = strings.Split(parts[1], ",")
		}
		all = append(all, m)
	}
	return all
}

// parseMounts parses the cgroup lines of /proc/self/mountinfo (proc_pid_mountinfo(5)). The number of optional fields before
// the dash varies:
//
//	33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpuacct
//	41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
func parseMounts(text string) []mount {
	var all []mount
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		dash := slices.Index(fields, "-")
		if dash < 6 || len(fields) < dash+4 {
			continue
		}
		m := mount{root: unescape(fields[3]), dir: unescape(fields[4])}
		switch fields[dash+1] {
		case "cgroup2":
			m.version = 2
		case "cgroup":
			m.version = 1
			m.controllers = strings.Split(fields[dash+3], ",")
		default:
			continue
		}
		all = append(all, m)
	}
	return all
}

// unescape replaces \040 and similar sequences, which the kernel writes for blanks and backslashes in paths, by bytes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
