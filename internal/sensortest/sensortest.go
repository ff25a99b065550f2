// Package sensortest tests what every sensor family must satisfy: the obligations in the comments of sensors.Source and
// sensors.Backend.
package sensortest

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// guard lies behind the end of every dst and must not change.
const guard = -271828.0

// Run runs the suite on a host where the backend finds at least one sensor, and on an empty host.
func Run(t *testing.T, backend sensors.Backend, host sensors.Setup) {
	t.Helper()
	Present(t, backend, host)
	t.Run("empty host", func(t *testing.T) { empty(t, backend) })
}

// Present is Run without the empty host, for a family that exists on every machine.
func Present(t *testing.T, backend sensors.Backend, host sensors.Setup) {
	t.Helper()
	t.Run("sensors", func(t *testing.T) { described(t, backend, host) })
	t.Run("stable", func(t *testing.T) { stable(t, backend, host) })
	t.Run("read", func(t *testing.T) { read(t, backend, host) })
	t.Run("allocations", func(t *testing.T) { allocations(t, backend, host) })
	t.Run("close", func(t *testing.T) { closed(t, backend, host) })
}

// Open opens a backend that must have a sensor, and closes it when the test ends.
func Open(t testing.TB, backend sensors.Backend, host sensors.Setup) (sensors.Source, []sensors.Absence) {
	t.Helper()
	source, absences, err := backend.Open(t.Context(), host)
	if err != nil {
		t.Fatalf("open %s: %v", backend.Name, err)
	}
	t.Cleanup(func() {
		if err := source.Close(); err != nil {
			t.Errorf("close %s: %v", backend.Name, err)
		}
	})
	return source, absences
}

// Read reads once and returns the values in the order of Sensors.
func Read(t testing.TB, source sensors.Source) []float64 {
	t.Helper()
	n := len(source.Sensors())
	dst := make([]float64, n+8)
	for i := range dst {
		dst[i] = guard
	}
	if err := source.Read(dst[:n:n]); err != nil {
		t.Fatalf("read: %v", err)
	}
	for _, v := range dst[n:] {
		if v != guard {
			t.Fatal("read wrote past the end of dst")
		}
	}
	for i, v := range dst[:n] {
		if v == guard {
			t.Errorf("%s: read left dst as it was", source.Sensors()[i].ID)
		}
	}
	return dst[:n]
}

func described(t *testing.T, backend sensors.Backend, host sensors.Setup) {
	if backend.Name == "" || backend.Name != strings.ToLower(backend.Name) {
		t.Errorf("backend's name %q is not in lower case", backend.Name)
	}
	if !sentence(backend.Doc) {
		t.Errorf("%s: doc %q is not a line of text", backend.Name, backend.Doc)
	}
	source, absences := Open(t, backend, host)
	for _, a := range absences {
		if a.ID == "" || a.Cause == "" || a.Reason == "" {
			t.Errorf("an absence without ID, cause or reason: %+v", a)
		}
	}
	if len(source.Sensors()) == 0 {
		t.Error("a source without a sensor: open should have given ErrUnavailable")
	}
	seen := map[string]bool{}
	for _, s := range source.Sensors() {
		if seen[s.ID] {
			t.Errorf("%s is in the list twice", s.ID)
		}
		if s.Domain.Kind != sensors.NoDomain && !backend.Baseline {
			t.Errorf("%s: has a domain of energy, but its backend %s is not opened for a baseline", s.ID, backend.Name)
		}
		seen[s.ID] = true
		form := s.Family + "/" + s.Device + "/" + s.Name
		if s.Device == "" {
			form = s.Family + "/" + s.Name
		}
		// A device may contain slashes (a mount point) or be shortened in the ID, so only the ends are fixed.
		if s.ID != form && (s.Family == "" || s.Name == "" ||
			!strings.HasPrefix(s.ID, s.Family+"/") || !strings.HasSuffix(s.ID, "/"+s.Name)) {
			t.Errorf("%s: not of the form family/device/name: %q", s.ID, form)
		}
		if strings.ContainsAny(s.ID, " \t\n*?[]{},") {
			t.Errorf("%s contains a character that --sensors does not allow", s.ID)
		}
		if s.Family != strings.ToLower(s.Family) || s.Name != strings.ToLower(s.Name) {
			t.Errorf("%s: family and name are not in lower case", s.ID)
		}
		if d, ok := datamodel.OfSensor(s.Family, s.Name); !ok || d.Unit != s.Unit {
			t.Errorf("%s in %s: the catalogue of metrics has %v, %q in %s", s.ID, s.Unit, ok, d.Name, d.Unit)
		}
		if !slices.Contains(units.All(), s.Unit) {
			t.Errorf("%s: unit %q is not in units.All", s.ID, s.Unit)
		}
		if s.Wrap < 0 || s.MaxRate < 0 || s.Kind == sensors.Gauge && (s.Wrap != 0 || s.MaxRate != 0) {
			t.Errorf("%s: wrap %v and greatest rate %v do not fit a %v", s.ID, s.Wrap, s.MaxRate, s.Kind)
		}
		if s.Kind == sensors.Gauge && !(s.Range.Most > s.Range.Least) || s.Kind == sensors.Counter && s.Range != (sensors.Range{}) {
			t.Errorf("%s: the range %+v does not fit a %v", s.ID, s.Range, s.Kind)
		}
		if s.Source == "" || !sentence(s.Doc) {
			t.Errorf("%s: source %q or doc %q is not a line of text", s.ID, s.Source, s.Doc)
		}
	}
	for _, a := range absences {
		if a.ID == "" || a.Reason == "" {
			t.Errorf("absence %+v: no id or no reason", a)
		}
		if seen[a.ID] {
			t.Errorf("%s: both a sensor and absent", a.ID)
		}
	}
}

