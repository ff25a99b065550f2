package prelaunch

import (
	"os"
	"strings"
)

// asidePrefix begins the names under which variables are kept while this program executes itself once more.
const asidePrefix = "ERGON_ASIDE_"

// meantForCommands lists the variables that a Go program reads before main. A caller sets them for the command.
func meantForCommands() []string {
	return []string{"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG", "GOTRACEBACK"}
}

// SetAside keeps the Go runtime of this process from what the caller has set for a command, and returns these variables. If the
// C part has done so, that is all. Else this program executes itself once more, and only if such a variable is set.
func SetAside() []string {
	if list, done := Aside(); done {
		return list
	}
	var list, set []string
	for _, name := range meantForCommands() {
		if value, ok := os.LookupEnv(asidePrefix + name); ok {
			list = append(list, name+"="+value)
			_ = os.Unsetenv(asidePrefix + name) // it fails for a wrong name only
		}
		if value, ok := os.LookupEnv(name); ok {
			set = append(set, asidePrefix+name+"="+value)
		}
	}
	if len(set) > 0 && len(list) == 0 {
		again(append(withoutThese(os.Environ()), set...))
	}
	return list
}

// withoutThese returns the environment without the variables that are meant for commands.
func withoutThese(environ []string) (kept []string) {
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		found := false
		for _, of := range meantForCommands() {
			found = found || name == of
		}
		if !found {
			kept = append(kept, variable)
		}
	}
	return kept
}
