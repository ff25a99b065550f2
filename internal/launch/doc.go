// Package launch starts the target so that it is as the caller of ergon made it, and passes signals on to it.
//
// Go changes a process before main runs: it forgets which signals were ignored, unblocks some, raises the limit of
// open files and opens /dev/null on a closed descriptor 0, 1 or 2. What a child inherits afterwards is not what the
// caller gave. So, on Linux with cgo, a C constructor (early.c) runs before the Go runtime and
//
//   - forks the sampler, which is then up at the same time as the runner, not after it;
//   - forks the launcher, an untouched and still small copy of the process that waits at a gate and becomes the target
//     by execve. Its process id is known before the target's first instruction: it can be put into a cgroup and have
//     counters attached. As it is small, it does not poison the target's ru_maxrss;
//   - notes which signals were ignored on entry.
//
// The constructor also relays signals with their si_code, which os/signal does not tell and which alone separates a
// SIGINT typed at the terminal (the target has it already) from one sent to ergon alone (to be passed on).
//
// Elsewhere, and where ERGON_EARLY=off, the target is started by os.StartProcess; the differences are in Direct.
package launch
