// Package sampler reads the sensors of a round. Engine does it, without a protocol; there are two of them. The sampler process
// (`ergon sample`) has one behind Serve, which may block. The runner has one of its own (NewLocal), which may not: it takes the
// first readings, and hands over to the sampler when that joins (Takeover). Client is the runner's hold on the process.
//
// They talk in JSON, one object a line, over the child's stdin and stdout:
//
//	runner                      sampler
//	config {setup, interval …} → once: opens the sources
//	subject {spool, target …} → opens those of the target; from the second round on all of them
//	                          ← ready {sources, missing}
//	begin                     → first reading of every source
//	begin {takeover}          → or goes on after what the runner has read
//	                          ← begun
//	follow {pid}              → if it was not known with the subject
//	                            … readings at the beat, into the spool …
//	end                       → last reading, spools closed, sources too
//	                          ← ended {sources, warnings}
//	                            … subject and so on for the next round …
//	end of file               → stops, whatever it is doing
//
// Descriptors that go with a take-over travel on a socket of their own (SCM_RIGHTS). No other readings travel here. They go to the
// spool, and what shows them during the run follows that. The end of stdin is the order to stop, so a runner that is killed
// leaves a complete spool and no orphan.
//
// A source is read by a lane: a goroutine with its own beat. The sources of the kernel's own /proc and /sys that share
// an interval share a lane, since waking up costs more than reading; those that may block (a driver, a network file
// system, anything below a redirected root) have one each, so that none delays another. All of them get by with one
// processor: what blocks does so in a system call or in C, which gives it up.
package sampler
