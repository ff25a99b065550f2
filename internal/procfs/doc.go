// Package procfs opens /proc and makes sure that the numbers of processes there are the numbers that this process uses.
//
// A procfs numbers processes as the PID namespace does in which it was mounted. After `unshare --pid --fork` without
// --mount-proc, /proc is still the outer one: /proc/PID is then a stranger, or nobody. See pid_namespaces(7).
//
// A handle keeps its procfs, even if another one is mounted over /proc later. So one check is enough for a handle.
package procfs

import "errors"

// ErrForeign means that /proc belongs to another PID namespace.
var ErrForeign = errors.New("/proc numbers processes as another PID namespace does (mount the own one: unshare --mount-proc)")

// ErrNotProc means that what is mounted at /proc is no procfs.
var ErrNotProc = errors.New("/proc is not the kernel's procfs")
