//go:build !linux

package launch

// Privileged reports whether this program has rights that its caller lacks, because its file is setuid or setgid. Then nothing
// that the caller names may be loaded or believed.
func Privileged() bool { return SetUID() }
