// Package sampler reads the sensors of a round. An Engine reads them and knows no protocol. There are two engines. The engine
// of the sampler process (`ergon sample`) works behind Serve and may block. The runner's own engine (NewLocal) must not
// block. It takes the first readings, and hands over when the sampler joins (Takeover). Client controls the sampler process.
//
// Client and Serve talk in JSON, one object a line, over the sampler's stdin and stdout:
//
//	runner                      sampler
//	config {setup, interval …} → once: opens the sources
//	subject {spool, target …} → opens those of the target; from the second round on all of them
//	                          ← ready {sources, missing}
//	begin                     → first reading of every source
//	begin {takeover}          → or goes on after the runner's readings
//	                          ← begun
//	follow {pid}              → if it was not known with the subject
//	                            … readings at the beat, into the spool …
//	end                       → last reading, spools closed, sources too
//	                          ← ended {sources, warnings}
//	                            … subject and so on for the next round …
//	end of file               → stops, whatever it is doing
//
// File descriptors of a take-over travel over a separate socket (SCM_RIGHTS). No other readings travel between the processes:
// the sampler writes them to the spool. The status line during the run reads the spool. The end of stdin is the order to
// stop, so a runner that is killed leaves a complete spool and no orphan.
//
// A lane reads sources: it is a goroutine with its own beat. Sources of the kernel's own /proc and /sys with the same
// interval share a lane, since waking up costs more than reading. Each source that may block (a driver, a network file
// system, anything below a redirected root) has its own lane, so that none delays another. One processor (GOMAXPROCS=1) is
// enough for all lanes: a source blocks in a system call or in C, and both release the processor.
package sampler