// sentence reports whether s can be shown to people as one line.
func sentence(s string) bool {
	return s != "" && !strings.ContainsAny(s, "\n\t") && strings.TrimSpace(s) == s
}

func stable(t *testing.T, backend sensors.Backend, host sensors.Setup) {
	one, _ := Open(t, backend, host)
	before := slices.Clone(one.Sensors())
	two, _ := Open(t, backend, host)
	if !slices.Equal(before, two.Sensors()) {
		t.Errorf("opened twice, two lists:\n%+v\n%+v", before, two.Sensors())
	}
	Read(t, one)
	if !slices.Equal(before, one.Sensors()) {
		t.Error("reading changed the list of sensors")
	}
}

func read(t *testing.T, backend sensors.Backend, host sensors.Setup) {
	source, _ := Open(t, backend, host)
	first := Read(t, source)
	second := Read(t, source)
	for i, s := range source.Sensors() {
		for _, v := range []float64{first[i], second[i]} {
			if math.IsInf(v, 0) {
				t.Errorf("%s: reads %v", s.ID, v)
			}
			if s.Kind == sensors.Counter && (v < 0 || s.Wrap > 0 && v > s.Wrap) {
				t.Errorf("%s: counter reads %v, outside 0 to %v", s.ID, v, s.Wrap)
			}
		}
		if s.Kind == sensors.Counter && s.Wrap == 0 && second[i] < first[i] {
			t.Errorf("%s: counter fell from %v to %v", s.ID, first[i], second[i])
		}
	}
}

func allocations(t *testing.T, backend sensors.Backend, host sensors.Setup) {
	if runtime.GOOS != "linux" {
		t.Skip("only promised on Linux")
	}
	source, _ := Open(t, backend, host)
	dst := make([]float64, len(source.Sensors()))
	var err error
	if n := testing.AllocsPerRun(100, func() { err = errors.Join(err, source.Read(dst)) }); n != 0 {
		t.Errorf("read allocates %v times", n)
	}
	if err != nil {
		t.Errorf("read: %v", err)
	}
}

func closed(t *testing.T, backend sensors.Backend, host sensors.Setup) {
	source, _ := Open(t, backend, host)
	for range 2 {
		if err := source.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	dst := make([]float64, len(source.Sensors()))
	if err := source.Read(dst); err == nil {
		t.Error("read after close gives no error")
	}
	for i, v := range dst {
		if !math.IsNaN(v) {
			t.Errorf("%s: %v after close, not NaN", source.Sensors()[i].ID, v)
		}
	}
}

func empty(t *testing.T, backend sensors.Backend) {
	host := fixture.Empty(t)
	host.NVML = host.Sys // a folder is not a library
	source, _, err := backend.Open(t.Context(), host)
	if err == nil {
		err = source.Close()
		t.Fatalf("open gives no error on an empty host (close: %v)", err)
	}
	var u *sensors.UnavailableError
	if !errors.As(err, &u) {
		t.Fatalf("error %q is not an UnavailableError", err)
	}
	if !errors.Is(err, sensors.ErrUnavailable) || u.Cause == "" || u.Reason == "" {
		t.Errorf("error %q: cause %q, reason %q", err, u.Cause, u.Reason)
	}
}
