package runner

// The exit codes of ergon itself. Otherwise ergon exits with the target's own code, or with 128+n if signal n ended the
// target. If a process cannot start (a limit of open files), the
// code is 125, too.
const (
	ExitBudget        = 120 // a budget is broken
	ExitRegressed     = 121 // a comparison found that something got worse
	ExitInconclusive  = 122 // the rounds of a comparison do not decide, or there is no base; only if that is to fail
	ExitOverdue       = 123 // a run that came regularly has not come; only of trend --overdue
	ExitTimedOut      = 124 // the time limit ended the command
	ExitErgon         = 125 // ergon itself failed or was called wrongly
	ExitNotExecutable = 126
	ExitNotFound      = 127
)
