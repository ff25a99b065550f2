//go:build !unix

package runner

// ownTime returns nil: it would need a library on this system. The profiler's sensors have the value.
func ownTime() *float64 { return nil }

// ownPeak returns nil: on this system the target does not inherit the value.
func ownPeak() *float64 { return nil }
