package backend

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/ergon-energy/ergon/sensors"
)

// unavailable returns the error of Open if no sensor of a family can be read.
func unavailable(cause sensors.Cause, reason string) error {
	return &sensors.UnavailableError{Cause: cause, Reason: reason}
}

// unreadable returns the error of Open if a file that the whole family depends on cannot be read.
func unreadable(path string, err error) error { return unavailable(cause(err), path+": "+reason(err)) }

// noneOf returns the error of Open if all sensors of a family are absent. It has the cause and the reason of the first.
func noneOf(absences []sensors.Absence) error {
	first := absences[0]
	return unavailable(first.Cause, first.Source+": "+first.Reason)
}

// absent returns the absence of a sensor whose file or call gave err.
func absent(s sensors.Sensor, source string, err error) sensors.Absence {
	a := absentGroup(s.Family, s.ID, source, err)
	a.Domain, a.Device = s.Domain, s.Device
	return a
}

// absentGroup returns the absence of several sensors of a family, under the part of the ID that they share.
func absentGroup(family, id, source string, err error) sensors.Absence {
	return sensors.Absence{ID: id, Family: family, Source: source, Cause: cause(err), Reason: reason(err)}
}

// absenceError is an error with a cause that does not follow from the errors it wraps.
type absenceError struct {
	cause  sensors.Cause
	reason string
}

func (e *absenceError) Error() string { return e.reason }

// cause classifies an error of opening or reading a file or event.
func cause(err error) sensors.Cause {
	var own *absenceError
	switch {
	case errors.As(err, &own):
		return own.cause
	case errors.Is(err, fs.ErrPermission):
		return sensors.Denied
	case errors.Is(err, fs.ErrNotExist):
		return sensors.NotPresent
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EOPNOTSUPP):
		return sensors.Unsupported
	case errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ESRCH):
		return sensors.Gone
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return sensors.TimedOut
	}
	return sensors.Unreadable
}

// reason describes an error of opening or reading a file for people. It leaves out the path, which the absence already has.
func reason(err error) string {
	var own *absenceError
	var p *fs.PathError
	switch {
	case errors.As(err, &own):
		return own.reason
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	case errors.Is(err, fs.ErrNotExist):
		return "no such file"
	case errors.As(err, &p):
		return p.Err.Error()
	}
	return err.Error()
}
