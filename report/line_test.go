package report_test

import (
	"math"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/report"
)

// TestLine: the letters of GNU time, and those of energy. What is missing is "-".
func TestLine(t *testing.T) {
	code := 3
	r := datamodel.Result{Run: datamodel.Run{Command: []string{"a", "b c"}, ExitCode: &code}, Summary: []datamodel.Metric{
		{Name: datamodel.WallTime, Value: 3661.239},
		{Name: datamodel.CPUTime, Value: 7000},
		{Name: datamodel.CPUUserTime, Value: 1.005},
		{Name: datamodel.CPUSystemTime, Value: 0.25},
		{Name: datamodel.PeakMemory, Value: 3 << 20},
		{Name: datamodel.Energy, Value: 400},
		{Name: datamodel.TargetEnergy, Value: math.NaN()},
		{Name: datamodel.Power, Value: 12.345},
		{Name: datamodel.DiskRead, Value: 1024},
	}}
	f := func(format, want string) {
		t.Helper()
		if got, err := report.Line(r, format); got != want || err != nil {
			t.Errorf("%q gives %q, %v, want %q", format, got, err, want)
		}
	}
	f("%e %E %S", "3661.24 1:01:01 0.25")
	f("%P", "191%")
	f("%M %I %O", "3072 2 -")
	f("%J %W %G", "400.00 12.35 -")
	f("%x %C", "3 a b c")
	f("%F %R %w %c", "- - - -")
	r.Tree = &datamodel.Node{Level: datamodel.HostLevel, Children: []*datamodel.Node{{Level: datamodel.DeviceLevel, Name: "target", Metrics: []datamodel.Metric{
		{Name: datamodel.MinorFaults, Value: 164},
		{Name: datamodel.VoluntarySwitches, Value: 8},
		{Name: datamodel.InvoluntarySwitches, Value: 2},
	}}}}
	f("%F %R %w %c", "- 164 8 2")
	f(`%%\t\\\n`, "%\t\\\n")
	f(report.Posix, "real 3661.24\nuser 1.00\nsys 0.25")
	wrong := func(format, want string) {
		t.Helper()
		if _, err := report.Line(r, format); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", format, err, want)
		}
	}
	wrong("%Q", "unknown %Q")
	wrong("x%", "ends with %")
	wrong(`\q`, `unknown \q`)
}
