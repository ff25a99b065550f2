package datamodel

// Now is the state of the machine and the command at one moment of a run. An unknown value is NaN.
type Now struct {
	// Power is the power of the machine's measured parts, including GPUs, in W.
	Power float64
	// CPU is the busy share of all CPUs of the machine, 0 to 1.
	CPU float64
	// Memory is the resident memory of the command's processes, in By.
	Memory float64
}
