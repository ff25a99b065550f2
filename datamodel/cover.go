package datamodel

import (
	"strings"

	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// domain is what a RAPL zone measures, told by its name as the kernel gives it
// (Documentation/power/powercap/powercap.rst). The folder a zone lies in says nothing: dram lies below a package and
// is not part of its energy.
type domain uint8

const (
	unknownDomain domain = iota
	// packageDomain is a socket, or a die of one: package-0, package-0-die-1.
	packageDomain
	// dramDomain is memory, outside the package.
	dramDomain
	// insideDomain is core and uncore, which the package contains.
	insideDomain
	// platformDomain is psys, which contains the packages and on some boards much of the rest.
	platformDomain
)

// mirror is how the devices of intel-rapl-mmio zones start: the same domains read through another register.
const mirror = "mmio/"

// isMachineEnergy says whether s is one of the counters a cover is chosen from.
func isMachineEnergy(s sensors.Sensor) bool {
	return s.Family == "rapl" && s.Kind == sensors.Counter && s.Unit == units.Joule
}

// domainOf tells the domain by the device of a rapl sensor: "package-0", "package-0/dram", "psys-1",
// "mmio/package-0".
func domainOf(device string) domain {
	device = strings.TrimPrefix(device, mirror)
	parent, name, nested := strings.Cut(device, "/")
	if !nested {
		name = parent
		if isPackage(name) {
			return packageDomain
		}
	} else if !isPackage(parent) {
		return unknownDomain
	}
	word, index, numbered := strings.Cut(name, "-")
	if numbered && !isNumber(index) {
		return unknownDomain
	}
	switch word {
	case "dram":
		return dramDomain
	case "core", "uncore":
		return insideDomain
	case "psys":
		return platformDomain
	}
	return unknownDomain
}

// isPackage accepts package-N and package-N-die-M.
func isPackage(name string) bool {
	rest, ok := strings.CutPrefix(name, "package-")
	if !ok {
		return false
	}
	socket, die, hasDie := strings.Cut(rest, "-die-")
	return isNumber(socket) && (!hasDie || isNumber(die))
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Cover chooses the energy counters that together are the machine's CPU and memory energy, no part counted twice:
// the packages and the dram beside them, or psys where there is no package. It gives their indices in list, in order,
// and a name for the choice ("packages + dram"); none and "" where there is nothing to choose from.
//
// Core and uncore lie inside the package and psys around it, so neither is added to it. An MMIO zone is left out
// where list has the same zone without MMIO. A zone of a name that is not known is never summed: whether it overlaps
// another cannot be told.
func Cover(list []sensors.Sensor) (members []int, name string) {
	plain := make(map[string]bool)
	for _, s := range list {
		if isMachineEnergy(s) {
			plain[s.Device] = true
		}
	}
	of := make(map[domain][]int)
	var summed []int
	for i, s := range list {
		if !isMachineEnergy(s) {
			continue
		}
		if twin, ok := strings.CutPrefix(s.Device, mirror); ok && plain[twin] {
			continue
		}
		d := domainOf(s.Device)
		of[d] = append(of[d], i)
		if d == packageDomain || d == dramDomain {
			summed = append(summed, i)
		}
	}
	switch {
	case len(of[packageDomain]) > 0 && len(of[dramDomain]) > 0:
		return summed, "packages + dram"
	case len(of[packageDomain]) > 0:
		return summed, "packages"
	case len(of[platformDomain]) > 0:
		// Several psys domains would be the views of one board; their sum is not known to be meaningful.
		return of[platformDomain][:1], "psys"
	}
	return nil, ""
}

// leftOut says in words why a rapl sensor is not in the cover that was chosen from the same list.
func leftOut(s sensors.Sensor) string {
	if strings.HasPrefix(s.Device, mirror) {
		return "the same zone read another way"
	}
	switch domainOf(s.Device) {
	case insideDomain:
		return "inside the package"
	case platformDomain:
		return "contains the packages"
	case dramDomain:
		return "part of another total"
	case packageDomain, unknownDomain:
	}
	return "what this zone overlaps is not known"
}
