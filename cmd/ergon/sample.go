package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/ergon-energy/ergon/cmd/ergon/prelaunch"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
)

// sampleWord is the hidden subcommand that makes this process the sampler.
const sampleWord = "sample"

// sample serves the runner at the other end of in and out. It ignores the signals of a terminal: they end the target, and
// the last reading must still be taken. The end of in is the order to stop.
func sample(in, out *os.File, backends []sensors.Backend) error {
	runtime.GOMAXPROCS(1) // a spawned sampler already has it in its environment
	// The heap stays small. By default the collector lets a heap grow to 4 MB before it runs. A run of less than a second does
	// not need this.
	time.AfterFunc(time.Second, func() { debug.SetGCPercent(25) })
	_ = os.WriteFile("/proc/self/comm", []byte("ergon-sampler"), 0) // for ps; other systems have no such file
	launch.Quiet(false)
	go runner.Sweep() // here it costs the command nothing
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := sampler.Serve(in, out, backends)
	if err == nil {
		launch.LetGo(os.Stderr)
	}
	return err
}

// spawnSampler starts a sampler.
func (p *program) spawnSampler() (*sampler.Client, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the sampler: %w", err)
	}
	return sampler.Spawn(self, prelaunch.Crash())
}
