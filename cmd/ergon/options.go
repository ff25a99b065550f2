package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
)

// defaultInterval is the time between readings: at 10 Hz the sampler needs a few thousandths of a core.
const defaultInterval = 100 * time.Millisecond

// maxInterval turns a slip of the finger (100m) into an error. It would be a run without readings.
const maxInterval = time.Hour

// defaultResults is the folder that runs are kept in.
const defaultResults = "ergon-results"

// resultsOption names the results folder.
func resultsOption(to *string) *option {
	return &option{
		name: "results", group: forResults, short: "o", variable: "ERGON_RESULTS", usage: "the `DIR` that keeps the results", scope: inTrusted,
		value: required{to, "folder"},
	}
}

// The options of every subcommand that keeps what it measures.

func projectOption(to *string) *option {
	return &option{name: "project", group: forResults, usage: "`NAME` that the run is filed under (default: the command's)", value: text{to}}
}

func runIDOption(to *string) *option {
	return &option{
		name: "run-id", group: forResults, scope: once, value: runID{to},
		usage: "the run's `ID`, for scripts that name it later; no run of the results folder may have it",
	}
}

func noSaveOption(to *bool) *option {
	return &option{name: "no-save", group: forResults, usage: "keep nothing", value: toggle{to}}
}

func shareOption(to *string) *option {
	return &option{
		name: "share", group: forPrivacy, scope: inTrusted, variable: "ERGON_SHARE",
		value: choice{to, []string{shareNobody, string(store.ShareGroup), string(store.ShareAll)}},
		usage: "who besides you may read the run, `WHO`: nobody, group or all; the folders of project and date follow the umask",
	}
}

func noArgumentsOption(to *bool) *option {
	return &option{
		name: "no-arguments", group: forPrivacy, variable: "ERGON_NO_ARGUMENTS", value: toggle{to},
		usage: "keep only the command's name, not its arguments; without it, what looks like a secret is masked",
	}
}

// SensorOptions are the options of every subcommand that opens sensors.
type SensorOptions struct {
	// Interval is the time between readings. Intervals has it for single backends, by name.
	Interval  time.Duration
	Intervals map[string]time.Duration
	// Rounds says that the options are for many rounds, which may have no time series. Timed says that an interval was given.
	// Off says that nothing is read between the ends of a round.
	Rounds, Timed, Off bool
	// Sensors selects sensors by globs; the last one that matches decides.
	Sensors []string
	AllGPUs bool
	// Procfs, Sysfs and NVML are absolute paths of other trees, and of another library; NVML may be empty.
	Procfs, Sysfs, NVML string
}

func defaultSensorOptions() SensorOptions {
	return SensorOptions{Interval: defaultInterval, Procfs: "/proc", Sysfs: "/sys"}
}

// roundSensorOptions are the defaults if a command is measured many times.
func roundSensorOptions() SensorOptions {
	o := defaultSensorOptions()
	o.Rounds = true
	return o
}

// aloneIn returns how long a round has readings at its ends only: the first second, unless an interval is given. 0 is as long as
// in a run of its own.
func (o SensorOptions) aloneIn() time.Duration {
	switch {
	case o.Off:
		return math.MaxInt64
	case o.Timed:
		return 0
	}
	return time.Second
}

// table lists the options, bound to o.
func (o *SensorOptions) table(backends []sensors.Backend) table {
	usage := "the `TIME` between readings, from 1ms to 1h: 100ms for all sources; nvml=500ms,rapl=10ms for some"
	if o.Rounds {
		usage += "; off reads at both ends of a round only, which is the default for rounds below a second"
	}
	return table{
		{name: "interval", group: forReadings, value: &intervals{to: o, backends: backends}, usage: usage},
		{name: "sensors", group: forReadings, usage: "which sensors, as `GLOBS`: +rapl,-disk*; the last glob that matches decides", value: list{&o.Sensors, nil}},
		{name: "all-gpus", group: forReadings, usage: "also read the GPUs that CUDA_VISIBLE_DEVICES hides from the command", value: toggle{&o.AllGPUs}},
		{name: "path.procfs", group: forReadings, scope: inTrusted, variable: "ERGON_PROCFS", usage: "read another tree instead of /proc: `DIR`", value: path{&o.Procfs, true}},
		{name: "path.sysfs", group: forReadings, scope: inTrusted, variable: "ERGON_SYSFS", usage: "read another tree instead of /sys: `DIR`", value: path{&o.Sysfs, true}},
		{name: "path.nvml", group: forReadings, scope: inTrusted, variable: "ERGON_NVML", usage: "load this NVML library: `FILE`", value: path{&o.NVML, false}},
	}
}

