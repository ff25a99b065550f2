package account

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// Rating is the rated power of a machine's processors.
type Rating struct {
	// Reason says why the rating is unknown. The other fields are then empty.
	Reason string
	// Model is the processor's name in the table. Power is the rated power of all the machine's processors, in W.
	Model string
	Power float64
	// Of says how many of that model the machine has: "2 packages of 225 W", "4 of 128 threads of 280 W".
	Of string
	// Source names the list that gave the rated power, and its date.
	Source string
}

const (
	// restPart is the assumed part of the rated power that a processor draws at rest. Power rises linearly from there
	// to full load. CodeCarbon uses a tenth too. Its cubic curve gives 21 % at half the load; this one gives 55 %.
	restPart = 0.1
	// leastError and mostError are the errors of such estimates at a given load, relative to the measured power.
	// CodeCarbon 3.3 published them for its own estimates against RAPL, on five machines, in January 2025. At rest the
	// errors were larger.
	leastError, mostError = -0.66, 1.87
)

// Rate looks up the rated power of a machine's processors. A virtual machine has a part of one processor: its CPUs out
// of the model's threads.
func Rate(host datamodel.HostInfo) Rating {
	name := modelName(host.CPU)
	if name == "" {
		return Rating{Reason: "the processor's name is unknown here"}
	}
	lists, err := ratedLists()
	if err != nil {
		return Rating{Reason: err.Error()}
	}
	for _, list := range lists {
		for _, row := range list.rows {
			if !strings.EqualFold(row.model, name) {
				continue
			}
			r := Rating{Model: row.model, Source: list.source + ", " + list.date}
			switch {
			case host.Virtualization != "" && host.CPUs > 0:
				r.Power = row.power * float64(host.CPUs) / float64(row.threads)
				r.Of = fmt.Sprintf("%d of %d threads of %g W", host.CPUs, row.threads, row.power)
			case host.Virtualization == "" && host.Sockets > 1:
				r.Power, r.Of = row.power*float64(host.Sockets), fmt.Sprintf("%d packages of %g W", host.Sockets, row.power)
			case host.Virtualization == "" && host.Sockets == 1:
				r.Power, r.Of = row.power, fmt.Sprintf("%g W", row.power)
			default:
				return Rating{Reason: "the number of processors is unknown"}
			}
			return r
		}
	}
	return Rating{Reason: fmt.Sprintf("no rated power is known for %q", host.CPU)}
}

// modelName returns the model in a processor's name: "Xeon E5-2620 v3" for "Intel(R) Xeon(R) CPU E5-2620 v3 @ 2.40GHz",
// "EPYC 7763" for "AMD EPYC 7763 64-Core Processor".
func modelName(text string) string {
	text = strings.NewReplacer("(R)", " ", "(TM)", " ", "(r)", " ", "(tm)", " ", "®", " ", "™", " ").Replace(text)
	text, _, _ = strings.Cut(text, "@")
	noise := regexp.MustCompile(`(?i)^(intel|amd|cpu|processor|gen|\d+(st|nd|rd|th)|\w+-cores?)$`)
	var words []string
	for w := range strings.FieldsSeq(text) {
		if w == "with" || w == "w/" { // Radeon Graphics
			break
		}
		if !noise.MatchString(w) {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// estimates returns estimated_energy and estimated_target_energy. They are not measurements, but the energy that such
// processors would use, given their rated power and the load. They exist only if they were requested. They never
// replace a measured energy and are in no sum.
func (h *host) estimates(t busyTime, used datamodel.Metric, w *doubts) []datamodel.Metric {
	const machine, target = datamodel.EstimatedEnergy, datamodel.EstimatedTargetEnergy
	if !h.run.Estimate {
		const reason = datamodel.NotEstimated
		return []datamodel.Metric{datamodel.Missing(machine, units.Joule, reason), datamodel.Missing(target, units.Joule, reason)}
	}
	rating := Rate(h.Machine)
	wall, ok := h.wall()
	var reason why
	switch {
	case rating.Reason != "":
		reason = because(rating.Reason)
	case !ok:
		reason = because("the wall time is unknown")
	case t.why != (why{}):
		reason = t.why.of("load of the CPUs")
	}
	if reason != (why{}) {
		w.add(machine, "requested but not available: %s", reason.text)
		return []datamodel.Metric{missing(machine, units.Joule, reason), missing(target, units.Joule, reason)}
	}
	load := min(max(t.busy/t.total, 0), 1)
	all := estimated(machine, rating.Power*(restPart+(1-restPart)*load)*wall, fmt.Sprintf(
		"no sensor: %.4g W rated (%s, %s; %s), linear from a tenth of it at rest to all of it at full load; %.3g %% loaded "+
			"for %.4g s; such estimates were off by %+.0f %% to %+.0f %%",
		rating.Power, rating.Model, rating.Of, rating.Source, 100*load, wall, 100*leastError, 100*mostError))
	switch {
	case used.Reason != "":
		reason = whyOf(used).of("CPU time of the target")
	case t.busy <= 0:
		reason = because("busy time of the CPUs: none seen")
	default:
		return []datamodel.Metric{all, estimated(target, all.Value*min(used.Value/t.busy, 1), fmt.Sprintf(
			"share of busy CPU time, %s, of the machine's estimated energy; %s", ofBusy(used.Value, t.busy), modelLimit))}
	}
	return []datamodel.Metric{all, missing(target, units.Joule, reason)}
}

// estimated returns an estimate. Min and Max are the range that may hold the truth.
func estimated(name string, v float64, source string) datamodel.Metric {
	m := datamodel.Value(name, v, units.Joule, "estimate", sensors.Estimated, source).WithValue(v)
	if m.Reason != "" {
		return m
	}
	m.Min, m.Max = v/(1+mostError), datamodel.Finite(v/(1+leastError))
	m.Uncertainty = datamodel.Finite(m.Max - v) // the greater side
	return m
}
