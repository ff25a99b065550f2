package datamodel

import (
	"slices"
	"testing"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

func TestBasis(t *testing.T) {
	h := HostInfo{CPU: "Xeon", CPUs: 8, Kernel: "6.1.0", Scaling: sensors.Scaling{Governor: "powersave"}}
	b := BasisOf(h)
	if got := b.Differences(BasisOf(h)); got != nil {
		t.Errorf("the same machine differs in %v", got)
	}
	h.Name, h.Memory = "other", 1 // do not count
	if BasisOf(h) != b {
		t.Error("the name counts")
	}
	h.CPUs, h.Kernel, h.Scaling.Governor = 0, "6.2.0", ""
	if got := b.Differences(BasisOf(h)); !slices.Equal(got, []string{"cpus", "kernel", "governor"}) {
		t.Errorf("%v", got)
	}
}

func TestMeans(t *testing.T) {
	m := Value(Energy, 1, units.Joule, "delta", sensors.FromCounter, "rapl")
	m.Parts = []Part{{CPUPart, "packages"}, {GPUPart, "GPUs"}}
	if got := MeansOf(m); got != (Means{sensors.FromCounter, "packages, GPUs"}) {
		t.Errorf("%+v", got)
	}
	m.Parts = m.Parts[:1]
	if MeansOf(m).Parts != "packages" {
		t.Errorf("%+v", MeansOf(m))
	}
}
