package main

import (
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/internal/fixture"
)

// TestRatedMachines checks the rated power of recorded machines, from their own files.
func TestRatedMachines(t *testing.T) {
	for _, c := range []struct {
		name  string
		power float64
		says  string
	}{
		{"epyc-2s-dies", 450, "2 packages of 225 W"},
		{"container-masked", 205, "205 W"},
		{"laptop-psys", 0, `no rated power is known for "11th Gen Intel(R) Core(TM) i7-1185G7 @ 3.00GHz"`}, // a range only
		{"grace", 0, "no rated power is known for"},
		{"empty-vm", 0, "the processor's name is unknown here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := fixture.Host(t, c.name)
			info := backend.Describe(host)
			complete(t.Context(), host, nil, nil, time.Second, &info, nil)
			r := account.Rate(info)
			if r.Power != c.power || !strings.Contains(r.Of+r.Reason, c.says) {
				t.Errorf("%q: %+v, want %g W, %q", info.CPU, r, c.power, c.says)
			}
		})
	}
	// The share of a processor is the number of the machine's CPUs over the model's threads; here it depends on the test machine.
	host := fixture.Unpack(t, "-- proc/cpuinfo --\nprocessor : 0\nmodel name : AMD EPYC 7763 64-Core Processor\nphysical id : 0\nflags : fpu hypervisor\n")
	info := backend.Describe(host)
	if r := account.Rate(info); r.Power != 280*float64(info.CPUs)/128 || !strings.Contains(r.Of, "of 128 threads of 280 W") {
		t.Errorf("%+v of %+v", r, info)
	}
}
