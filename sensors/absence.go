package sensors

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"
)

// Cause tells why a sensor is absent. It is the word stored in files. Programs use it to decide, never Absence.Reason.
type Cause string

const (
	// NotPresent means that the device, file, process or kernel subsystem does not exist.
	NotPresent Cause = "not_present"
	// Unsupported means that the hardware, driver, kernel, operating system or build has no such reading.
	Unsupported Cause = "unsupported"
	// Denied means that this user may not read it.
	Denied Cause = "denied"
	// Masked means that a container hides it.
	Masked Cause = "masked"
	// Hidden means that a setting of the user or the batch system hides it, such as CUDA_VISIBLE_DEVICES.
	Hidden Cause = "hidden"
	// UnknownOrder means that a setting names devices by number, and the order of the numbers is unknown.
	UnknownOrder Cause = "unknown_order"
	// OtherNamespace means that the kernel or driver names processes by the numbers of another PID namespace.
	OtherNamespace Cause = "other_namespace"
	// NoDriver means that the driver is not loaded.
	NoDriver Cause = "no_driver"
	// NoLibrary means that the driver's library cannot be loaded, or that the file is not that library.
	NoLibrary Cause = "no_library"
	// VersionMismatch means that the driver and its library have different versions.
	VersionMismatch Cause = "version_mismatch"
	// TimedOut means that there was no answer in time.
	TimedOut Cause = "timed_out"
	// TooShort means that the command ended before the first reading was due.
	TooShort Cause = "too_short"
	// NoMeter means that a counter is shown and never moves, so that nothing is behind it. Hypervisors show such counters.
	NoMeter Cause = "no_meter"
	// Gone means that the thing was there and has been removed, or has failed permanently.
	Gone Cause = "gone"
	// Unreadable means that the thing is there, but reading it fails for another reason: an I/O error, unknown text, too
	// many open files.
	Unreadable Cause = "unreadable"
)

// Present reports whether the thing exists although it cannot be read. It is false if that is unknown.
func (c Cause) Present() bool {
	switch c {
	case Denied, Masked, Hidden, UnknownOrder, VersionMismatch, TimedOut, TooShort, Unreadable:
		return true
	case NotPresent, Unsupported, OtherNamespace, NoDriver, NoLibrary, NoMeter, Gone:
	}
	return false
}

// Refused reports whether permissions or a container prevent the reading, so that a user with more rights could read it.
func (c Cause) Refused() bool { return c == Denied || c == Masked }

// Absence is a sensor, or a whole family, that cannot be read on this host.
type Absence struct {
	// ID is the ID of the sensor, or the name of the backend if none of its sensors can be read.
	ID string
	// Family is the family of the sensor or of the backend's sensors.
	Family string
	// Source is the file or call that was tried. It may be empty.
	Source string
	// Cause says why, for programs.
	Cause Cause
	// Reason says why, as a phrase for people: "permission denied", "no powercap in this kernel".
	Reason string
	// Domain is the part of the machine whose energy or power the sensor would read. Device is the device it would belong to.
	Domain Domain
	Device string
}

// AbsenceOf returns the absence of a whole family, given the error of its Open.
func AbsenceOf(family string, err error) Absence {
	if u, ok := errors.AsType[*UnavailableError](err); ok {
		return Absence{ID: family, Family: family, Cause: u.Cause, Reason: u.Reason}
	}
	return Absence{ID: family, Family: family, Cause: Unreadable, Reason: err.Error()}
}

// FamilyName returns the family of the backend's sensors.
func (b Backend) FamilyName() string { return cmp.Or(b.Family, b.Name) }

// Absent returns the absence of all of the backend's sensors.
func (b Backend) Absent(cause Cause, reason string) Absence {
	return Absence{ID: b.Name, Family: b.FamilyName(), Cause: cause, Reason: reason}
}

// AbsenceOf returns the absence of all of the backend's sensors, given the error of Open.
func (b Backend) AbsenceOf(err error) Absence {
	a := AbsenceOf(b.Name, err)
	a.Family = b.FamilyName()
	return a
}

// Present reports whether the thing exists although it cannot be read.
func (a Absence) Present() bool { return a.Cause.Present() }

// jsonAbsence is an Absence in JSON. Present follows from Cause. It is written for readers that do not know the causes.
type jsonAbsence struct {
	ID      string `json:"id"`
	Family  string `json:"family,omitempty"`
	Source  string `json:"source,omitempty"`
	Cause   Cause  `json:"cause,omitempty"`
	Reason  string `json:"reason"`
	Present bool   `json:"present,omitempty"`
	Domain  Domain `json:"domain,omitzero"`
	Device  string `json:"device,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (a Absence) MarshalJSON() ([]byte, error) {
	return json.Marshal(jsonAbsence{a.ID, a.Family, a.Source, a.Cause, a.Reason, a.Present(), a.Domain, a.Device})
}

// UnmarshalJSON implements json.Unmarshaler. Older files have no cause. If they say present, the cause is Unreadable.
// Older files have no family either. It is the first part of the ID.
func (a *Absence) UnmarshalJSON(text []byte) error {
	var j jsonAbsence
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	if j.Cause == "" && j.Present {
		j.Cause = Unreadable
	}
	if j.Family == "" {
		j.Family, _, _ = strings.Cut(j.ID, "/")
	}
	*a = Absence{j.ID, j.Family, j.Source, j.Cause, j.Reason, j.Domain, j.Device}
	return nil
}

// ErrUnavailable is wrapped by every UnavailableError.
var ErrUnavailable = errors.New("unavailable on this host")

// UnavailableError is the error of Backend.Open if no sensor of a family can be read on this host.
type UnavailableError struct {
	// Cause and Reason are copied to the family's Absence.
	Cause  Cause
	Reason string
}

func (e *UnavailableError) Error() string { return e.Reason + ": " + ErrUnavailable.Error() }

// Unwrap returns ErrUnavailable.
func (e *UnavailableError) Unwrap() error { return ErrUnavailable }
