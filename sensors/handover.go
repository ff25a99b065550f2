package sensors

// First tells which process takes the first reading of a source, and when.
type First uint8

const (
	// InSampler is for a source that may block or end the process that reads it. Only the sampler process reads it. If
	// the host has such a source, the sampler is started before the command.
	InSampler First = iota
	// AtStart is for counters that answer at once. The runner opens and reads them before the command's first instruction.
	// If the command lives longer than half an interval, the runner hands them over to the sampler.
	AtStart
	// AtBeat is for gauges. The sampler opens and reads them when it joins. A shorter command has no reading of them.
	AtBeat
)

// Heir is a Source that needs a Legacy to continue a source in another process. The readings of both sources then fit
// together: counters keep their zero.
type Heir interface {
	// Bequeath returns what the source in the other process needs. The files stay open and belong to this source.
	Bequeath() Legacy
	// Inherit takes over from a source with the same sensors. It is called once, after Open and Follow and before Read. The
	// files then belong to this source, even after an error.
	Inherit(Legacy) error
}

// Legacy is what one source hands over to another. Only sources of the same backend understand it.
type Legacy struct {
	Numbers []int64
	// Files are file descriptors.
	Files []int
}