// text is any text.
type text struct{ to *string }

func (v text) Set(given string) error { *v.to = given; return nil }

func (v text) String() string { return *v.to }

func (v text) Current() string { return *v.to }

// required is a text that must not be empty. what names it in the error.
type required struct {
	to   *string
	what string
}

func (v required) Set(given string) error {
	if given == "" {
		return fmt.Errorf("no %s given", v.what)
	}
	*v.to = given
	return nil
}

func (v required) String() string { return *v.to }

func (v required) Current() string { return *v.to }

// runID is the id of a new run.
type runID struct{ to *string }

func (v runID) Set(given string) error {
	if err := runner.CheckID(given); err != nil {
		return err
	}
	*v.to = given
	return nil
}

func (v runID) String() string { return "" }

func (v runID) Current() string { return *v.to }

// toggle is true or false. The option alone is true.
type toggle struct{ to *bool }

func (v toggle) Set(given string) (err error) {
	if *v.to, err = strconv.ParseBool(given); err != nil {
		return fmt.Errorf("invalid value %q (true or false)", given)
	}
	return nil
}

func (v toggle) String() string { return "" }

func (v toggle) Current() string { return strconv.FormatBool(*v.to) }

// choice is one of several words.
type choice struct {
	to    *string
	among []string
}

func (v choice) Set(given string) error {
	if !slices.Contains(v.among, given) {
		return fmt.Errorf("invalid value %q (one of %s)", given, strings.Join(v.among, ", "))
	}
	*v.to = given
	return nil
}

func (v choice) String() string { return *v.to }

func (v choice) Current() string { return *v.to }

// list collects the parts between commas. check may refuse a part; it may be nil.
type list struct {
	to    *[]string
	check func(part string) error
}

func (v list) Set(given string) error {
	for part := range strings.SplitSeq(given, ",") {
		part = strings.TrimSpace(part)
		if v.check != nil {
			if err := v.check(part); err != nil {
				return err
			}
		}
		*v.to = append(*v.to, part)
	}
	return nil
}

func (v list) String() string { return "" }

func (v list) Current() string { return strings.Join(*v.to, ",") }

// path is a file or a folder that exists. It is stored as an absolute path.
type path struct {
	to     *string
	folder bool
}

func (v path) Set(given string) (err error) {
	switch {
	case given == "":
		return errors.New("no path given")
	case launch.Privileged():
		return errors.New("this ergon has capabilities that its caller lacks, so the caller does not choose what it reads or loads (another copy of ergon without them does)")
	}
	*v.to, err = existing(given, v.folder)
	return err
}

func (v path) String() string { return "" }

func (v path) Current() string { return *v.to }

// existing makes a path absolute and checks that it is a folder, or that it is not one.
func existing(path string, folder bool) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(abs)
	switch {
	case err != nil:
		return "", err
	case folder && !info.IsDir():
		return "", fmt.Errorf("%s: not a folder", path)
	case !folder && info.IsDir():
		return "", fmt.Errorf("%s: a folder, not a file", path)
	}
	return abs, nil
}

// limit is a time limit.
type limit struct{ to *time.Duration }

func (v limit) Set(given string) error {
	const examples = "(examples: 5s, 10m, 1h30m)"
	d, err := time.ParseDuration(given)
	switch {
	case err != nil:
		return fmt.Errorf("invalid duration %q %s", given, examples)
	case d <= 0:
		return fmt.Errorf("%v is not a limit %s", d, examples)
	}
	*v.to = d
	return nil
}

func (v limit) String() string { return "" }

func (v limit) Current() string {
	if *v.to == 0 {
		return ""
	}
	return v.to.String()
}

// count is a whole number from least on. Negative is none given.
type count struct {
	to    *int
	least int
}

func (v count) Set(given string) error {
	n, err := strconv.ParseUint(given, 10, 31)
	if err != nil || int(n) < v.least {
		return fmt.Errorf("invalid number %q (a whole number from %d on)", given, v.least)
	}
	*v.to = int(n)
	return nil
}

func (v count) String() string {
	if *v.to <= 0 {
		return ""
	}
	return strconv.Itoa(*v.to)
}

func (v count) Current() string {
	if *v.to < max(v.least, 0) {
		return ""
	}
	return strconv.Itoa(*v.to)
}

// BaselineOptions say for how long the idle machine is measured before the command, and whether also after it.
type BaselineOptions struct {
	Duration time.Duration
	Both     bool
}

