//go:build unix

package launch

import "syscall"

// Attributes returns the attributes that make a new process another user's; nil for no other user.
func (u *User) Attributes() *syscall.SysProcAttr {
	if u == nil {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}}
}
