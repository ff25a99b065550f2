//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/fakerapl"
	"github.com/ergon-energy/ergon/internal/sensortest"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// permitted is the largest error of an energy that needs no warning.
const permitted = 0.005

// told holds what a run reports about the machine's energy, and its warnings.
type told struct {
	Summary struct {
		Energy struct {
			Value, Uncertainty *float64
			Bound              datamodel.Bound
			AtMost             *float64 `json:"at_most"`
			Reason             string
			Source             string
		}
	}
	Warnings []struct{ Subject, Text string }
}

// says returns the reason and all warnings, one per line.
func (r told) says() string {
	lines := []string{r.Summary.Energy.Reason}
	for _, w := range r.Warnings {
		if !strings.HasPrefix(w.Subject, "target") { // fakerapl may be short of CPU time; that is not tested here.
			lines = append(lines, w.Subject+": "+w.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// runErgon runs the real program with the given results folder and returns its stdout.
func runErgon(t *testing.T, results string, words ...string) []byte {
	t.Helper()
	var out, errs bytes.Buffer
	c := command(t, newMark(), append([]string{"ergon"}, words...)...)
	c.Env = append(c.Env, "ERGON_RESULTS="+results)
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		t.Fatalf("ergon %v: %v\n%s", words, err, errs.String())
	}
	return out.Bytes()
}

// lastTold reads the report of the last run.
func lastTold(t *testing.T, results string) (r told) {
	t.Helper()
	if err := json.Unmarshal(runErgon(t, results, "report", "-f", "json"), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// verdict is a row of the table: a case, the true energy and what ergon reported.
type verdict struct {
	name          string
	truth         units.Energy
	energy, bound float64 // NaN if there is none
	lower         bool    // the energy is a lower bound, and most the upper one
	most          float64
	said          string
	perun         string
}

// off returns the error as a fraction of the truth.
func (v verdict) off() float64 { return (v.energy - float64(v.truth)) / float64(v.truth) }

// row returns the verdict as the cells of a table.
func (v verdict) row() []string {
	energy, off, bound := "none", "", ""
	if !math.IsNaN(v.energy) {
		energy = units.Format(v.energy, units.Joule)
		off = strings.Replace(fmt.Sprintf("%+.2f %%", 100*v.off()), "-0.00", "+0.00", 1)
	}
	switch {
	case v.lower:
		energy, bound = "≥ "+energy, "at most "+units.Format(v.most, units.Joule)
	case !math.IsNaN(v.bound):
		bound = "± " + units.Format(v.bound, units.Joule)
	}
	return []string{v.name, units.Format(float64(v.truth), units.Joule), energy, off, bound, v.said, v.perun}
}

// verdictHead returns the heads of the columns.
func verdictHead() []string {
	return []string{"case", "spent", "ergon", "error", "stated", "and says", "perun 0.9.1"}
}

// judge compares a report with the truth. The error must be within permitted or within the stated bound, or the truth lies
// between a lower and an upper bound, or there is no number but a reason. said must match a warning or the reason; empty allows no warning about energy sources.
// Errors go to fail: t.Errorf, or the function of a watch on the machine.
func judge(fail func(string, ...any), name string, truth units.Energy, r told, said, perun string) verdict {
	v := verdict{name: name, truth: truth, energy: math.NaN(), bound: math.NaN(), perun: perun}
	e := r.Summary.Energy
	if e.Value != nil {
		v.energy = *e.Value
	}
	if e.Uncertainty != nil {
		v.bound = *e.Uncertainty
	}
	v.lower, v.most = e.Bound == datamodel.LowerBound, math.NaN()
	if e.AtMost != nil {
		v.most = *e.AtMost
	}
	if found := regexp.MustCompile(said).FindString(r.says()); said != "" && found == "" {
		fail("%s: nothing says %q:\n%s", name, said, r.says())
	} else {
		v.said = found
	}
	if said == "" {
		for _, w := range r.Warnings {
			if strings.HasPrefix(w.Subject, "rapl") {
				fail("%s: a warning without a reason: %+v", name, w)
			}
		}
	}
	switch {
	case math.IsNaN(v.energy) && e.Reason != "" && said != "":
	case v.lower && v.energy-v.bound <= float64(truth) && float64(truth) <= v.most && said != "":
	case v.lower:
		fail("%s: from %.6g J to %.6g J reported, %.6g J spent", name, v.energy, v.most, float64(truth))
	case math.Abs(v.off()) <= permitted:
	case said != "" && math.Abs(v.energy-float64(truth)) <= v.bound:
	default:
		fail("%s: %.6g J reported, %.6g J spent, %+.2f %%; the bound is %.3g J; said:\n%s",
			name, v.energy, float64(truth), 100*v.off(), v.bound, r.says())
	}
	return v
}

// isOfLess matches the warning that the readings end before the command.
const isOfLess = "its energy covers"

func logTable(t *testing.T, rows []verdict) {
	t.Helper()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ToUpper(strings.Join(verdictHead(), "\t")))
	for _, v := range rows {
		fmt.Fprintln(w, strings.Join(v.row(), "\t"))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + b.String())
}

// What perun 0.9.1 reports, from its runs and its source code.
const (
	perunExact  = "exact"
	perunFailed = "262,643 J for 500 J (run)"
	perunRamp   = "175 J for 250 J (run)"
	perunWrap   = "300 J for 300 J (run)"
	perunReset  = "taken for a wrap: up to 262 kJ too many (read)"
	perunDies   = "both are added: +100 % (read)"
	perunHidden = "the same loss, not said (read)"
	perunStands = "what was counted, not said (read)"
	perunTimes  = "times ±6 % off after 7 days (run)"
	perunShort  = "0.3 s gave 110 J for 33 J (run)"
)

// TestAccuracyOfRuns measures a real process with the real program. The process moves the counters itself. So the energy between
// the first and the last reading is known, whatever the scheduler does.
func TestAccuracyOfRuns(t *testing.T) {
	testenv.Long(t)
	const second = time.Second
	small := fakerapl.Machine{Range: 2000e6} // 400 ms at the greatest plausible power
	type run struct {
		name     string
		machine  fakerapl.Machine
		curve    string
		d        time.Duration
		faults   []string
		interval string
		// until is the time at which the counters are lost; 0 is never.
		until       time.Duration
		said, perun string
	}
	cases := []run{
		{name: "constant 100 W", curve: "const:100", perun: perunExact},
		{name: "ramp 50 to 200 W in 2 s, one wrap", curve: "ramp:50:200:2s", d: 2 * second, perun: perunRamp},
		{name: "ramp, readings an hour apart", curve: "ramp:50:200:1s", interval: "1h", perun: perunRamp},
		{name: "square 20/180 W at the interval", curve: "square:20:180:20ms"},
		{name: "square 20/180 W off the interval", curve: "square:20:180:33ms"},
		{name: "three wraps", machine: small, curve: "const:2500", d: 2 * second, perun: perunExact},
		{name: "psys and an MMIO twin", machine: fakerapl.Machine{Twin: true}, curve: "const:100", perun: perunExact},
		{name: "mirrored dies", machine: fakerapl.Machine{Dies: true}, curve: "const:100", said: "shows the same counter as package-0-die-0 and is counted once", perun: perunDies},
		{name: "readings fail in the middle", curve: "const:100", faults: []string{"failed:400ms:600ms"}, said: "readings are missing", perun: perunFailed},
		{name: "junk in the middle", curve: "const:100", faults: []string{"junk:400ms:600ms"}, said: "readings are missing", perun: perunFailed},
		{name: "stuck in the middle", curve: "const:100", faults: []string{"stuck:400ms:600ms"}, said: "did not move for"},
		{name: "stuck from the start", curve: "const:100", faults: []string{"stuck:0s:1h"}, said: "did not move", perun: "0 J (read)"},
		// Well beyond the wrap: close to it, only the times of the readings distinguish the two, and here the scheduler sets them.
		{name: "a wrap, then a reset", curve: "const:100", d: 2 * second, faults: []string{"reset:1500ms"}, said: "counter was reset", perun: perunReset},
		{name: "the zone vanishes", curve: "const:100", faults: []string{"vanished:500ms"}, until: second / 2, said: isOfLess},
		{name: "the permission is lost", curve: "const:100", faults: []string{"locked:500ms"}, perun: perunFailed},
	}
	rows := make([]verdict, len(cases))
	t.Run("cases", func(t *testing.T) {
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				if c.d == 0 {
					c.d = second
				}
				if c.interval == "" {
					c.interval = "20ms"
				}
				sysfs, results := t.TempDir(), t.TempDir()
				if err := c.machine.Create(sysfs); err != nil {
					t.Fatal(err)
				}
				machine := testenv.Begin(t)
				runErgon(t, results, slices.Concat([]string{
					"-q", "--path.sysfs", sysfs, "--interval", c.interval, "--sensors", "-*,rapl,cpu,target", "fakerapl", "drive", sysfs, c.curve, c.d.String(),
				}, c.faults)...)
				curve, err := fakerapl.ParseCurve(c.curve)
				if err != nil {
					t.Fatal(err)
				}
				r := lastTold(t, results)
				end := c.d
				if c.until > 0 {
					end = c.until
				}
				rows[i] = judge(machine.Errorf, c.name, curve.Energy(end), r, c.said, c.perun)
			})
		}
	})
	logTable(t, rows)
}

// played is a machine whose counters follow a curve and are read at known times. A tape is made from it.
type played struct {
	name string
	// devices are the devices of the rapl zones; all of them follow the curve.
	devices []string
	curve   string
	// wrap is the value in J at which the counters restart.
	wrap     float64
	d, every time.Duration
	// fault changes a reading; nil changes none. energy is the integral of the curve so far; reading is what the counter shows.
	fault func(at time.Duration, energy, reading float64) float64
	// until is the time of the last reading if the counters are lost before the end; 0 if they are not.
	until       time.Duration
	said, perun string
}

// update is the update period of a RAPL counter.
const update = time.Millisecond

// tape writes the readings to a tape. It returns the file and the curve's energy from the first to the last reading.
func (p played) tape(t *testing.T) (file string, truth units.Energy) {
	t.Helper()
	curve, err := fakerapl.ParseCurve(p.curve)
	if err != nil {
		t.Fatal(err)
	}
	header := store.SpoolHeader{Source: "rapl", Host: "played", Interval: p.every, Anchor: playedAt, Version: "test"}
	for _, device := range p.devices {
		header.Sensors = append(header.Sensors, sensortest.Declared(sensors.Sensor{
			ID: "rapl/" + device + "/energy", Family: "rapl", Device: device, Name: "energy", Unit: units.Joule,
			Kind: sensors.Counter, Wrap: p.wrap, MaxRate: 5000, Update: update, Source: "played", Doc: "a curve",
		}))
	}
	dir := t.TempDir()
	spool, err := store.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	s, err := store.CreateSpool(spool, header)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]float64, len(p.devices))
	shown := func(at time.Duration) float64 {
		// The counter shows its value at the last update, in whole µJ. It started 1000 J before its wrap.
		energy := math.Floor(float64(curve.Energy(at.Truncate(update)))*1e6) / 1e6
		reading := math.Mod(p.wrap-min(1000, p.wrap/2)+energy, p.wrap)
		if p.fault != nil {
			reading = p.fault(at, energy, reading)
		}
		return reading
	}
	add := func(at time.Duration) {
		for i := range row {
			row[i] = shown(at)
		}
		if s.Full() {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if !s.Append(at, row) {
			t.Fatalf("no room at %v", at)
		}
	}
	// As the sampler does, the counter is read again soon after the first reading, and once more after the last.
	const soon = 3 * time.Millisecond
	beats := 0
	for at := time.Duration(0); at < p.d; at += p.every {
		add(at + time.Duration(beats%7)*137*time.Microsecond) // beats are uneven, and updates do not come at the beats
		if beats++; beats == 1 && p.d > 2*soon {
			add(soon)
		}
	}
	add(p.d)
	stats := datamodel.SourceStats{Name: "rapl", Interval: p.every.Seconds(), Sensors: len(p.devices)}
	if rise := shown(p.d+update) - shown(p.d); rise != 0 && !math.IsNaN(rise) && p.d >= 200*time.Millisecond {
		for _, sensor := range header.Sensors {
			stats.Edges = append(stats.Edges, datamodel.Edge{Sensor: sensor.ID, After: &rise})
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wall, code := p.d.Seconds(), 0
	tape := store.Tape{
		Run: datamodel.Run{
			Schema: datamodel.ManifestSchema, ID: "20260101T000000-played", Project: "played", Command: []string{"played"}, Folder: ".",
			Outcome: datamodel.Done, ExitCode: &code, Start: playedAt, WallTime: &wall, Version: "test",
			Host: datamodel.HostInfo{Name: "played", OS: "linux", CPUs: 4}, Sources: []datamodel.SourceStats{stats},
		},
		Ledger: datamodel.Ledger{WallTime: &wall},
	}
	file = filepath.Join(dir, "played.tape.zip")
	if err := store.SaveTape(file, tape, spool, nil, store.Access{}); err != nil {
		t.Fatal(err)
	}
	end := p.d
	if p.until > 0 {
		end = p.until
	}
	return file, curve.Energy(end)
}

// playedAt is the start of each made-up run.
var playedAt = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// intel is max_energy_range_uj of an Intel processor, in J.
const intel = 262143.328850

// between returns a fault that replaces the readings of a period.
func between(from, until time.Duration, with func(energy float64) float64) func(time.Duration, float64, float64) float64 {
	return func(at time.Duration, energy, reading float64) float64 {
		if at >= from && at < until {
			return with(energy)
		}
		return reading
	}
}

func constant(v float64) func(float64) float64 { return func(float64) float64 { return v } }

// playedCases lists the cases in which the time of each reading matters.
func playedCases() []played {
	const second, beat = time.Second, 100 * time.Millisecond
	one := []string{"package-0"}
	return []played{
		{name: "constant 100 W, 10 s", devices: one, curve: "const:100", wrap: intel, d: 10 * second, every: beat, perun: perunExact},
		{name: "ramp 50 to 200 W, 2 s", devices: one, curve: "ramp:50:200:2s", wrap: intel, d: 2 * second, every: beat, perun: perunRamp},
		{name: "the same, two readings", devices: one, curve: "ramp:50:200:2s", wrap: intel, d: 2 * second, every: time.Hour, perun: perunRamp},
		{name: "square 20/180 W, its period the interval", devices: one, curve: "square:20:180:100ms", wrap: intel, d: 10 * second, every: beat},
		{name: "square 20/180 W, period 1.3 intervals", devices: one, curve: "square:20:180:130ms", wrap: intel, d: 10 * second, every: beat},
		{name: "one wrap, 1 s apart", devices: one, curve: "const:300", wrap: intel, d: 60 * second, every: second, perun: perunWrap},
		{name: "two wraps", devices: one, curve: "const:500", wrap: intel, d: 1000 * second, every: second, perun: perunExact},
		{
			name: "two wraps between two readings", devices: one, curve: "const:500", wrap: intel, d: 1200 * second, every: time.Hour,
			said: "lower bound, at most [0-9.]+ .?J too low", perun: perunHidden,
		},
		{name: "a week, 230 wraps", devices: one, curve: "const:100", wrap: intel, d: 7 * 24 * time.Hour, every: 10 * second, perun: perunTimes},
		{
			name: "a reset", devices: one, curve: "const:100", wrap: intel, d: 10 * second, every: beat, said: "counter was reset",
			fault: func(at time.Duration, energy, reading float64) float64 {
				if at >= 5050*time.Millisecond {
					return energy - 505
				}
				return reading
			},
			perun: perunReset,
		},
		{
			name: "one reading fails", devices: one, curve: "const:100", wrap: intel, d: 5 * second, every: beat,
			fault: between(2400*time.Millisecond, 2500*time.Millisecond, constant(math.NaN())), said: "1 of 52 readings are missing", perun: perunFailed,
		},
		{
			name: "one reading is 0", devices: one, curve: "const:100", wrap: intel, d: 5 * second, every: beat,
			fault: between(2400*time.Millisecond, 2500*time.Millisecond, constant(0)), said: "the reading was set aside", perun: perunFailed,
		},
		{
			name: "one reading is 20 kJ too high", devices: one, curve: "const:100", wrap: intel, d: 5 * second, every: beat,
			fault: between(2400*time.Millisecond, 2500*time.Millisecond, constant(25000)), said: "set aside", perun: perunReset,
		},
		{
			name: "stuck from the start", devices: one, curve: "const:100", wrap: intel, d: 5 * second, every: beat,
			fault: between(0, time.Hour, constant(1234)), said: "the counter did not move in 5 s", perun: "0 J (read)",
		},
		{
			name: "stuck from the middle on", devices: one, curve: "const:100", wrap: intel, d: 10 * second, every: beat,
			fault: func(at time.Duration, _, reading float64) float64 {
				if at >= 5*second {
					return intel - 1000 + 500
				}
				return reading
			},
			said: "did not move for", perun: perunStands,
		},
		{
			name: "mirrored dies", devices: []string{"package-0-die-0", "package-0-die-1"}, curve: "const:100", wrap: intel, d: 5 * second, every: beat,
			said: "is counted once", perun: perunDies,
		},
		{
			name: "an MMIO twin", devices: []string{"package-0", "mmio/package-0"}, curve: "const:100", wrap: intel, d: 5 * second, every: beat, perun: perunExact,
		},
		{
			name: "the zone vanishes", devices: one, curve: "const:100", wrap: intel, d: 10 * second, every: beat, until: 5 * second,
			fault: func(at time.Duration, _, reading float64) float64 {
				if at > 5*second+beat/2 {
					return math.NaN()
				}
				return reading
			},
			said: "its energy covers 5", perun: perunReset,
		},
		{
			name: "2 ms", devices: one, curve: "const:100", wrap: intel, d: 2 * time.Millisecond, every: beat,
			said: "over 0.002 s its energy is known to ± 50 %", perun: perunShort,
		},
	}
}

// replayed judges what the real program makes of the tape.
func replayed(t *testing.T, p played) verdict {
	t.Helper()
	file, truth := p.tape(t)
	results := t.TempDir()
	runErgon(t, results, "--replay", file, "-q")
	return judge(t.Errorf, p.name, truth, lastTold(t, results), p.said, p.perun)
}

// TestAccuracyOfTapes replays made-up machines whose readings have known times.
func TestAccuracyOfTapes(t *testing.T) {
	testenv.Long(t)
	testenv.Sequential(t)
	var rows []verdict
	for _, p := range playedCases() {
		t.Run(p.name, func(t *testing.T) { rows = append(rows, replayed(t, p)) })
	}
	logTable(t, rows)
}
