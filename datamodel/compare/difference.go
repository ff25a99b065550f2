package compare

import (
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
)

// What names a condition under which runs are measured. Runs with different conditions are not comparable without a doubt.
type What string

// The conditions, in the order in which they are told.
const (
	OfCommand    What = "command"
	OfCPU        What = "cpu"
	OfCPUs       What = "cpus"
	OfLimit      What = "cpu limit"
	OfGovernor   What = "governor"
	OfTurbo      What = "turbo"
	OfKernel     What = "kernel"
	OfVirtual    What = "virtualization"
	OfSensors    What = "energy sensors"
	OfProvenance What = "provenance"
	OfVersion    What = "ergon"
	OfHost       What = "host"
)

// Fact is a condition and its value in one run. The value is empty if it is unknown.
type Fact struct {
	What  What
	Value string
}

// Difference is a condition that differs between two sides. A side without a value is empty.
type Difference struct {
	What      What
	Base, New string
}

// Facts returns the conditions of a run, from its manifest, in a fixed order. They include unknown ones.
func Facts(run datamodel.Run) []Fact {
	host := run.Host
	known := map[string]string{}
	for _, p := range datamodel.HostFacts(host) {
		known[p.Key] = p.Value
	}
	limit := known["limit/processors"]
	if quota := known["limit/quota"]; quota != "" {
		limit = strings.TrimPrefix(limit+", quota "+quota, ", ")
	}
	return []Fact{
		{OfCPU, host.CPU},
		{OfCPUs, known["cpus"]},
		{OfLimit, limit},
		{OfGovernor, known["governor"]},
		{OfTurbo, known["turbo"]},
		{OfKernel, host.Kernel},
		{OfVirtual, host.Virtualization},
		{OfVersion, run.Version},
		{OfHost, host.Name},
	}
}

// Differ returns the conditions that differ between two lists of the same conditions. An unknown value differs from none.
func Differ(base, fresh []Fact) (list []Difference) {
	for _, b := range base {
		i := slices.IndexFunc(fresh, func(n Fact) bool { return n.What == b.What })
		if i >= 0 && b.Value != "" && fresh[i].Value != "" && b.Value != fresh[i].Value {
			list = append(list, Difference{b.What, b.Value, fresh[i].Value})
		}
	}
	return list
}