// lineFormat is a format of GNU time.
type lineFormat struct{ to *string }

func (v lineFormat) Set(given string) error {
	_, err := report.Line(datamodel.Result{}, given)
	*v.to = given
	return err
}

func (v lineFormat) String() string { return "" }

func (v lineFormat) Current() string { return *v.to }

// posix is the switch that chooses the format of POSIX.
type posix struct{ to *string }

func (v posix) Set(given string) error {
	on, err := strconv.ParseBool(given)
	switch {
	case err != nil:
		return fmt.Errorf("invalid value %q (true or false)", given)
	case on:
		*v.to = report.Posix
	}
	return nil
}

func (v posix) String() string { return "" }

func (v posix) Current() string { return strconv.FormatBool(*v.to == report.Posix) }

// baseline is 10s or 10s,both.
type baseline struct{ to *BaselineOptions }

func (v baseline) Set(given string) error {
	before, both, hasBoth := strings.Cut(given, ",")
	d, err := time.ParseDuration(strings.TrimSpace(before))
	switch {
	case err != nil || hasBoth && strings.TrimSpace(both) != "both":
		return fmt.Errorf("want TIME or TIME,both, got %q (examples: 10s; 10s,both)", given)
	case d < runner.MinBaseline || d > runner.MaxBaseline:
		return outOfRange(d, runner.MinBaseline, runner.MaxBaseline)
	}
	*v.to = BaselineOptions{Duration: d, Both: hasBoth}
	return nil
}

func (v baseline) String() string { return "" }

func (v baseline) Current() string {
	switch {
	case v.to.Duration == 0:
		return ""
	case v.to.Both:
		return v.to.Duration.String() + ",both"
	}
	return v.to.Duration.String()
}

// off is the word for no time between the readings of a round.
const off = "off"

// intervals is 100ms, or nvml=500ms,rapl=10ms, or a mixture. For rounds it may be off.
type intervals struct {
	to       *SensorOptions
	backends []sensors.Backend
	forAll   bool // an interval for all sources has been given
}

func (v *intervals) Set(given string) error {
	switch {
	case v.to.Off || v.to.Rounds && v.to.Timed && given == off:
		return errors.New("off and a time contradict each other")
	case v.to.Rounds && given == off:
		v.to.Off, v.to.Interval = true, maxInterval // if the sampler reads from the start, it has no beat
		return nil
	}
	v.to.Timed = true
	for part := range strings.SplitSeq(given, ",") {
		if err := v.set(strings.TrimSpace(part)); err != nil {
			return err
		}
	}
	return nil
}

func (v *intervals) set(part string) error {
	name, value, own := strings.Cut(part, "=")
	if !own {
		name, value = "", part
	}
	name = strings.TrimSpace(name)
	d, err := time.ParseDuration(strings.TrimSpace(value))
	known := slices.IndexFunc(v.backends, func(b sensors.Backend) bool { return b.Name == name }) >= 0
	_, twice := v.to.Intervals[name]
	switch {
	case err != nil:
		return fmt.Errorf("invalid duration %q (examples: 10ms; 1s; nvml=500ms)", value)
	case d < sampler.MinInterval || d > maxInterval:
		return outOfRange(d, sampler.MinInterval, maxInterval)
	case own && !known:
		return fmt.Errorf("unknown source %q (one of %s)", name, strings.Join(sources(v.backends), ", "))
	case twice:
		return fmt.Errorf("%s is given twice", name)
	case !own && v.forAll:
		return errors.New("given twice for all sources (SOURCE=1s sets a single one)")
	case own:
		if v.to.Intervals == nil {
			v.to.Intervals = map[string]time.Duration{}
		}
		v.to.Intervals[name] = d
		return nil
	}
	v.to.Interval, v.forAll = d, true
	return nil
}

func (v *intervals) String() string { return "" }

func (v *intervals) Current() string {
	if v.to.Off {
		return off
	}
	parts := []string{v.to.Interval.String()}
	for _, name := range slices.Sorted(maps.Keys(v.to.Intervals)) {
		parts = append(parts, name+"="+v.to.Intervals[name].String())
	}
	return strings.Join(parts, ",")
}

// sources returns the names that --interval takes.
func sources(backends []sensors.Backend) []string {
	names := make([]string, len(backends))
	for i, b := range backends {
		names[i] = b.Name
	}
	return names
}

func outOfRange(d, least, most time.Duration) error {
	return fmt.Errorf("%v is out of range (%v to %v)", d, least, most)
}
