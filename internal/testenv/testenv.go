// Package testenv tells a test about its machine: whether it has the parts that the test needs, and whether it was too busy
// for a test of timing. It is for tests only.
//
// If the environment variable ERGON_TEST_SKIPS names a file, each skip adds a line to it, which `make ci` counts.
package testenv

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// notesFile names the environment variable with the file that collects the skips.
const notesFile = "ERGON_TEST_SKIPS"

// note adds a line to the file of skips: the kind, the test and the reason. Each line is one write, so that the lines of
// test binaries that run in parallel do not mix.
func note(t testing.TB, kind string, reason any) {
	t.Helper()
	path := os.Getenv(notesFile)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(f, "%s\t%s\t%s\n", kind, t.Name(), strings.ReplaceAll(fmt.Sprint(reason), "\n", " "))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Long leaves a test that takes more than about two seconds out of `go test -short`, as `make check` runs it.
func Long(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
}

// Sequential leaves a long test out of `make race`, because what it tests starts no goroutine.
func Sequential(t testing.TB) {
	t.Helper()
	if RaceDetector {
		t.Skip("starts no goroutine, and takes long under the race detector")
	}
}
