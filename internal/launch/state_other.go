//go:build !unix

package launch

import "os"

func stateOf(ps *os.ProcessState) State {
	return State{ExitCode: ps.ExitCode(), Rusage: true, User: ps.UserTime(), System: ps.SystemTime()}
}
