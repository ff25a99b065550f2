//go:build !linux

package backend

// covered reports whether something is mounted over a file. Other systems read no such files.
func covered(string) bool { return false }
