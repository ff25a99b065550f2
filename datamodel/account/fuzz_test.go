package account

import (
	"testing"

	"github.com/ergon-energy/ergon/sensors"
)

// FuzzCover takes any device names. Whatever is chosen is a counter of joules, chosen once and named.
func FuzzCover(f *testing.F) {
	f.Add("package-0", "package-0/dram", "psys")
	f.Add("mmio/package-0", "package-0-die-1", "package-0/core")
	f.Add("package-", "-die-", "mmio/")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		list := declared(zone(a), zone(b), zone(c), watts())
		members, name := Cover(list)
		if (len(members) == 0) != (name == "") {
			t.Errorf("%d members of %q", len(members), name)
		}
		for i, m := range members {
			if m < 0 || m > 2 || i > 0 && m <= members[i-1] {
				t.Errorf("members %v", members)
			}
			if d := list[m].Domain.Kind; d == sensors.CoreDomain || d == sensors.UnknownDomain ||
				d == sensors.PlatformDomain && len(members) > 1 {
				t.Errorf("%s is summed in %s", list[m].Device, name)
			}
		}
	})
}
