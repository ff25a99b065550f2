package report_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/report"
	"github.com/ergon-energy/ergon/sensors"
)

// set sets metrics of the run.
func set(r datamodel.Result, entries ...entry) datamodel.Result {
	run := r.Tree.First(datamodel.RunLevel)
	for _, e := range entries {
		m := datamodel.Value(e.name, e.value, "", "delta", e.from, e.source)
		d, _ := datamodel.Lookup(e.name)
		m.Unit = d.Unit
		run.Metrics = append(slices.DeleteFunc(run.Metrics, func(m datamodel.Metric) bool { return m.Name == e.name }), m)
	}
	return r
}

// asleep is `sleep 1`. It used next to nothing.
func asleep() datamodel.Result {
	r := vm()
	r.Run.Command, r.Run.WallTime, r.Run.Spark = []string{"sleep", "1"}, new(1.001), nil
	const counter = sensors.FromCounter
	return set(
		r, entry{"wall_time", 1.001, counter, ""}, entry{"cpu_time", 0.00118, counter, ""}, entry{"cpu_user_time", 0.00118, counter, ""},
		entry{"peak_memory", 1667236, counter, ""}, entry{"processes", 1, counter, ""},
		entry{"disk_read", 0, counter, ""}, entry{"disk_write", 0, counter, ""}, entry{"profiler_cpu_time", 0.0198, counter, ""},
	)
}

// metered adds measured energy with the command's share.
func metered(r datamodel.Result) datamodel.Result {
	return set(
		r, entry{"energy", 4031, sensors.FromCounter, "packages: package-0"}, entry{"power", 80.1, sensors.FromCounter, ""},
		entry{"target_energy", 1902, sensors.Attributed, "busy CPU time"}, entry{"other_energy", 2129, sensors.Attributed, ""},
	)
}

// trained is a run of some time with all courses of the command.
func trained() datamodel.Result {
	r := metered(build())
	r.Run.Command, r.Run.WallTime = []string{"python3", "train.py"}, new(50.3)
	rising := func(to float64) []*float64 {
		var out []float64
		for i := range 17 {
			out = append(out, to*float64(i+3)/19)
		}
		return course(out...)
	}
	r.Run.Spark["target_power"], r.Run.Spark["target_cpu"] = rising(107), rising(2)
	r.Run.Spark["target_memory"], r.Run.Spark["target_disk"] = rising(880<<20), rising(40<<20)
	return set(
		r, entry{"wall_time", 50.3, sensors.FromCounter, ""}, entry{"cpu_time", 86, sensors.FromCounter, ""},
		entry{"cpu_user_time", 70.6, sensors.FromCounter, ""}, entry{"peak_memory_charge", 978321408, sensors.FromCounter, ""},
	)
}

// factored adds factors for carbon and cost, as if somebody had given them.
func factored(r datamodel.Result) datamodel.Result {
	r.Run.Factors = datamodel.Factors{
		CarbonIntensity: new(230 / 3.6e6), Price: &datamodel.Price{Value: 0.3 / 3.6e6, Currency: "{EUR}"}, PUE: new(1.3), PowerOverhead: new(50.0),
	}
	return r
}

// doubted adds warnings. The one that spoils most is not the first.
func doubted(r datamodel.Result) datamodel.Result {
	r.Run.Warnings = []datamodel.Warning{
		{Subject: "beats", Text: "readings of nvml were late"},
		{Subject: "cpu_pressure", Text: "tasks waited for a CPU 54.0 % of the time (above 20.0 %)"},
		{Subject: "other_load", Text: "others used 12.0 % of the command's CPUs, 12.1 s (above 5.00 %)"},
		{Subject: "rapl/package-0/energy", Text: "stepped back", Count: 3},
	}
	return r
}

// TestBrief holds the short summary of runs of all kinds. Look at the files.
func TestBrief(t *testing.T) {
	term := report.Options{Width: 120, Unicode: true, Again: "2o2yd6"}
	vague := short()
	for i, m := range vague.Tree.First(datamodel.RunLevel).Metrics {
		if m.Name == "energy" {
			vague.Tree.First(datamodel.RunLevel).Metrics[i].Uncertainty = 1
		}
	}
	for _, tt := range []struct {
		name    string
		result  datamodel.Result
		options report.Options
		// lines is the number of lines.
		lines int
	}{
		{"sleep", asleep(), term, 4},
		{"sleep-metered", metered(asleep()), term, 4},
		{"build", build(), term, 8},
		{"trained", doubted(trained()), term, 10},
		{"trained-color", doubted(trained()), report.Options{Width: 80, Unicode: true, Color: true, Again: "2o2yd6"}, 10},
		{"trained-ascii", doubted(trained()), report.Options{Again: "2o2yd6"}, 10},
		{"trained-narrow", doubted(trained()), report.Options{Width: 40, Unicode: true, Again: "2o2yd6"}, 12},
		{"factors", factored(trained()), term, 10},
		{"factors-unmeasured", factored(asleep()), term, 4},
		{"factors-vague", factored(vague), term, 7},
		{"factors-bounded", factored(short()), term, 7},
		{"processes", build(), report.Options{Unicode: true, Processes: true, Again: "2o2yd6"}, 30},
		{"server", server(), term, 9},
		{"failed", failed(), term, 7},
		{"sampler-failed", samplerFailed(), term, 6},
		{"vague", vague, term, 4},
		{"killed", killed(), term, 4},
		{"not-found", notFound(), term, 3},
		{"not-kept", metered(build()), report.Options{Width: 80, Unicode: true}, 7},
		{"hostile", hostile(evil), term, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := render(t, "text", tt.result, tt.options)
			file := filepath.Join("testdata", "brief-"+tt.name+".txt")
			if updating() {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs (ERGON_UPDATE=1 rewrites it):\n%s", file, got)
			}
			if n := strings.Count(got, "\n"); n != tt.lines {
				t.Errorf("%d lines, want %d:\n%s", n, tt.lines, got)
			}
		})
	}
}

