package runner

// The exit codes of ergon itself. Otherwise ergon exits with the target's own code, or with 128+n if signal n ended the
// target. Codes 120 to 122 are reserved for budgets and regressions. If a process cannot start (a limit of open files), the
// code is 125, too.
const (
	ExitTimedOut      = 124 // the time limit ended the command
	ExitErgon         = 125 // ergon itself failed or was called wrongly
	ExitNotExecutable = 126
	ExitNotFound      = 127
)
