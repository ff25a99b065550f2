package launch

import "golang.org/x/sys/unix"

const atSecure = 23 // AT_SECURE in linux/auxvec.h

// Privileged reports whether this program has rights that its caller lacks, because its file has capabilities or is setuid
// or setgid (AT_SECURE in getauxval(3)). Then nothing that the caller names may be loaded or believed.
func Privileged() bool {
	list, err := unix.Auxv()
	if err != nil {
		return SetUID()
	}
	for _, entry := range list {
		if entry[0] == atSecure {
			return entry[1] != 0
		}
	}
	return false
}
