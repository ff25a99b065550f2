package runner

// The exit codes of ergon itself. The target's own code comes first, then 128+n if signal n ended it. Codes 120 to 122 are
// kept for budgets and regressions. A process that cannot start (a limit of open files) ends with 125, too.
const (
	ExitTimedOut      = 124 // the time limit ended the command
	ExitErgon         = 125 // ergon itself failed or was called wrongly
	ExitNotExecutable = 126
	ExitNotFound      = 127
)
