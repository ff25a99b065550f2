//go:build !linux || !cgo

package launch

import "os"

// Early is what a constructor forked; there is none in this build.
type Early struct {
	Sampler int
	In, Out *os.File
}

// IsSampler says no: nobody forks one in this build.
func IsSampler() bool { return false }

// TakeEarly returns nil: nothing is forked before the Go runtime in this build.
func TakeEarly() *Early { return nil }

// Kill does nothing.
func (e *Early) Kill() error { return nil }

// Wait does nothing.
func (e *Early) Wait() {}

// Target is nil.
func (e *Early) Target([]string, int) Target { return nil }

// Close does nothing.
func (e *Early) Close() {}
