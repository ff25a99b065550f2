package runner

import (
	"os"
	"strconv"
)

// terminate ends a process. Windows has no signal that asks it to end.
var terminate = os.Kill //nolint:gochecknoglobals // os.Kill is itself a variable

func ends(s os.Signal) bool { return s == os.Interrupt }

func number(os.Signal) int { return 0 }

// nameOf returns the name of a signal for people.
func nameOf(s os.Signal) string { return s.String() }

func signalName(n int) string { return "signal " + strconv.Itoa(n) }
