//go:build unix

package launch

import (
	"errors"
	"syscall"
)

// Exec becomes the command. It returns only if that fails, with an *ExecError.
func Exec(argv, environ []string) error {
	path, err := lookPath(argv[0])
	if err != nil {
		return err
	}
	err = syscall.Exec(path, argv, environ)
	if errors.Is(err, syscall.ENOEXEC) { // a script without #!, which execvp gives to the shell
		err = syscall.Exec("/bin/sh", append([]string{"/bin/sh", path}, argv[1:]...), environ)
	}
	return &ExecError{argv[0], err}
}
