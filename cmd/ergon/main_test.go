//go:build unix

package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary ergon itself for the scripts, and for the samplers they start.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ergon": main, "subject": subject, "fakerapl": fakeRAPL})
}

// TestScripts runs what a user types.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("ERGON_UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("ERGON_RESULTS", e.Cd+"/results")
			e.Setenv("LC_ALL", "C.UTF-8")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"field":   field,
			"schema":  validate,
			"unsaved": unsaved,
			"sums":    sums,
		},
	})
}
