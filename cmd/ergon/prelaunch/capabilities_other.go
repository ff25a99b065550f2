//go:build !linux || cgo

package prelaunch

// Restrict does nothing: the constructor has given up the capabilities, or this system has none.
func Restrict() {}
