//go:build !linux

package launch

import "errors"

// errProcessors says that this platform cannot choose processors.
var errProcessors = errors.New("only Linux lets a command run on some processors only")

// Allowed says that this platform cannot choose processors.
func Allowed() ([]int, error) { return nil, errProcessors }

// Pin says that this platform cannot choose processors.
func Pin(int, []int) error { return errProcessors }

func pinned(processors []int, start func() error) error {
	if processors != nil {
		return errProcessors
	}
	return start()
}
