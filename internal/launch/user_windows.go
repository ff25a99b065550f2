package launch

import "syscall"

// Attributes returns nil: on this system there is no root that could choose a user.
func (*User) Attributes() *syscall.SysProcAttr { return nil }
