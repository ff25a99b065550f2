package launch

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// awaitZombie returns when the child has ended but leaves it to be reaped (waitid(2), WNOWAIT).
func awaitZombie(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for process %d: %w", pid, err)
		}
	}
}
