package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/sensors"
)

// sampleWord is the hidden subcommand that is the sampler process.
const sampleWord = "sample"

// sample serves the runner at the other end of stdin and stdout. The signals of a terminal are the target's to obey:
// the last reading must still be taken, and the end of stdin is the order to stop.
func sample(std stdio, backends []sensors.Backend) error {
	runtime.GOMAXPROCS(1) // one that was spawned has it in its environment already
	// Its heap is small and stays so: the collector's default is to let one grow to 4 MB before the first look. A run that
	// is over within a second has no need of it.
	time.AfterFunc(time.Second, func() { debug.SetGCPercent(25) })
	_ = os.WriteFile("/proc/self/comm", []byte("ergon-sampler"), 0) // for ps; on other systems there is no such file
	launch.Quiet(false)
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	return sampler.Serve(std.in, std.out, backends)
}

// spawnSampler starts a sampler.
func (p *program) spawnSampler() (*sampler.Client, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the sampler: %w", err)
	}
	return sampler.Spawn(self, p.err)
}
