package runner

import (
	"os"
	"strconv"
)

// terminate asks a process to end; here that is all there is.
var terminate = os.Kill //nolint:gochecknoglobals // os.Kill is itself a variable

func ends(s os.Signal) bool { return s == os.Interrupt }

func number(os.Signal) int { return 0 }

func signalName(n int) string { return "signal " + strconv.Itoa(n) }
