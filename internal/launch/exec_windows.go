package launch

import "errors"

// Exec returns an error: no process becomes another program here.
func Exec([]string, []string) error { return errors.ErrUnsupported }
