package sensors

// First says which process takes the first reading of a source, and when.
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

// Continuer is a Source that another process can continue without a gap: a counter keeps its zero.
type Continuer interface {
	// HandOver returns what the source in the other process needs. The files stay open and belong to this source.
	HandOver() Handover
	// TakeOver continues a source with the same sensors. It is called once, after Open and Follow and before Read. The
	// files then belong to this source, even after an error.
	TakeOver(Handover) error
}

// Handover is what one source hands over to another. Only sources of the same backend understand it.
type Handover struct {
	Numbers []int64
	// Files are file descriptors.
	Files []int
}
