package sampler

import (
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/sensors"
)

func TestChoice(t *testing.T) {
	f := func(patterns, backend, id string, want bool) {
		t.Helper()
		c, err := parseChoice(strings.Fields(patterns))
		if err != nil {
			t.Fatalf("%q: %v", patterns, err)
		}
		if got := c.keeps(backend, id); got != want {
			t.Errorf("%q keeps %s: %v, want %v", patterns, id, got, want)
		}
		if want && c.excluded(backend) {
			t.Errorf("%q keeps %s, but its backend %s is not opened", patterns, id, backend)
		}
	}
	f("", "cpu", "cpu/user", true)
	f("-cpu", "cpu", "cpu/user", false)
	f("-cpu", "cpufreq", "cpu/cpu0/frequency", false)
	f("-cpufreq", "cpu", "cpu/user", true)
	f("-disk*", "filesystem", "disk/fs:|/free", false)
	f("-disk", "disk", "disk/vda/read", false)
	f("-* +rapl", "rapl", "rapl/package-0/energy", true)
	f("-* +rapl", "cpu", "cpu/user", false)
	f("rapl", "cpu", "cpu/user", false)
	f("rapl", "rapl", "rapl/package-0/energy", true)
	f("rapl cpu", "cpu", "cpu/user", true)
	f("+rapl -disk*", "cpu", "cpu/user", true)
	f("-disk +disk/vda", "disk", "disk/vda/read", true)
	f("-disk +disk/vda", "disk", "disk/vdb/read", false)
	f("+disk/vda -disk", "disk", "disk/vda/read", false)
	f("-nvml +gpu/*/power", "nvml", "gpu/GPU-1/power", true)
	f("-nvml +gpu/*/power", "nvml", "gpu/GPU-1/energy", false)
	f("-cpu/cpu[0-9]*", "cpu", "cpu/cpu12/user", false)
	f("-cpu/cpu[0-9]*", "cpu", "cpu/user", true)
}

func TestChoiceOpensNothingUnneeded(t *testing.T) {
	for patterns, want := range map[string]bool{
		"-nvml": true, "-nv*": true, "-*": true,
		"-nvml +gpu/*/power": false, "-* +nvml": false, "": false, "-gpu": false,
	} {
		c, err := parseChoice(strings.Fields(patterns))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.excluded("nvml"); got != want {
			t.Errorf("%q: nvml excluded %v, want %v", patterns, got, want)
		}
	}
}

func TestChoiceUnknown(t *testing.T) {
	f := func(patterns, wrong string) {
		t.Helper()
		c, err := parseChoice(strings.Fields(patterns))
		if err == nil {
			c.keeps("cpu", "cpu/user")
			err = c.check([]sensors.Backend{{Name: "cpu"}, {Name: "nvml"}}, "gpu")
		}
		if (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: error %v, want one about %q", patterns, err, wrong)
		}
	}
	f("-cpu", "")
	f("+nvml", "") // known, although this list has no such sensor
	f("-gpu", "")
	f("-cpu/user", "")
	f("-cpus", `"cpus"`)
	f("-cpu -mem", `"mem"`)
	f("[", "not a glob")
	f("+", "not a glob")
}
