// Package quick makes system calls that return at once, as those on the kernel's own pseudo-files do, without telling
// the Go scheduler. An ordinary call tells it on the way in and out; on the way out that wakes the runtime's monitor
// thread, which then looks around for a while, and at 10 to 100 readings a second that was a quarter of the sampler's
// CPU time (257 µs a tick against 190). It is not for what may block, a driver or a network file system: the goroutine
// would keep its processor meanwhile, and the sampler has only one.
package quick
