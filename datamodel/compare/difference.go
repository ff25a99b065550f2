package compare

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/cmdline"
)

// What names a condition under which runs are measured. If it differs, a change may come from it and not from the command.
type What string

// The conditions that every machine has are the names of datamodel.Basis: cpu, cpus, kernel, governor. These are the others.
// All of these words are stored in files.
const (
	// DifferentCommand means that the commands have other words.
	DifferentCommand What = "command"
	// DifferentMeans means that a metric was obtained in another way: from other parts of the machine, or as an estimate.
	DifferentMeans What = "means"
	// DifferentLimit is another limit on the processors that the command may use.
	DifferentLimit What = "cpu_limit"
	// DifferentTurbo means that frequencies above the nominal one were allowed on one side only.
	DifferentTurbo What = "turbo"
	// DifferentPlace is another kind of virtual machine or container.
	DifferentPlace What = "virtualization"
	// DifferentVersion is another version of ergon.
	DifferentVersion What = "ergon"
	// DifferentHost is another name of the machine.
	DifferentHost What = "host"
)

// Difference is a condition that differs between two sides. A side with several values has them between " / ".
type Difference struct {
	What What `json:"what"`
	// Metric is the metric that was obtained in another way. It is "" for other conditions.
	Metric string `json:"metric,omitempty"`
	Base   string `json:"base"`
	New    string `json:"new"`
}

// fact is a condition and its value in one run. The value is "" if it is unknown.
type fact struct {
	what  What
	value string
}

// facts returns the conditions of a run, in a fixed order.
func facts(run datamodel.Run) (list []fact) {
	h := run.Host
	for _, p := range datamodel.BasisOf(h).Facts() {
		list = append(list, fact{What(p.Key), p.Value})
	}
	limit, turbo := "none", ""
	if n, _ := h.Limits.CPUs(); n > 0 {
		limit = strconv.FormatFloat(n, 'g', 4, 64)
	}
	if h.CPU == "" { // an old run, or one of another program: nothing is known of the machine
		limit = ""
	}
	if h.Scaling.Turbo != nil {
		turbo = map[bool]string{true: "on", false: "off"}[*h.Scaling.Turbo]
	}
	place := strings.Trim(h.Virtualization+" "+h.Container, " ")
	return append(list, fact{DifferentLimit, limit}, fact{DifferentTurbo, turbo}, fact{DifferentPlace, place},
		fact{DifferentVersion, run.Version}, fact{DifferentHost, h.Name})
}

// differences returns the conditions that differ between the runs of two sides. An unknown value differs from none.
func differences(base, fresh Set) (list []Difference) {
	var order []What
	values := func(s Set) map[What][]string {
		all := map[What][]string{}
		for _, run := range s.Runs {
			for _, f := range facts(run) {
				if !slices.Contains(order, f.what) {
					order = append(order, f.what)
				}
				if f.value != "" && !slices.Contains(all[f.what], f.value) {
					all[f.what] = append(all[f.what], f.value)
				}
			}
		}
		return all
	}
	before, now := values(base), values(fresh)
	for _, what := range order {
		if d, ok := differ(what, "", before[what], now[what]); ok {
			list = append(list, d)
		}
	}
	return list
}

// differ compares the values of a condition. ok is false if they are the same, or if a side has none.
func differ(what What, metric string, base, fresh []string) (d Difference, ok bool) {
	if len(base) == 0 || len(fresh) == 0 {
		return d, false
	}
	slices.Sort(base)
	slices.Sort(fresh)
	if slices.Equal(base, fresh) {
		return d, false
	}
	return Difference{what, metric, strings.Join(base, " / "), strings.Join(fresh, " / ")}, true
}

// commandDiffers compares the words of a command.
func commandDiffers(base, fresh datamodel.BenchCommand) (d Difference, ok bool) {
	if slices.Equal(base.Command, fresh.Command) {
		return d, false
	}
	return differ(DifferentCommand, "", []string{cmdline.Line(base.Command)}, []string{cmdline.Line(fresh.Command)})
}

// texts returns how a metric was obtained, for people.
func texts(means []datamodel.Means) (list []string) {
	for _, m := range means {
		text := string(m.Provenance)
		if m.Parts != "" {
			text += ": " + m.Parts
		}
		list = append(list, text)
	}
	return list
}

// disjoint reports whether two lists have no value in common.
func disjoint(a, b []datamodel.Means) bool {
	return !slices.ContainsFunc(a, func(m datamodel.Means) bool { return slices.Contains(b, m) })
}
