package sampler

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// start starts the sampler. Meanwhile this thread, and so the child, blocks the terminal's stop signals. Go's child holds
// this thread until its execve (vfork(2)). Before setsid, the child is still in our process group. If Ctrl-Z stopped the
// child there, this thread could not stop, and the shell would wait for ergon forever.
func start(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var stops, old unix.Sigset_t
	for _, s := range []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
		stops.Val[0] |= 1 << (s - 1)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &stops, &old); err != nil {
		return err
	}
	err := cmd.Start()
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) // it fails only on a wrong argument
	return err
}
