package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/ergon-energy/ergon/units"
)

// resultsSchema is the version of what -json writes.
const resultsSchema = "ergon.bench/1"

// perSecond and perSample are units of this package: samples per second, and bytes per sample in a file.
const (
	perSecond units.Unit = "{sample}/s"
	perSample units.Unit = "By/{sample}"
)

// results is what -json writes.
type results struct {
	Schema  string          `json:"schema"`
	Machine string          `json:"machine"`
	Groups  []measuredGroup `json:"groups"`
}

type measuredGroup struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	// LoadBefore and LoadAfter are the load average of the last minute around the measurement.
	LoadBefore string   `json:"load_before,omitempty"`
	LoadAfter  string   `json:"load_after,omitempty"`
	Figures    []figure `json:"figures"`
}

// figure is a row of the table. A missing value is nil.
type figure struct {
	Name string `json:"name"`
	// Value is the median. It is nil if it could not be measured; Note then says why.
	Value *float64   `json:"value"`
	Unit  units.Unit `json:"unit"`
	P10   *float64   `json:"p10,omitempty"`
	P90   *float64   `json:"p90,omitempty"`
	N     int        `json:"n,omitempty"` // rounds
	// CPU is the median CPU time of a round in seconds, with the children that were waited for.
	CPU *float64 `json:"cpu,omitempty"`
	// Peer is the name of the program that Ratio compares with. PeerValue is its median in the same run of bench.
	Peer      string   `json:"peer,omitempty"`
	PeerValue *float64 `json:"peer_value,omitempty"`
	Ratio     *float64 `json:"ratio,omitempty"`
	Targets   []target `json:"targets,omitempty"`
	Note      string   `json:"note,omitempty"`
}

// target is a limit on the value or on the ratio.
type target struct {
	OfRatio bool    `json:"of_ratio,omitempty"`
	AtLeast bool    `json:"at_least,omitempty"` // else at most
	Limit   float64 `json:"limit"`
	Met     bool    `json:"met"`
}

// median makes a figure from the rounds, and sorts them.
func median(name string, unit units.Unit, rounds []float64) figure {
	f := figure{Name: name, Unit: unit, N: len(rounds)}
	if len(rounds) == 0 {
		return f
	}
	f.Value = quantile(rounds, 0.5)
	if len(rounds) > 1 {
		f.P10, f.P90 = quantile(rounds, 0.1), quantile(rounds, 0.9)
	}
	return f
}

// single makes a figure that was measured once.
func single(name string, unit units.Unit, v float64) figure {
	if math.IsNaN(v) {
		return figure{Name: name, Unit: unit}
	}
	return figure{Name: name, Unit: unit, Value: &v}
}

// quantile returns the quantile q of v by linear interpolation, and sorts v.
func quantile(v []float64, q float64) *float64 {
	slices.Sort(v)
	at := q * float64(len(v)-1)
	i := int(at)
	x := v[i]
	if i+1 < len(v) {
		x += (at - float64(i)) * (v[i+1] - x)
	}
	return &x
}

// compare sets the peer and, if both were measured, the ratio.
func (f *figure) compare(peer figure) {
	f.Peer = peer.Name
	if f.Value == nil || peer.Value == nil || *peer.Value == 0 {
		return
	}
	ratio := *f.Value / *peer.Value
	f.PeerValue, f.Ratio = peer.Value, &ratio
}

// atMost and atLeast set a target for the value, and ratioAtMost for the ratio. A missing value gets no target.
func (f *figure) atMost(limit float64) {
	if f.Value != nil {
		f.Targets = append(f.Targets, target{Limit: limit, Met: *f.Value <= limit})
	}
}

func (f *figure) atLeast(limit float64) {
	if f.Value != nil {
		f.Targets = append(f.Targets, target{AtLeast: true, Limit: limit, Met: *f.Value >= limit})
	}
}

func (f *figure) ratioAtMost(limit float64) {
	if f.Ratio != nil {
		f.Targets = append(f.Targets, target{OfRatio: true, Limit: limit, Met: *f.Ratio <= limit})
	}
}

// missed counts the targets that are not met.
func (r *results) missed() (n int) {
	for _, g := range r.Groups {
		for _, f := range g.Figures {
			for _, t := range f.Targets {
				if !t.Met {
					n++
				}
			}
		}
	}
	return n
}

// write prints the table.
func (r *results) write(out io.Writer) error {
	_, _ = fmt.Fprintf(out, "%s\n", r.Machine)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\tmedian\tp10 – p90\tCPU time\tpeer\tratio\ttarget\t")
	for _, g := range r.Groups {
		_, _ = fmt.Fprintf(w, "%s\t\t\t\t\t\t\t\n", g.Title)
		for _, f := range g.Figures {
			_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", f.Name, show(f.Value, f.Unit), f.spread(),
				show(f.CPU, units.Second), f.peer(), f.ratio(), f.judged())
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, g := range r.Groups {
		if g.LoadBefore != "" {
			_, _ = fmt.Fprintf(out, "%s: load %s before, %s after\n", g.Title, g.LoadBefore, g.LoadAfter)
		}
		for _, f := range g.Figures {
			if f.Note != "" {
				_, _ = fmt.Fprintf(out, "  %s: %s\n", f.Name, f.Note)
			}
		}
	}
	_, err := fmt.Fprintf(out, "%d targets missed\n", r.missed())
	return err
}

// save writes the JSON.
func (r *results) save(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o666)
}

func (f *figure) spread() string {
	if f.P10 == nil || f.P90 == nil {
		return ""
	}
	return show(f.P10, f.Unit) + " – " + show(f.P90, f.Unit)
}

func (f *figure) peer() string {
	if f.PeerValue == nil {
		return f.Peer
	}
	return f.Peer + " " + show(f.PeerValue, f.Unit)
}

func (f *figure) ratio() string {
	if f.Ratio == nil {
		return ""
	}
	return fmt.Sprintf("%.2f", *f.Ratio)
}

// judged lists the targets with their verdicts.
func (f *figure) judged() string {
	parts := make([]string, len(f.Targets))
	for i, t := range f.Targets {
		limit, sign, verdict := show(&t.Limit, f.Unit), "≤", "ok"
		if t.OfRatio {
			limit = fmt.Sprintf("%.1f ×", t.Limit)
		}
		if t.AtLeast {
			sign = "≥"
		}
		if !t.Met {
			verdict = "MISSED"
		}
		parts[i] = sign + " " + limit + " " + verdict
	}
	return strings.Join(parts, ", ")
}

// show formats a value for people. Bytes are in powers of ten here, like the targets.
func show(v *float64, unit units.Unit) string {
	switch {
	case v == nil:
		return ""
	case unit == perSecond:
		return fmt.Sprintf("%.2f M/s", *v/1e6)
	case unit == perSample:
		return fmt.Sprintf("%.2f B", *v)
	case unit == units.Byte:
		return fmt.Sprintf("%.1f MB", *v/1e6)
	case unit == units.Ratio:
		return fmt.Sprintf("%.3g %%", *v*100)
	}
	return units.Format(*v, unit)
}
