package inventory

import "golang.org/x/sys/unix"

// becomeNobody makes the calling thread one of the user nobody. Package syscall would change all threads.
func becomeNobody() error {
	const nobody = 65534
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
		return errno
	}
	return nil
}
