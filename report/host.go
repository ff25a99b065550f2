package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// jsonHost is the machine with the limits of the command as numbers.
type jsonHost struct {
	datamodel.HostInfo
	Limits jsonLimits `json:"limits,omitzero"`
}

// jsonLimits is the limits with the resulting number of processors and the limit that determines it.
type jsonLimits struct {
	CPUs       float64 `json:"cpus,omitempty"`
	CPUsSource string  `json:"cpus_source,omitempty"`
	sensors.Limits
}

func host(h datamodel.HostInfo) jsonHost {
	n, by := h.Limits.CPUs()
	return jsonHost{h, jsonLimits{n, by, h.Limits}}
}

// setup describes in a few words the machine, its settings, the limits of the command, and the git commit.
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
