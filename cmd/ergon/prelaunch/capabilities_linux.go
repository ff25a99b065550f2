//go:build !cgo

package prelaunch

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/launch"
)

// Restrict gives up all capabilities that this program's file has given it, but CAP_PERFMON. In a build with cgo the
// constructor has done it.
func Restrict() {
	if !launch.Privileged() {
		return
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if unix.Capget(&head, &sets[0]) != nil {
		return
	}
	for i := range sets {
		part := uint32(uint64(1) << unix.CAP_PERFMON >> (32 * i))
		sets[i].Effective &= part
		sets[i].Permitted &= part
		sets[i].Inheritable &= part
	}
	// Capabilities belong to threads. This call changes all of them, but only in a build without cgo.
	_, _, _ = syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&sets[0])), 0)
}
