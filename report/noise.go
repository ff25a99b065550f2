package report

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/compare"
	"github.com/ergon-energy/ergon/units"
)

// Noise says how much a machine varies, ready to be shown.
type Noise struct {
	Version string
	Host    datamodel.HostInfo
	// Rule is what the verdicts were made by, and what the rounds that are needed are counted for.
	Rule compare.Rule
	// Took is how long the rounds took together. Measured is their number.
	Took     time.Duration
	Measured int
	// Busy is the number of processors that others kept busy before the first round. Stolen is the number of processors that
	// the hypervisor gave to others during the rounds. Heated is the change of the temperature in K. All are NaN if unknown.
	Busy, Stolen, Heated float64
	Loads                []NoiseLoad
	Conditions           []compare.Condition
}

// NoiseLoad is a load that was measured again and again.
type NoiseLoad struct {
	// Name is the word for the load, Does says what it does.
	Name, Does string
	Rounds     int
	Metrics    []compare.Noise
}

// NoiseFormats lists what Write takes, the default first.
func NoiseFormats() []string { return []string{"text", "json"} }

// noiseChanges are the changes for which the rounds needed are told.
func noiseChanges() []float64 { return []float64{0.01, 0.02, 0.05, 0.1} }

// Write writes the noise in one of the formats.
func (n Noise) Write(w io.Writer, format string, o Options) error {
	if format == "json" {
		return n.writeJSON(w)
	}
	return n.writeText(w, o)
}

func (n Noise) writeText(w io.Writer, o Options) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%-30s %-30s rounds to find\n", plural(n.Measured, "round")+" in "+units.Format(n.Took.Seconds(), units.Second), "")
	fmt.Fprintf(&text, "  %-17s %-10s %-10s %-10s", "", "median", "variation", "drift")
	for _, c := range noiseChanges() {
		fmt.Fprintf(&text, " %6s", strconv.FormatFloat(100*c, 'g', 3, 64)+" %")
	}
	for _, l := range n.Loads {
		fmt.Fprintf(&text, "\n%s: %s, %s\n", l.Name, l.Does, plural(l.Rounds, "round"))
		for _, m := range l.Metrics {
			text.WriteString(n.noiseLine(m))
		}
	}
	text.WriteString("\n  Variation is the standard deviation of one round beside the next. With so many\n" +
		"  rounds a side, in random order, 80 % of all comparisons find a change of that\n" +
		"  size (--threshold 0.6 of it).\n")
	list := n.Disturbances()
	if len(list) == 0 {
		text.WriteString("\nNothing was seen that disturbs this machine.\n")
	} else {
		text.WriteString("\nWhat disturbs this machine, and what to do\n")
	}
	for _, d := range list {
		fmt.Fprintf(&text, "  %s\n%s", wrapped(d.Text, 4), indented("→ "+d.Advice))
	}
	out := text.String()
	if !o.Unicode {
		out = strings.NewReplacer("→", "->", "µ", "u", "–", "-", "°", " ").Replace(out)
	}
	_, err := io.WriteString(w, out)
	return err
}

// noiseLine shows one metric.
func (n Noise) noiseLine(m compare.Noise) string {
	drift := "–"
	if !math.IsNaN(m.Drift) {
		drift = signedPart(m.Drift)
	}
	var line strings.Builder
	fmt.Fprintf(&line, "  %-17s %-10s %-10s %-10s", metricName(m.Metric), units.Format(m.Median, m.Metric.Unit), units.Format(m.Variation, units.Ratio), drift)
	for _, c := range noiseChanges() {
		needed := "–"
		if r := n.Rule.RoundsFor(m.Variation, c); r > 0 {
			needed = strconv.Itoa(r)
		}
		fmt.Fprintf(&line, " %6s", needed)
	}
	return line.String() + "\n"
}

// signedPart shows a change: "+0.3 %", "-12 %".
func signedPart(v float64) string {
	if math.Abs(v) >= 0.1 {
		return fmt.Sprintf("%+.0f %%", 100*v)
	}
	return fmt.Sprintf("%+.1f %%", 100*v)
}

// wide is the width of the text, in characters.
const wide = 80

