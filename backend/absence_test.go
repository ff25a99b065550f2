package backend

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/sensors"
)

// causeOf returns the cause in an error of Open, or an empty cause if there is none.
func causeOf(err error) sensors.Cause {
	if u, ok := errors.AsType[*sensors.UnavailableError](err); ok {
		return u.Cause
	}
	return ""
}

// TestCause checks that the cause follows from the error's value, whatever its text.
func TestCause(t *testing.T) {
	for _, c := range []struct {
		err  error
		want sensors.Cause
	}{
		{syscall.EACCES, sensors.Denied},
		{syscall.EPERM, sensors.Denied},
		{syscall.ENOENT, sensors.NotPresent},
		{syscall.ENOSYS, sensors.Unsupported},
		{syscall.EOPNOTSUPP, sensors.Unsupported},
		{syscall.ENODEV, sensors.Gone},
		{syscall.ENXIO, sensors.Gone},
		{syscall.ESRCH, sensors.Gone},
		{syscall.ETIMEDOUT, sensors.TimedOut},
		{syscall.EIO, sensors.Unreadable},
		{errNoNumber, sensors.Unreadable},
		{errNotRegular, sensors.Unreadable},
		{errors.New("permission denied"), sensors.Unreadable},
		{&absenceError{sensors.Masked, "permission denied"}, sensors.Masked},
	} {
		err := fmt.Errorf("open: %w", &fs.PathError{Op: "open", Path: "/x", Err: c.err})
		if got := cause(err); got != c.want {
			t.Errorf("%v: %s, want %s", err, got, c.want)
		}
		if got := causeOf(unreadable("/x", err)); got != c.want {
			t.Errorf("unreadable, %v: %s, want %s", err, got, c.want)
		}
	}
}
