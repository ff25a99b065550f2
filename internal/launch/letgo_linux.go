package launch

import (
	"os"

	"golang.org/x/sys/unix"
)

// LetGo puts /dev/null in place of a file. A process whose thread waits for a file system that does not answer stays after
// its end, with all its files. Who reads the other end of a pipe would wait for it.
func LetGo(f *os.File) {
	null, err := unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_ = unix.Dup3(null, int(f.Fd()), 0)
	_ = unix.Close(null)
}
