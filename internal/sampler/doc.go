// Package sampler is the sampler process, both ends of it: Serve is what runs in the child (`ergon sample`), Client is
// the runner's hold on it.
//
// They talk in JSON, one object a line, over the child's stdin and stdout:
//
//	runner                      sampler
//	config {host, interval …} → opens the sources
//	subject {spool, target …} → opens those of the target
//	                          ← ready {sources, missing}
//	begin                     → first reading of every source
//	                          ← begun
//	follow {pid}              → where it was not known with the subject
//	                            … readings at the beat, into the spool …
//	end                       → last reading, spools closed
//	                          ← ended {sources, warnings}
//	end of file               → stops, whatever it is doing
//
// Readings never travel here, they go to the spool, and who wants to see them while the run goes on follows that. The
// end of stdin is the order to stop, so a runner that is killed leaves a complete spool and no orphan.
//
// A source is read by a lane: a goroutine with its own beat. The sources of the kernel's own /proc and /sys that share
// an interval share a lane, since waking up costs more than reading; those that may block (a driver, a network file
// system, anything below a redirected root) have one each, so that none delays another. All of them get by with one
// processor: what blocks does so in a system call or in C, which gives it up.
package sampler
