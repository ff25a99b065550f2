package sensors_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/ergon-energy/ergon/sensors"
)

// TestAbsenceJSON checks that an absence is the same after JSON, and that older files can be read.
func TestAbsenceJSON(t *testing.T) {
	for _, c := range []struct {
		absence sensors.Absence
		want    string
	}{
		{
			sensors.Absence{ID: "rapl/psys/energy", Family: "rapl", Source: "energy_uj", Cause: sensors.Denied, Reason: "permission denied"},
			`{"id":"rapl/psys/energy","family":"rapl","source":"energy_uj","cause":"denied","reason":"permission denied","present":true}`,
		},
		{
			sensors.Absence{ID: "rapl", Family: "rapl", Cause: sensors.Unsupported, Reason: "no powercap"},
			`{"id":"rapl","family":"rapl","cause":"unsupported","reason":"no powercap"}`,
		},
	} {
		text, err := json.Marshal(c.absence)
		if err != nil || string(text) != c.want {
			t.Errorf("%s, %v, want %s", text, err, c.want)
		}
		var back sensors.Absence
		if err := json.Unmarshal(text, &back); err != nil || back != c.absence {
			t.Errorf("%+v, %v, want %+v", back, err, c.absence)
		}
	}
	var old sensors.Absence
	if err := json.Unmarshal([]byte(`{"id":"rapl/psys/energy","reason":"b"}`), &old); err != nil || old.Family != "rapl" {
		t.Errorf("an older file: family %q, %v", old.Family, err)
	}
	for text, present := range map[string]bool{
		`{"id":"a","reason":"b","present":true}`:                   true,
		`{"id":"a","reason":"b"}`:                                  false,
		`{"id":"a","reason":"b","cause":"no_driver"}`:              false,
		`{"id":"a","reason":"b","cause":"denied","present":false}`: true,
		`{"id":"a","reason":"b","cause":"of a later version"}`:     false,
	} {
		var a sensors.Absence
		if err := json.Unmarshal([]byte(text), &a); err != nil || a.Present() != present {
			t.Errorf("%s: present %t, %v", text, a.Present(), err)
		}
	}
}

// TestAbsenceOf checks that the absence of a family has the cause of Open's error, even if the error is wrapped.
func TestAbsenceOf(t *testing.T) {
	unavailable := &sensors.UnavailableError{Cause: sensors.Masked, Reason: "hidden by a container"}
	for _, err := range []error{unavailable, fmt.Errorf("open: %w", unavailable), errors.Join(unavailable, errors.New("close"))} {
		a := sensors.AbsenceOf("rapl", err)
		if a != (sensors.Absence{ID: "rapl", Family: "rapl", Cause: sensors.Masked, Reason: "hidden by a container"}) || !errors.Is(err, sensors.ErrUnavailable) {
			t.Errorf("%v: %+v", err, a)
		}
	}
	if a := sensors.AbsenceOf("rapl", errors.New("disk failure")); a.Cause != sensors.Unreadable || a.Reason != "disk failure" {
		t.Errorf("%+v", a)
	}
}
