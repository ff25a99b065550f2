// Package prelaunch forks a fork server before the Go runtime starts, so that each command is as the caller of ergon made
// it. Only the program itself imports this package: a program that imports it forks a process at its start.
//
// Go changes a process before main runs. It forgets which signals were ignored, unblocks some, raises the limit of open
// files, and opens /dev/null on a closed descriptor 0, 1 or 2. A child inherits what Go left, not what the caller gave.
// So on Linux with cgo and glibc a C constructor (prelaunch.c) runs before the Go runtime:
//
//   - It forks the server, an untouched and still small copy of the process. For each command the server makes a child of
//     the runner. The child joins its cgroups and waits before its first instruction. Its process id is known by then, and
//     counters can be attached. The child is as small in the thousandth round as in the first. ru_maxrss survives execve,
//     so only a small child keeps it a property of the command.
//   - It notes which signals were ignored on entry.
//   - If the file has capabilities, it gives up all but CAP_PERFMON (secure.c). The server gives up that one too.
//
// The server ends when the runner closes its socket or dies. A held child ends when its own socket closes.
//
// Elsewhere Take returns nil, and launch.Direct is used.
package prelaunch