// TestBriefWidth tests that no line is wider than 80 columns or the terminal, and that nothing controls the terminal.
func TestBriefWidth(t *testing.T) {
	long := doubted(trained())
	long.Run.Command = append(long.Run.Command, strings.Repeat("日本語", 40))
	long.Run.Warnings[3].Subject = strings.Repeat("rapl/package-0/", 20)
	reason := failed()
	reason.Run.Outcome, reason.Run.Reason = datamodel.ProfilerFailed, strings.Repeat("a full disk ", 30)
	for _, unicodes := range []bool{true, false} {
		for width := 20; width <= 200; width++ {
			for _, r := range []datamodel.Result{asleep(), long, server(), reason, samplerFailed(), killed(), notFound(), hostile(evil)} {
				got := render(t, "text", r, report.Options{Width: width, Unicode: unicodes, Again: "-o /srv/results 2o2yd6"})
				checkQuiet(t, got)
				for line := range strings.SplitSeq(got, "\n") {
					n := utf8.RuneCountInString(line)
					for _, c := range line {
						if unicode.Is(unicode.Han, c) {
							n++
						}
					}
					if n > min(width, 80) {
						t.Errorf("%d of %d columns: %q", n, width, line)
					}
				}
			}
		}
	}
}

// TestBriefSays tests what single lines say.
func TestBriefSays(t *testing.T) {
	f := func(name string, r datamodel.Result, want ...string) {
		t.Helper()
		got := render(t, "text", r, report.Options{Unicode: true, Again: "2o2yd6"})
		for _, w := range want {
			line, absent := strings.CutPrefix(w, "not ")
			if strings.Contains(got, line) == absent {
				t.Errorf("%s: %q in\n%s", name, w, got)
			}
		}
	}
	f("doubts by how much they spoil", doubted(trained()),
		"  ! rapl/package-0/energy: stepped back (3 times)\n  ! others used 12.0 % of the command's CPUs, 12.1 s", "; and 2 more:\n    ergon report -v", "not nvml")
	f("no row of the machine", trained(), "not processes", "not 87.3", "not network")
	f("the machine qualifies", trained(), "1.90 kJ ≈ of the machine's 4.03 kJ", "86.0 s  1.71 of 2 CPUs · 82 % user", "max 107 W", "max 2.0")
	f("one CPU", func() datamodel.Result {
		r := vm()
		r.Run.Host.CPUs = 1
		return set(r, entry{"cpu_time", 12.4, sensors.FromCounter, ""}, entry{"cpu_user_time", 6.2, sensors.FromCounter, ""})
	}(), "1.00 of 1 CPU ·")
	f("a limit", server(), "12.3 of 16 CPUs", "peak of 256 GiB limit")
	f("idle energy", set(metered(vm()), entry{"net_energy", 3500, sensors.Attributed, ""}), "(net 3.50 kJ ≈)")
	f("an energy that may be missing a part", func() datamodel.Result {
		r := metered(vm())
		run := r.Tree.First(datamodel.RunLevel)
		for i, m := range run.Metrics {
			if m.Name == "target_energy" {
				run.Metrics[i] = m.Least(math.NaN())
			}
		}
		return r
	}(), "≥ 1.90 kJ ≈")
	f("disks that were not read", func() datamodel.Result {
		r := vm()
		run := r.Tree.First(datamodel.RunLevel)
		for i, m := range run.Metrics {
			if m.Name == "disk_read" || m.Name == "disk_write" {
				run.Metrics[i] = datamodel.Missing(m.Name, m.Unit, "the kernel refused")
			}
		}
		return r
	}(), "not measured: energy, disk", "not disk    ")
	estimated := set(vm(), entry{"estimated_target_energy", 12.1, sensors.Estimated, "rated power"})
	estimated.Run.Estimate = true
	f("an estimate", estimated, "  estimate  12.1 J", " ? from ")
	r := trained()
	r.Run.Spark["target_cpu"] = course(1, 2)
	f("two points", r, "not max 2.0")
	unfinished := set(vm(), entry{"wall_time", 83.4, sensors.FromCounter, ""})
	unfinished.Run.Outcome, unfinished.Run.ExitCode, unfinished.Run.WallTime = datamodel.ProfilerFailed, nil, nil
	for i, m := range unfinished.Tree.First(datamodel.RunLevel).Metrics {
		if m.Name == "wall_time" {
			unfinished.Tree.First(datamodel.RunLevel).Metrics[i] = m.Least(math.NaN())
		}
	}
	f("an end that nobody saw", unfinished, "ergon failed · ≥ 83.4 s\n")
	f("signal", killed(), "time limit, ended by SIGTERM · 5.00 s\n  ran longer than 5 s\n")
}

// TestShortID tests the end of an id that is shown. A short id and the id of a replay are whole.
func TestShortID(t *testing.T) {
	for id, want := range map[string]string{
		"20261128T230853-puqspehlfz4c": "hlfz4c", "nightly": "nightly", "": "", "nightly-2026-11-28": "6-11-28", "-------------": "-------------",
	} {
		if got := report.ShortID(datamodel.Run{ID: id}); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
	run := datamodel.Run{ID: "20261128T230853-puqspehlfz4c-replay", Replayed: &datamodel.Replay{}}
	if got := report.ShortID(run); got != run.ID {
		t.Errorf("a replay: %q", got)
	}
}
