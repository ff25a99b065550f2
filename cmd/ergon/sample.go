package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
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

// startSampler takes over the sampler that was started early, or starts one.
func (p *program) startSampler(early *launch.Early) (*sampler.Client, error) {
	if early != nil && early.Sampler > 0 {
		return sampler.Adopt(early)
	}
	return p.spawnSampler()
}

// spawnSampler starts a sampler.
func (p *program) spawnSampler() (*sampler.Client, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the sampler: %w", err)
	}
	return sampler.Spawn(self, p.err)
}

// existing makes a path absolute and sees that it is there and a folder, or not one.
func existing(path string, folder bool) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return "", err
	}
	if info.IsDir() != folder {
		if folder {
			return "", fmt.Errorf("%s: not a folder", path)
		}
		return "", fmt.Errorf("%s: a folder, not a file", path)
	}
	return abs, nil
}
