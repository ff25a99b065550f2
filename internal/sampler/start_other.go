//go:build !linux

package sampler

import "os/exec"

// start starts the sampler.
func start(cmd *exec.Cmd) error { return cmd.Start() }
