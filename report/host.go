package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

// The types below are the host in report -f json; see jsonReport.
type (
	jsonHost struct {
		Name             string            `json:"name"`
		OS               string            `json:"os"`
		Kernel           string            `json:"kernel"`
		Architecture     string            `json:"architecture"`
		CPU              string            `json:"cpu"`
		CPUs             int               `json:"cpus"`
		Sockets          *int              `json:"sockets"`
		Cores            *int              `json:"cores"`
		Microcode        *string           `json:"microcode"`
		Memory           uint64            `json:"memory"`
		Swap             *uint64           `json:"swap"`
		NUMANodes        *int              `json:"numa_nodes"`
		Virtualization   *string           `json:"virtualization"`
		Container        *string           `json:"container"`
		Clocksource      *string           `json:"clocksource"`
		Mitigations      *string           `json:"mitigations"`
		KernelParameters *string           `json:"kernel_parameters"`
		Scaling          jsonScaling       `json:"scaling"`
		PowerCaps        []jsonPowerCap    `json:"power_caps"`
		GPUs             []string          `json:"gpus"`
		GPUDriver        *string           `json:"gpu_driver"`
		Cgroup           *string           `json:"cgroup"`
		Limits           jsonLimits        `json:"limits"`
		Git              *jsonGit          `json:"git"`
		Environment      map[string]string `json:"environment"`
	}
	jsonScaling struct {
		Driver         *string  `json:"driver"`
		Governor       *string  `json:"governor"`
		OtherGovernors []string `json:"other_governors"`
		Preference     *string  `json:"preference"`
		Turbo          *bool    `json:"turbo"`
		MinFrequency   *float64 `json:"min_frequency"`
		MaxFrequency   *float64 `json:"max_frequency"`
		Change         *string  `json:"change"`
	}
	jsonPowerCap struct {
		Zone       string  `json:"zone"`
		Constraint string  `json:"constraint"`
		Limit      float64 `json:"limit"`
	}
	jsonLimits struct {
		CPUs         *float64 `json:"cpus"`
		CPUsSource   *string  `json:"cpus_source"`
		Processors   *string  `json:"processors"`
		Quota        *float64 `json:"quota"`
		Memory       *uint64  `json:"memory"`
		MemorySource *string  `json:"memory_source"`
	}
	jsonGit struct {
		Commit *string `json:"commit"`
		Branch *string `json:"branch"`
		Dirty  *bool   `json:"dirty"`
		Reason *string `json:"reason"`
	}
)

// host is the machine with every key there.
func host(h datamodel.HostInfo) jsonHost {
	out := jsonHost{
		Name: h.Name, OS: h.OS, Kernel: h.Kernel, Architecture: h.Architecture, CPU: h.CPU, CPUs: h.CPUs,
		Sockets: positive(h.Sockets), Cores: positive(h.Cores), Microcode: text(h.Microcode), Memory: h.Memory, Swap: h.Swap,
		NUMANodes: positive(h.NUMANodes), Virtualization: text(h.Virtualization), Container: text(h.Container),
		Clocksource: text(h.Clocksource), Mitigations: text(h.Mitigations), KernelParameters: text(h.Parameters),
		PowerCaps: []jsonPowerCap{}, GPUs: append([]string{}, h.GPUs...), GPUDriver: text(h.GPUDriver), Cgroup: text(h.Cgroup),
		Environment: h.Environment,
	}
	s := h.Scaling
	out.Scaling = jsonScaling{
		Driver: text(s.Driver), Governor: text(s.Governor), OtherGovernors: append([]string{}, s.Others...), Preference: text(s.Preference),
		Turbo: s.Turbo, MinFrequency: positive(s.Min), MaxFrequency: positive(s.Max), Change: text(s.Change),
	}
	for _, c := range h.PowerCaps {
		out.PowerCaps = append(out.PowerCaps, jsonPowerCap(c))
	}
	n, by := h.Limits.CPUs()
	out.Limits = jsonLimits{
		CPUs: positive(n), CPUsSource: text(by), Processors: text(h.Limits.Processors), Quota: positive(h.Limits.Quota),
		Memory: positive(h.Limits.Memory), MemorySource: text(h.Limits.MemorySource),
	}
	if g := h.Git; g != nil {
		out.Git = &jsonGit{Commit: text(g.Commit), Branch: text(g.Branch), Dirty: g.Dirty, Reason: text(g.Reason)}
	}
	if out.Environment == nil {
		out.Environment = map[string]string{}
	}
	return out
}

// positive is null where a number is not known.
func positive[N int | uint64 | float64](n N) *N {
	if n <= 0 {
		return nil
	}
	return &n
}

// setup says in a few words what the machine is, how it was set up, what of it the command might use, and which code was at
// hand.
func setup(h datamodel.HostInfo) []string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, printable(fmt.Sprintf(format, args...))) }
	if h.CPU != "" {
		add("%s", h.CPU)
	}
	if h.Sockets > 0 && h.Cores > 0 {
		add("%s, %s, %s", plural(h.Sockets, "socket"), plural(h.Cores, "core"), plural(h.CPUs, "thread"))
	}
	if h.NUMANodes > 1 {
		add("%d NUMA nodes", h.NUMANodes)
	}
	if h.Kernel != "" {
		add("%s %s", h.OS, h.Kernel)
	}
	if s := h.Scaling; s.Governor != "" {
		add("%s", strings.TrimSpace(s.Driver+" "+s.Governor))
	}
	if t := h.Scaling.Turbo; t != nil {
		add("turbo %s", map[bool]string{true: "on", false: "off"}[*t])
	}
	for _, kind := range []string{h.Virtualization, h.Container} {
		if kind != "" {
			add("%s", kind)
		}
	}
	if n, _ := h.Limits.CPUs(); n > 0 {
		add("limit %s CPUs", strconv.FormatFloat(n, 'g', 3, 64))
	}
	if m := h.Limits.Memory; m > 0 {
		add("limit %s", units.Format(float64(m), units.Byte))
	}
	if len(h.GPUs) > 0 {
		add("%s", strings.Join(slices.Compact(slices.Clone(h.GPUs)), ", "))
	}
	if g := h.Git; g != nil && g.Commit != "" {
		state := ""
		if g.Dirty != nil && *g.Dirty {
			state = " with changes"
		}
		add("git %s%s", g.Commit[:min(12, len(g.Commit))], state)
	}
	return parts
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
