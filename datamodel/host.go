package datamodel

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
)

// HostFacts returns facts about a machine and its settings as lines in a fixed order. They are the metadata of the host
// node. An unknown fact has no line. Numbers are in base units, without the unit.
func HostFacts(h HostInfo) []Pair {
	var out []Pair
	add := func(key, value string) {
		if value != "" {
			out = append(out, Pair{key, value})
		}
	}
	count := func(key string, n int) {
		if n > 0 {
			add(key, strconv.Itoa(n))
		}
	}
	add("os", h.OS)
	add("kernel", h.Kernel)
	add("architecture", h.Architecture)
	add("cpu", h.CPU)
	count("cpus", h.CPUs)
	count("cores", h.Cores)
	count("sockets", h.Sockets)
	add("microcode", h.Microcode)
	add("memory", strconv.FormatUint(h.Memory, 10))
	if h.Swap != nil {
		add("swap", strconv.FormatUint(*h.Swap, 10))
	}
	count("numa_nodes", h.NUMANodes)
	add("virtualization", h.Virtualization)
	add("container", h.Container)
	add("clocksource", h.Clocksource)
	add("mitigations", h.Mitigations)
	add("kernel_parameters", h.Parameters)
	scalingFacts(h.Scaling, add)
	for _, c := range h.PowerCaps {
		add("power_cap/"+c.Zone+"/"+c.Constraint, strconv.FormatFloat(c.Limit, 'g', -1, 64))
	}
	for i, g := range h.GPUs {
		add("gpu/"+strconv.Itoa(i), g)
	}
	add("gpu_driver", h.GPUDriver)
	add("cgroup", h.Cgroup)
	l := h.Limits
	if l.Allowed > 0 {
		add("limit/processors", l.Processors)
	}
	if l.Quota > 0 {
		add("limit/quota", strconv.FormatFloat(l.Quota, 'g', -1, 64))
		add("limit/quota_source", l.QuotaSource)
	}
	if l.Memory > 0 {
		add("limit/memory", strconv.FormatUint(l.Memory, 10))
		add("limit/memory_source", l.MemorySource)
	}
	if g := h.Git; g != nil {
		add("git/commit", g.Commit)
		add("git/branch", g.Branch)
		if g.Dirty != nil {
			add("git/dirty", strconv.FormatBool(*g.Dirty))
		}
		add("git/reason", g.Reason)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Environment)) {
		add("env/"+name, h.Environment[name])
	}
	return out
}

func scalingFacts(s sensors.Scaling, add func(key, value string)) {
	add("frequency_driver", s.Driver)
	add("governor", s.Governor)
	add("governors_beside", strings.Join(s.Others, ", "))
	add("energy_performance_preference", s.Preference)
	if s.Turbo != nil {
		add("turbo", map[bool]string{true: "on", false: "off"}[*s.Turbo])
	}
	if s.Max > 0 {
		add("frequency_min", strconv.FormatFloat(s.Min, 'f', -1, 64))
		add("frequency_max", strconv.FormatFloat(s.Max, 'f', -1, 64))
	}
	add("frequency_change", s.Change)
}
