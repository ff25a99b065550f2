package testenv

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// here tells whether the machine has the part. It asks the kernel, not our packages, because those are under test.
func here(part Part) bool {
	switch part {
	case Root:
		return os.Geteuid() == 0
	case CgroupV1:
		return unix.Access("/sys/fs/cgroup/cpuacct/cgroup.procs", unix.W_OK) == nil
	case CgroupV2:
		return unix.Access("/sys/fs/cgroup/cgroup.subtree_control", unix.W_OK) == nil ||
			unix.Access("/sys/fs/cgroup/unified/cgroup.subtree_control", unix.W_OK) == nil
	case PerfEvent:
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{
			Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_TASK_CLOCK, Size: unix.PERF_ATTR_SIZE_VER1,
			Bits: unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv,
		}, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err == nil
	case Quota, NetworkNamespaces, FUSE, Containers: // unknown without trying
		return false
	default:
		return true
	}
}
