package datamodel

import (
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
)

// Basis is what must be the same on two machines before their figures are compared. An unknown field is "" or 0. Two machines
// may be compared if their bases are equal by ==.
type Basis struct {
	// CPU is the model of the processors, and CPUs the number of logical ones.
	CPU  string `json:"cpu"`
	CPUs int    `json:"cpus"`
	// Kernel is the release of the kernel.
	Kernel string `json:"kernel"`
	// Governor chooses the frequency of the processors.
	Governor string `json:"governor"`
}

// BasisOf returns the basis of a machine.
func BasisOf(h HostInfo) Basis {
	return Basis{CPU: h.CPU, CPUs: h.CPUs, Kernel: h.Kernel, Governor: h.Scaling.Governor}
}

// Facts returns the fields by name, in a fixed order: cpu, cpus, kernel, governor. An unknown field is "".
func (b Basis) Facts() []Pair {
	cpus := ""
	if b.CPUs > 0 {
		cpus = strconv.Itoa(b.CPUs)
	}
	return []Pair{{"cpu", b.CPU}, {"cpus", cpus}, {"kernel", b.Kernel}, {"governor", b.Governor}}
}

// Differences returns the names of the fields that differ, in the order of Facts.
func (b Basis) Differences(other Basis) (names []string) {
	theirs := other.Facts()
	for i, f := range b.Facts() {
		if f != theirs[i] {
			names = append(names, f.Key)
		}
	}
	return names
}

// Means is how a figure was obtained. Figures of one metric are compared if their means are equal by ==: an energy of the
// packages says nothing about one of the packages and a GPU, nor an estimate about a counter.
type Means struct {
	Provenance sensors.Provenance `json:"provenance"`
	// Parts names the parts of the machine that an energy or power covers, in the order of Metric.Parts, between ", ". It is ""
	// for other metrics.
	Parts string `json:"parts,omitempty"`
}

// MeansOf returns how a metric was obtained.
func MeansOf(m Metric) Means {
	names := make([]string, len(m.Parts))
	for i, p := range m.Parts {
		names[i] = p.Name
	}
	return Means{Provenance: m.Provenance, Parts: strings.Join(names, ", ")}
}
