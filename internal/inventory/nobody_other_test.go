//go:build unix && !linux

package inventory

import "errors"

// becomeNobody cannot change one thread here.
func becomeNobody() error { return errors.New("this test needs an ordinary user on this system") }
