// Package prelaunch splits ergon into two processes before the Go runtime starts: the launcher, in C, and the runner, in Go.
// Only the program itself imports this package: a program that imports it forks a process at its start.
//
// Go changes a process before main runs. It forgets which signals were ignored, unblocks some, raises the limit of open
// files, and opens /dev/null on a closed descriptor 0, 1 or 2. A child inherits what Go left, not what the caller gave. And
// Go ends a process that has too little memory, or too few threads. So on Linux with cgo and glibc a C constructor
// (prelaunch.c) runs before the Go runtime:
//
//   - It finds the command in the arguments (words.c). If ergon is off, it executes the command.
//   - It forks the runner. There it uses all that the limits allow, sets variables aside that are meant for commands, and
//     returns, so that Go starts.
//   - The first process becomes the launcher. It is small, and as the caller made it. For each command it makes a child.
//     The child joins its cgroups and waits before its first instruction. Its process id is known by then, and counters can
//     be attached. The child is as small in the thousandth round as in the first. ru_maxrss survives execve, so only a
//     small child keeps it a property of the command.
//   - The launcher tells the runner of signals and of the ends of its children. It ends as the runner says. If the runner
//     dies before that, the launcher ends as the command ends, or becomes the command if that has not started.
//   - It notes which signals were ignored on entry.
//   - If the file has capabilities, it gives up all but CAP_PERFMON (secure.c). The launcher gives up that one too.
//
// The runner dies with the launcher. A held child ends when its own socket closes.
//
// Elsewhere Take returns nil, and launch.Direct is used.
package prelaunch
