package account

import (
	"fmt"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// writtenFactor and writtenSlack, in By, are how far the kernel's count of written bytes must exceed what storage can
	// have got. The disks and the memory are not read at the same moment, and a file system may write blocks of its own size.
	writtenFactor, writtenSlack = 2, 16 << 20
)

// StorageMatters reports whether the command wrote so much, by the kernel's count, that the accounting asks if the disks
// could have got it.
func StorageMatters(l datamodel.Ledger) bool {
	v, ok := have(l.WriteBytes)
	return ok && v > writtenSlack
}

// plausible returns the bytes that the command wrote, or an upper bound if the kernel's count contradicts the disks.
//
// The kernel counts when a page of a file gets its first change, and a large folio as a whole: 1000 writes of 8 KiB with
// fdatasync count 2 GiB on ext4 since Linux 6.16. What reaches storage is on a disk at the end, or memory still holds it, or
// its file was removed before. The sum of the three, with the writes of all others, is the bound. It is one only if no file system
// and no device takes writes that the disks do not count.
func (h *host) plausible(m datamodel.Metric, w *doubts) datamodel.Metric {
	cancelled, known := have(h.Ledger.CancelledBytes)
	if m.Reason != "" || !known || h.unwaited || !h.Machine.Storage.AllOnDisks() {
		return m
	}
	dirty := h.find(sensors.MemoryDirty)
	disks := h.every(sensors.DiskWritten)
	if dirty == nil || dirty.Count() == 0 || len(disks) == 0 {
		return m
	}
	var written float64
	for _, s := range disks {
		if s.WhyNoDelta() != "" || h.whyPart(s) != "" {
			return m
		}
		written += s.Delta()
	}
	most := written + dirty.Greatest() + cancelled
	if !(m.Value > writtenFactor*most+writtenSlack) {
		return m
	}
	size := func(v float64) string { return units.Format(v, units.Byte) }
	w.list = append(w.list, datamodel.Warning{Subject: "target/written", Cause: datamodel.KernelCount, Text: fmt.Sprintf(
		"the kernel counted %s written by the command, but all disks of the machine wrote %s and memory held at most %s for them: "+
			"it counts whole blocks of memory where a part was written, so the smaller sum is given as an upper bound",
		size(m.Value), size(written), size(dirty.Greatest()))})
	bound := datamodel.Value(m.Name, most, m.Unit, "sum", sensors.FromCounter.Weaker(dirty.Sensor().Origin()),
		"what all disks wrote, memory held for them and removed files had")
	bound.Bound, bound.Count, bound.Gaps = datamodel.UpperBound, m.Count, m.Gaps
	return bound
}
