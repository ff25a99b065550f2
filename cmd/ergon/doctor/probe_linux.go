package doctor

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/cgroup"
	"github.com/ergon-energy/ergon/sensors"
)

// taskClock opens the event on this process and closes it (perf_event_open(2)). It excludes the kernel, as ordinary users
// must.
func taskClock() *Event {
	attr := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_TASK_CLOCK,
		Bits: unix.PerfBitInherit | unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv,
	}
	attr.Size = uint32(unsafe.Sizeof(attr))
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		e := &Event{Cause: sensors.Unreadable, Reason: err.Error()}
		switch {
		case errors.Is(err, os.ErrPermission):
			e.Cause = sensors.Denied
		case errors.Is(err, unix.ENOSYS):
			e.Cause = sensors.Unsupported
		}
		return e
	}
	_ = unix.Close(fd)
	return &Event{}
}

// groups asks whether groups could be made below the groups of this process, and makes none. To move a process, ergon
// must also be allowed to write cgroup.procs of the common ancestor, which is this group (cgroup-v2.rst, Delegation
// Containment).
func groups() []Group {
	places, err := cgroup.Here()
	if err != nil {
		return nil
	}
	var all []Group
	for _, p := range places {
		g := Group{Version: p.Version, Controller: p.Controller, Dir: p.Dir, Memory: p.Controller == "memory"}
		for _, path := range []string{p.Dir, filepath.Join(p.Dir, "cgroup.procs")} {
			if err := unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS); err != nil {
				g.Cause, g.Reason, g.ReadOnly = sensors.Unreadable, path+": "+err.Error(), errors.Is(err, unix.EROFS)
				if g.ReadOnly || errors.Is(err, os.ErrPermission) {
					g.Cause = sensors.Denied
				}
				break
			}
		}
		if p.Version == 2 {
			g.Memory = slices.Contains(strings.Fields(content(filepath.Join(p.Dir, "cgroup.subtree_control"))), "memory")
		}
		all = append(all, g)
	}
	return all
}

// nodes describes device nodes. They are of use only if they can be opened for reading and writing.
func nodes(control, others string) (exist, denied bool, owner string) {
	rest, _ := filepath.Glob(others)
	for _, path := range append([]string{control}, rest...) {
		var st unix.Stat_t
		if unix.Stat(path, &st) != nil {
			continue
		}
		exist = exist || path == control
		if err := unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK|unix.W_OK, unix.AT_EACCESS); errors.Is(err, os.ErrPermission) && !denied {
			denied = true
			id := strconv.FormatUint(uint64(st.Gid), 10)
			if group, err := user.LookupGroupId(id); err == nil {
				owner = group.Name
			}
			if st.Mode&0o060 != 0o060 { // the group could not open it either
				owner = ""
			}
		}
	}
	return exist, denied, owner
}
