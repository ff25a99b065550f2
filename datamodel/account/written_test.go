package account

import (
	"math/rand/v2"
	"testing"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// storageOf returns a host whose command wrote, by the kernel's count, and whose disks and memory are as given, in By.
func storageOf(counted, disks, dirty, cancelled float64) Host {
	disk := sensor("disk/vda/written", sensors.Counter, units.Byte, "test")
	disk.Use, disk.Device = sensors.DiskWritten, "vda"
	held := sensor("memory/dirty", sensors.Gauge, units.Byte, "test")
	held.Use = sensors.MemoryDirty
	return Host{
		Machine: datamodel.HostInfo{Storage: sensors.Storage{Listed: true}},
		Ledger: datamodel.Ledger{
			WallTime: new(1.0), WriteBytes: &counted, CancelledBytes: &cancelled, UserTime: new(0.1), SystemTime: new(0.1), GroupTime: new(0.2),
		},
		Series: []*series.Series{line(disk, 1e9, 1e9+disks, sec), line(held, 0, dirty, sec)},
	}
}

// written returns the command's written bytes, and whether a warning has the cause KernelCount.
func written(h Host) (m datamodel.Metric, doubted bool) {
	r := Account(Input{Hosts: []Host{h}})
	for _, w := range r.Warnings {
		doubted = doubted || w.Cause == datamodel.KernelCount
	}
	return datamodel.Pick(r.Summary, datamodel.DiskWrite), doubted
}

// TestWrittenBytesAgainstTheDisks makes 10,000 random histories. In each, a part of what the command wrote is on a disk, a part is
// still in memory and a part was removed, and others write too. An honest count is never doubted. A count of whole folios is
// doubted if it is above the bound, and the bound is never below the truth.
func TestWrittenBytesAgainstTheDisks(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 19))
	part := func() float64 { return float64(r.IntN(1 << 28 >> r.IntN(20))) }
	doubts := 0
	for range 10_000 {
		sent, held, removed := part(), part(), part()
		truth := sent + held + removed
		disks, dirty := sent+part(), held+part()
		if m, doubted := written(storageOf(truth, disks, dirty, removed)); doubted || m.Value != truth || m.Bound != "" {
			t.Fatalf("an honest count of %v is %v, bound %q, doubted: %v", truth, m.Value, m.Bound, doubted)
		}
		counted := truth * float64(int(2)<<r.IntN(8))
		m, doubted := written(storageOf(counted, disks, dirty, removed))
		if must := counted > writtenFactor*(disks+dirty+removed)+writtenSlack; doubted != must {
			t.Fatalf("%v counted, %v possible: doubted %v", counted, disks+dirty+removed, doubted)
		}
		if doubted != (m.Bound == datamodel.UpperBound) || doubted && (m.Value < truth || m.Provenance == sensors.FromCounter) {
			t.Fatalf("%v counted for %v: %v by %s, bound %q", counted, truth, m.Value, m.Provenance, m.Bound)
		}
		if doubted {
			doubts++
		}
	}
	if doubts < 1000 {
		t.Errorf("only %d counts were doubted", doubts)
	}
}

// TestWrittenBytesWithoutProof checks that nothing is doubted if writes may go elsewhere, or if a part of the bound is unknown.
func TestWrittenBytesWithoutProof(t *testing.T) {
	const mib = 1 << 20
	bad := func() Host { return storageOf(2000*mib, 10*mib, 0, 0) }
	if _, doubted := written(bad()); !doubted {
		t.Fatal("the contradiction itself is not found")
	}
	for name, change := range map[string]func(*Host){
		"a network file system": func(h *Host) { h.Machine.Storage.Elsewhere = []string{"nfs4"} },
		"a loop device":         func(h *Host) { h.Machine.Storage.Elsewhere = []string{"loop0"} },
		"a tape of before":      func(h *Host) { h.Machine.Storage = sensors.Storage{} },
		"no disks":              func(h *Host) { h.Series = h.Series[1:] },
		"no memory":             func(h *Host) { h.Series = h.Series[:1] },
		"removed is unknown":    func(h *Host) { h.Ledger.CancelledBytes = nil },
		"not waited for":        func(h *Host) { h.Ledger.Survivors = new(1.0) },
		"read for a tenth":      func(h *Host) { h.Ledger.WallTime = new(10.0) },
	} {
		h := bad()
		change(&h)
		if m, doubted := written(h); doubted || m.Bound == datamodel.UpperBound {
			t.Errorf("%s: %v, bound %q, doubted: %v", name, m.Value, m.Bound, doubted)
		}
	}
}