// wrapped breaks a text into lines. All but the first are indented.
func wrapped(text string, indent int) string {
	var b strings.Builder
	at := indent
	for i, word := range strings.Fields(text) {
		size := len([]rune(word))
		switch {
		case i == 0:
		case at+1+size > wide:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += size
	}
	return b.String()
}

func indented(text string) string { return "    " + wrapped(text, 6) + "\n" }

// Disturbance is something that makes rounds vary, and what to do about it.
type Disturbance struct {
	// Subject is the word for it: steal, other_load, governor.
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Advice  string `json:"advice"`
}

// What is worth a word: so many processors busy or stolen, so much heat and drift.
const (
	muchBusy   = 0.1
	muchStolen = 0.01
	muchHeat   = 5.0
	muchDrift  = 0.01
)

// Disturbances lists what disturbs the machine.
func (n Noise) Disturbances() (list []Disturbance) {
	add := func(holds bool, subject, text, advice string) {
		if holds {
			list = append(list, Disturbance{subject, text, advice})
		}
	}
	h, s := n.Host, n.Host.Scaling
	add(n.Stolen > muchStolen, "steal", fmt.Sprintf("The hypervisor gave %s of a processor to other guests during the rounds.", units.Format(n.Stolen, units.Ratio)),
		"Compare CPU time rather than wall time, take more rounds, or use a machine without other guests.")
	add(n.Busy > muchBusy, "other_load", fmt.Sprintf("Other programs kept %.1f processors busy before the first round.", n.Busy),
		"End them, or wait for them with `bench --cooldown idle`; `--affinity` keeps the command away from processors, not others from its own.")
	for _, c := range n.Conditions {
		if advice := conditionAdvice(c.Subject); advice != "" {
			add(true, c.Subject, fmt.Sprintf("The condition %s was seen in %d of %s.", strings.ReplaceAll(c.Subject, "_", " "), c.Rounds, plural(n.Measured, "round")), advice)
		}
	}
	add(s.Governor != "" && s.Governor != "performance", "governor", "The governor is "+printable(s.Governor)+": frequencies follow the load.",
		"Set it to performance for the bench (cpupower frequency-set -g performance), or warm up with --warmup.")
	add(s.Turbo != nil && *s.Turbo, "turbo", "Turbo is on: the frequency depends on temperature and on what other cores do.",
		"Switch it off for the bench (/sys/devices/system/cpu/intel_pstate/no_turbo or cpufreq/boost).")
	add(n.Heated > muchHeat, "temperature", fmt.Sprintf("The processors became %.0f °C warmer.", n.Heated),
		"Let them cool down between rounds: `bench --cooldown idle`.")
	add(h.Limits.Quota > 0, "quota", fmt.Sprintf("A cgroup limits ergon and the command to %.3g processors.", h.Limits.Quota),
		"Measure outside of the container, or raise the limit: a command that reaches it is stopped for parts of each 100 ms.")
	add(h.Virtualization != "", "virtualization", "This machine is virtual: frequency and temperature are the host's, and mostly hidden.",
		"Compare sides only within one run of `bench`, interleaved, never with figures from another day or machine.")
	var drifts, verdicts []string
	for _, l := range n.Loads {
		for _, m := range l.Metrics {
			what := fmt.Sprintf("%s of the load %s", metricName(m.Metric), l.Name)
			if math.Abs(m.Drift) > max(muchDrift, m.Variation) {
				drifts = append(drifts, what+" "+signedPart(m.Drift))
			}
			if m.Verdict == compare.Regressed || m.Verdict == compare.Improved {
				verdicts = append(verdicts, what+" "+string(m.Verdict))
			}
		}
	}
	add(drifts != nil, "drift", "From the first round to the last, the machine drifted: "+strings.Join(drifts, ", ")+".",
		"Keep the random order of bench, which hits all commands alike; do not use --order grouped.")
	add(verdicts != nil, "verdict", "Rounds were compared with their neighbours, though nothing differed: "+strings.Join(verdicts, ", ")+".",
		"One of twenty such comparisons is wrong by chance. If it happens again, end what disturbs the machine.")
	return list
}

// conditionAdvice says what to do about a condition of rounds. It is "" if there is nothing to say.
func conditionAdvice(subject string) string {
	switch subject {
	case "other_load", "cpu_pressure":
		return "End other programs, or wait for them with `bench --cooldown idle`."
	case "io_pressure":
		return "Wait until other programs have written their data (`--prepare sync`), or use another disk."
	case "memory_pressure", "swapping":
		return "Free memory, or measure with less data: swapped rounds say nothing about the command."
	case "steal":
		return "Take more rounds, or use a machine without other guests."
	case "quota":
		return "Raise the limit of the container or unit."
	case "throttling":
		return "Cool the machine: `bench --cooldown idle`, fewer processors, switch off turbo."
	case "settings", "frequency":
		return "Set the governor to performance for the bench, and let nothing change it meanwhile."
	}
	return ""
}

// noiseSchema names the shape of the JSON.
const noiseSchema = "ergon.noise/1"

func (n Noise) writeJSON(w io.Writer) error {
	type needed struct {
		Change float64 `json:"change"`
		Rounds *int    `json:"rounds"`
	}
	type metric struct {
		Metric    string          `json:"metric"`
		Unit      units.Unit      `json:"unit"`
		N         int             `json:"n"`
		Reason    string          `json:"reason,omitempty"`
		Median    *float64        `json:"median"`
		Variation *float64        `json:"variation"`
		Drift     *float64        `json:"drift"`
		Verdict   compare.Verdict `json:"verdict"`
		Needed    []needed        `json:"rounds_needed"`
	}
	type load struct {
		Name    string   `json:"name"`
		Does    string   `json:"does"`
		Rounds  int      `json:"rounds"`
		Metrics []metric `json:"metrics"`
	}
	out := struct {
		Schema       string             `json:"schema"`
		Version      string             `json:"version"`
		Host         datamodel.HostInfo `json:"host"`
		Took         float64            `json:"took"`
		Busy         *float64           `json:"busy_before"`
		Stolen       *float64           `json:"stolen"`
		Heated       *float64           `json:"heated"`
		Loads        []load             `json:"loads"`
		Disturbances []Disturbance      `json:"disturbances"`
	}{noiseSchema, n.Version, n.Host, n.Took.Seconds(), number(n.Busy), number(n.Stolen), number(n.Heated), []load{}, n.Disturbances()}
	if out.Disturbances == nil {
		out.Disturbances = []Disturbance{}
	}
	for _, l := range n.Loads {
		one := load{l.Name, l.Does, l.Rounds, []metric{}}
		for _, m := range l.Metrics {
			j := metric{
				Metric: m.Metric.Name, Unit: m.Metric.Unit, N: m.N, Reason: m.Reason, Median: number(m.Median), Variation: number(m.Variation), Drift: number(m.Drift),
				Verdict: m.Verdict,
			}
			for _, c := range noiseChanges() {
				r := needed{Change: c}
				if rounds := n.Rule.RoundsFor(m.Variation, c); rounds > 0 {
					r.Rounds = &rounds
				}
				j.Needed = append(j.Needed, r)
			}
			one.Metrics = append(one.Metrics, j)
		}
		out.Loads = append(out.Loads, one)
	}
	e := encoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}
