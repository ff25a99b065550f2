//go:build linux

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
)

// evil is a text that does to a terminal what it can: it sets the title, clears the screen, moves the cursor, colours and hides
// what follows, reverses its direction, and begins a line of its own.
const evil = "\x1b]0;owned\a\x1b[2J\x1b[8;5H\x1b[31mEVIL\x1b[8m\u009b2J\x9b2J\u202e\u2066\x7f\b\r\nroot# \xff\U000e0041"

// evilName is evil as the name of a file.
const evilName = "\x1b]0;owned\a\x1b[2J\x1b[31mEVIL\u009b2J\u202e\b\r\n\xff"

// tainted puts the text into every string of v, a pointer, whatever fields there are. Strings that choose how to read the rest
// are kept.
func tainted(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		switch v.Interface().(type) {
		case sensors.Provenance, datamodel.ProcessKind, datamodel.Level:
		default:
			v.SetString(text)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			tainted(v.Elem(), text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Name != "Schema" {
				tainted(v.Field(i), text)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			tainted(v.Index(i), text)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if value := v.MapIndex(k); value.Kind() == reflect.String && k.Kind() == reflect.String {
				v.SetMapIndex(k, reflect.Value{})
				v.SetMapIndex(reflect.ValueOf(text), reflect.ValueOf(text))
			}
		}
	default: // no text
	}
}

// hostileRun makes a run folder in which every text is evil. A run that is unfinished has only a spool.
func hostileRun(t *testing.T, results, id string, outcome datamodel.Outcome) string {
	t.Helper()
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	folder, err := store.NewRun(results, "p", at, id, store.Access{})
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	dir := folder.Path()
	wall, code := 1.5, 0
	run := datamodel.Run{
		Command: []string{"", ""}, WallTime: &wall, ExitCode: &code, Start: at,
		Host:     datamodel.HostInfo{CPUs: 1, GPUs: []string{""}, Environment: map[string]string{"a": ""}, Git: &sensors.Git{}},
		Sources:  make([]datamodel.SourceStats, 2),
		Missing:  make([]sensors.Absence, 2),
		Warnings: make([]datamodel.Warning, 2),
		Replayed: &datamodel.Replay{LeftOut: []string{""}},
		Baseline: &datamodel.Baseline{},
	}
	tainted(reflect.ValueOf(&run), evil)
	run.Outcome = outcome
	header := store.SpoolHeader{
		Source: "cpu", Host: evil, Interval: time.Second, Anchor: at, Version: evil,
		Sensors: []sensors.Sensor{{ID: "cpu/" + evil, Family: "cpu", Device: evil, Name: evil, Unit: "s", Source: evil, Doc: evil}},
	}
	spool, err := folder.Make(store.SpoolFolder)
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	if err := store.Save(spool, []store.Rows{{Header: header, At: []time.Duration{0, time.Second}, Values: []float64{1, 2}}}); err != nil {
		t.Fatal(err)
	}
	if outcome == datamodel.Unfinished {
		if err := store.NoteManifest(folder, run); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	metrics := []datamodel.Metric{
		datamodel.Value(datamodel.WallTime, 1.5, "s", "delta", sensors.FromCounter, evil),
		datamodel.Missing(datamodel.Energy, "J", evil), datamodel.Missing(evil, evil, evil),
	}
	leaf := &datamodel.Node{Name: evil, Level: datamodel.SensorLevel, Family: evil, Sensor: &header.Sensors[0], Metrics: metrics, Meta: []datamodel.Pair{{Key: evil, Value: evil}}}
	tree := &datamodel.Node{Name: evil, Level: datamodel.App, Children: []*datamodel.Node{
		{Name: evil, Level: datamodel.RunLevel, Metrics: metrics, Children: []*datamodel.Node{leaf}},
	}}
	processes := []datamodel.Process{
		{Kind: datamodel.OneProcess, ID: 0, ParentID: -1, PID: 5, Name: evil, CommandLine: evil, Count: 1, CPUTime: 1, Provenance: sensors.Sampled},
		{Kind: datamodel.OneProcess, ID: 1, ParentID: 0, PID: 6, Name: evil, Count: 1, CPUTime: 1, Provenance: sensors.Sampled},
	}
	files := folder.Files()
	c, err := files.Convert(spool, nil)
	if err == nil {
		_, err = c.Close()
	}
	for _, step := range []func() error{
		func() error { return files.SaveTree(run, tree) },
		func() error { return files.SaveProcesses(run, processes, datamodel.ProcessColumns(metrics)) },
		func() error { return files.SaveManifest(run) },
		func() error { return store.RemoveSpool(folder) },
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// hostileSys makes a tree of /sys in which the devices have evil names.
func hostileSys(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range map[string]string{
		"class/hwmon/hwmon0/name": evil, "class/hwmon/hwmon0/power1_input": "5000000", "class/hwmon/hwmon0/power1_label": evil,
		"class/hwmon/hwmon1/name": evil, "class/hwmon/hwmon1/energy1_input": "no number", "class/hwmon/hwmon1/energy1_label": evil,
		"class/powercap/intel-rapl:0/name": evil, "class/powercap/intel-rapl:0/energy_uj": "5",
		"class/powercap/intel-rapl:0/max_energy_range_uj": "500000", "class/powercap/intel-rapl:0/enabled": "1",
		"class/powercap/intel-rapl:1/name": evil, "class/powercap/intel-rapl:1/energy_uj": evil,
		"class/power_supply/" + evilName + "/type": "Battery", "class/power_supply/" + evilName + "/power_now": "5000000",
		"class/thermal/thermal_zone0/type": evil, "class/thermal/thermal_zone0/temp": "5000",
		"class/block/" + evilName + "/size": "5", "block/" + evilName + "/size": "5",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestNothingControlsTheTerminal runs every subcommand on a terminal, with evil text wherever a text can come from: manifests,
// tables, tapes, paths, devices, arguments. Besides text, only line ends and ergon's own sequences may arrive.
func TestNothingControlsTheTerminal(t *testing.T) {
	t.Parallel()
	results, sys := filepath.Join(t.TempDir(), evilName), hostileSys(t)
	hostileRun(t, results, "20261128T120000-000001", datamodel.Done)
	hostileRun(t, results, "20261128T120001-000002", datamodel.Unfinished)
	hostileRun(t, results, evilName, datamodel.NotFound)
	unreadable := hostileRun(t, results, "20261128T120003-"+evilName, datamodel.Done)
	if err := os.WriteFile(filepath.Join(unreadable, store.ManifestFile), []byte(`{"schema":"`+strings.ReplaceAll(evil, "\n", " ")), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(results, "project="+evilName), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), evilName+".zip")
	if err := os.WriteFile(broken, []byte(evil), 0o666); err != nil {
		t.Fatal(err)
	}
	tape := filepath.Join(t.TempDir(), evilName+".tape.zip")
	spool, err := store.OpenFolder(filepath.Join(results, "project=p", "date=2026-11-28", "run=20261128T120001-000002", store.SpoolFolder))
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	var taped store.Tape
	taped.Run = datamodel.Run{Command: []string{""}, Host: datamodel.HostInfo{GPUs: []string{""}}, Missing: make([]sensors.Absence, 1), Warnings: make([]datamodel.Warning, 1)}
	taped.LeftOut = []string{""}
	tainted(reflect.ValueOf(&taped), evil)
	taped.Run.Schema, taped.Run.ID, taped.Run.Outcome = datamodel.ManifestSchema, "20261128T120001-000002", datamodel.Done
	if err := store.SaveTape(tape, taped, spool, nil, store.Access{}); err != nil {
		t.Fatal(err)
	}
	const run = "20261128T120000-000001"
	silent := []string{"--version", "--help", "doctor"}
	summary, exported := filepath.Join(results, "summary.json"), filepath.Join(results, "exported.json")
	settings := filepath.Join(t.TempDir(), evilName+".yaml")
	if err := os.WriteFile(settings, []byte(evil+": "+evil+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, words := range [][]string{
		{"ls", "-o", results},
		{"ls", evil},
		{"ls", "-o", broken},
		{"report", "-o", results, run},
		{"report", "-o", results},
		{"report", "-o", results, evil},
		{"report", unreadable},
		{"report", "-o", results, "2026"},
		{"report", "-o", results, "-f", "json", run},
		{"report", "-o", results, "-f", "json", "--all", run},
		{"report", "-o", results, "-f", "csv", run},
		{"report", "-o", results, "-f", "markdown", run},
		{"report", "-o", results, "-f", "html", run},
		{"report", "-f", evil},
		{"trend", "-o", results, "--outcome", "done,unfinished"},
		{"trend", "-o", results, "-f", "json"},
		{"trend", "-o", results, "-f", "csv"},
		{"trend", "-o", results, "-f", "html"},
		{"trend", "-o", results, "--by", "tag"},
		{"trend", "-o", broken},
		{"trend", "--metric", evil},
		{"trend", evil},
		{"report", "-o", results, evilName},
		{"export", "-o", results, run},
		{"export", "-o", results, "-f", "json", run},
		{"export", "-o", results, evilName},
		{"export", unreadable},
		{"export", "-o", results, "-f", "arrow", run},
		{"export", "-o", results, "--to", filepath.Join(broken, "x"), run},
		{"recover", "-o", results, evil},
		{"recover", "-o", results, evilName},
		{"recover", "-o", results},
		{"recover", "-o", evil},
		{"sensors", "--path.sysfs", sys, "-o", results},
		{"sensors", "--path.sysfs", sys, "--json"},
		{"sensors", "--path.sysfs", sys, "--energy"},
		{"sensors", "--path.sysfs", sys, "--energy", "--json"},
		{"sensors", "--replay", tape},
		{"sensors", "--replay", tape, "--json"},
		{"sensors", "--replay", broken},
		{"sensors", "--sensors", evil},
		{"sensors", "--path.sysfs", evil},
		{"sensors", evil},
		{"doctor", "--path.sysfs", sys, "-o", results},
		{"doctor", "--path.sysfs", sys, "--json"},
		{"doctor", evil},
		{"--replay", tape, "-o", filepath.Join(t.TempDir(), evilName)},
		{"--replay", tape, "--no-save"},
		{"--replay", broken},
		{"--replay", tape, evil},
		{"record", "--tape", broken, "true"},
		{"record", "--tape", filepath.Join(t.TempDir(), evilName), "-o", results, "true", evil},
		{"--no-save", "--path.sysfs", sys, "true", evil},
		{"-v", "-o", results, "--project", evil, "sh", "-c", "exit 3", evil},
		{"--no-save", evil},
		{"-o", results, "--", evil},
		{"--no-save", "./" + evilName},
		{"--" + evil},
		{"--interval", evil, "true"},
		{"--env", "TOKEN" + evil, "true"},
		{"-o", broken, "true"},
		{"help", evil},
		{"--version"},
		{"--help"},
		{"config", evil},
		{"config", "--config", settings},
		{"--config", settings, "true"},
		{"--config", evil, "true"},
		{"init", evil},
		{"version", evil},
		{"help", "--" + evil},
		{"--no-save", "-f", "%C", "true", evil},
		{"--no-save", "--summary-to", summary, "-f", "%C", "true", evil},
		{"--no-save", "--summary-to", summary, "-a", "true", evil},
		{"--no-save", "-q", "--export", exported, "true", evil},
		{"doctor", "--script", "--path.sysfs", sys},
		{"--share", evil, "true"},
		{"--run-id", evil, "true"},
		{"--user", evil, "true"},
		{"--export", filepath.Join(broken, "x"), "-o", results, "true", evil},
		{"report", "-o", results, "--all", run},
		{"report", "-v", "-o", results, run},
		{"report", "-o", results, "--all", "-f", "csv", run},
		{"--progress", evil, "true"},
		{"--timeout", evil, "true"},
		{"--baseline", evil, "true"},
		{"--estimate=" + evil, "true"},
	} {
		c := command(t, newMark(), append([]string{"ergon"}, words...)...)
		c.Dir = t.TempDir()
		m := openTerminal(t, c)
		<-m.over
		if bad := uncontrolled(m.all()); bad != "" {
			t.Errorf("ergon %q: %s", words, bad)
		}
		// The test would see nothing if the foreign text did not come through at all.
		if !strings.Contains(m.all(), "EVIL") && !slices.Contains(silent, words[0]) && !slices.Contains(words, "--summary-to") && !slices.Contains(words, "-q") {
			t.Errorf("ergon %q shows nothing foreign: %q", words, m.all())
		}
	}
	// Whatever was written to files must not control a terminal either, if cat shows it.
	err = filepath.WalkDir(results, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" || strings.HasPrefix(path, unreadable) || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bad := uncontrolled(string(text)); bad != "" {
			t.Errorf("%q: %s", path, bad)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// uncontrolled returns what of a text could control a terminal, with what is around it. It returns "" if there is nothing.
func uncontrolled(text string) string {
	// A terminal writes \n as \r\n. The last sequences erase the line that was drawn below.
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if strings.Contains(text, "\nroot#") {
		return "foreign text begins a line of its own"
	}
	if strings.Contains(text, "\x1b[31mEVIL") {
		return "foreign text has a colour"
	}
	text = regexp.MustCompile("\x1b\\[(0|1|2|31|33)m").ReplaceAllString(text, "")
	if !utf8.ValidString(text) {
		return "not UTF-8"
	}
	bad := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) })
	if bad < 0 {
		return ""
	}
	return strconv.Quote(text[max(0, bad-60):min(len(text), bad+40)])
}
