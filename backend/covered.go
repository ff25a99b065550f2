package backend

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/sensors"
)

// coveredFiles returns a Backend.MayBlock for a family that reads these files of procfs.
func coveredFiles(names ...string) func(sensors.Setup) bool {
	return func(setup sensors.Setup) bool {
		return slices.ContainsFunc(names, func(name string) bool { return covered(filepath.Join(setup.Proc, name)) })
	}
}

// patience is how long the description of the machine waits for a file that a process serves.
const patience = 500 * time.Millisecond

// served returns the first 4 KiB of a file that a process serves, empty if it does not answer in time. Another program
// reads the file. A thread of our own would hang with the file, and even SIGKILL would not end it.
func served(path string) []byte {
	r, w, err := os.Pipe()
	if err != nil {
		return nil
	}
	defer func() { _ = r.Close() }() // only read from
	cat := exec.Command("/bin/cat", path)
	cat.Env, cat.Stdout = []string{}, w
	err = cat.Start()
	_ = w.Close() // cat has its own
	if err != nil {
		return nil
	}
	defer func() {
		_ = cat.Process.Kill() // it has ended, or hangs
		go func() { _ = cat.Wait() }()
	}()
	if r.SetReadDeadline(time.Now().Add(patience)) != nil {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(r, firstBuffer))
	if err != nil {
		return nil
	}
	return b
}
