package datamodel

// Now is what the readings of a run say of the moment. A value that is not known is NaN.
type Now struct {
	// Power is that of the machine's measured parts, GPUs included, in watts.
	Power float64
	// CPU is the busy share of all CPUs of the machine, from 0 to 1.
	CPU float64
	// Memory is what the command's tree holds, in bytes.
	Memory float64
}
