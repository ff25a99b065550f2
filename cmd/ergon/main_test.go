//go:build unix

package main

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestMain makes this test binary ergon itself for the scripts, and for the samplers that they start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "-test.") { // the tests, not one of the programs below
		hearSignals()
		// The other programs in this binary must not have a fork server: it would count as one of their processes.
		// ERGON_TRACE shows what a crash or the race detector writes.
		if err := errors.Join(os.Setenv("ERGON_EARLY", "ergon"), os.Setenv("ERGON_TRACE", "1")); err != nil {
			panic(err)
		}
	}
	testscript.Main(m, map[string]func(){"ergon": main, "subject": subject, "fakerapl": fakeRAPL})
}

// hearSignals resets ignored signals to their default for the children. nohup, and a shell that starts a command in the background,
// make a whole tree ignore some signals, and then no shell can trap them.
func hearSignals() {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTERM} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

// TestScripts runs what a user types.
func TestScripts(t *testing.T) {
	perun, err := filepath.Abs("../../datamodel/perun/testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("ERGON_UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("ERGON_RESULTS", e.Cd+"/results")
			e.Setenv("LC_ALL", "C.UTF-8")
			e.Setenv("PERUN", perun)
			e.Setenv("ERGON_EARLY", "ergon")
			e.Setenv("ERGON_TRACE", "1")
			e.Values[machineKey{}] = testenv.Begin(scriptTB{t, e.T(), filepath.Base(e.WorkDir), e.Defer})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"field":   field,
			"schema":  validate,
			"unsaved": unsaved,
			"sums":    sums,
			"within":  within,
		},
	})
}
