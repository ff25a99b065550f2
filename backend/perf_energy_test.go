package backend

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/sensors"
)

// unit returns the archive of a PMU. Events are given as name=code, and all have the same scale.
func unit(name, kind, cpus, scale string, events ...string) string {
	dir := "sys/bus/event_source/devices/" + name
	text := "-- " + dir + "/type --\n" + kind + "\n-- " + dir + "/cpumask --\n" + cpus + "\n-- " + dir + "/format/event --\nconfig:0-7\n"
	for _, e := range events {
		event, code, _ := strings.Cut(e, "=")
		path := "-- " + dir + "/events/" + event
		text += path + " --\nevent=" + code + "\n" + path + ".unit --\nJoules\n" + path + ".scale --\n" + scale + "\n"
	}
	return text
}

// processorAt returns the archive of a processor's topology.
func processorAt(cpu, socket, die, core int) string {
	dir := fmt.Sprintf("-- sys/devices/system/cpu/cpu%d/topology/", cpu)
	return fmt.Sprintf("%sphysical_package_id --\n%d\n%sdie_id --\n%d\n%score_id --\n%d\n", dir, socket, dir, die, dir, core)
}

// raplScale is 2⁻³² J as the kernel writes it. raplType is a PMU type that no kernel uses.
const (
	raplScale = "2.3283064365386962890625e-10"
	raplType  = "65001"
)

// TestPerfDevices checks which devices the events of a PMU become, and on which processors.
func TestPerfDevices(t *testing.T) {
	f := func(archive string, want ...string) {
		t.Helper()
		pmus, absences, err := energyPMUs(fixture.Unpack(t, archive).Sys)
		if err != nil || len(absences) > 0 {
			t.Fatalf("energyPMUs: %v, absences %v", err, absences)
		}
		var got []string
		for _, u := range pmus {
			for i, cpu := range u.cpus {
				for _, e := range u.events {
					got = append(got, fmt.Sprintf("%s on %d config %d", perfDevice(u, e, i), cpu, e.config[0]))
					if e.scale != 1.0/(1<<32) {
						t.Errorf("%s has the scale %v", got[len(got)-1], e.scale)
					}
					if perfDoc(u, e) == "" {
						t.Errorf("%s has no description", got[len(got)-1])
					}
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("devices\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	// Two sockets. The first processor is in the second socket.
	sockets := processorAt(0, 1, 0, 0) + processorAt(32, 0, 0, 0)
	f(unit("power", raplType, "0,32", raplScale, "energy-pkg=0x02", "energy-ram=0x03", "energy-psys=0x05")+sockets,
		"package-1 on 0 config 2", "psys-1 on 0 config 5", "package-1/dram on 0 config 3",
		"package-0 on 32 config 2", "psys on 32 config 5", "package-0/dram on 32 config 3")
	// A client processor, with an unknown domain.
	f(unit("power", raplType, "0", raplScale, "energy-cores=0x01", "energy-gpu=0x04", "energy-npu=0x06")+processorAt(0, 0, 0, 0),
		"package-0/core on 0 config 1", "package-0/uncore on 0 config 4", "package-0/npu on 0 config 6")
	// Dies.
	f(unit("power", raplType, "0-1,4", raplScale, "energy-pkg=0x02")+
		processorAt(0, 0, 0, 0)+processorAt(1, 0, 1, 1)+processorAt(4, 1, 0, 0),
		"package-0-die-0 on 0 config 2", "package-0-die-1 on 1 config 2", "package-1-die-0 on 4 config 2")
	// AMD since Linux 6.14: one PMU for packages and one for cores, although the kernel also has dies.
	cores := processorAt(0, 0, 0, 0) + processorAt(1, 0, 0, 1) + processorAt(2, 0, 1, 8) + processorAt(3, 1, 2, 0)
	f(unit("power", raplType, "0,3", raplScale, "energy-pkg=0x02")+
		unit("power_core", raplType, "0-3", raplScale, "energy-core=0x01")+cores,
		"package-0 on 0 config 2", "package-1 on 3 config 2",
		"package-0/core-0 on 0 config 1", "package-0/core-1 on 1 config 1",
		"package-0/core-8 on 2 config 1", "package-1/core-0 on 3 config 1")
	// A PMU with another name is another counter. A processor of unknown topology is a device of its own.
	f(unit("soc_power", raplType, "0", raplScale, "energy-pkg=0x02", "energy-ram=7")+processorAt(0, 0, 0, 0),
		"soc_power/package-0 on 0 config 2", "soc_power/package-0/dram on 0 config 7")
	f(unit("power", raplType, "0,1", raplScale, "energy-pkg=0x02"), "cpu0 on 0 config 2", "cpu1 on 1 config 2")
	f(unit("power", raplType, "0", raplScale, "energy-pkg=0x02")+processorAt(0, -1, 0, 0), "cpu0 on 0 config 2")
	// Links are followed inside the tree, also absolute ones.
	linked := strings.ReplaceAll(unit("power", raplType, "0", raplScale, "energy-pkg=0x02"), "sys/bus/event_source/devices/", "sys/devices/")
	f(linked+processorAt(0, 0, 0, 0)+"-- sys/bus/event_source/devices/power -> ../../../devices/power --\n", "package-0 on 0 config 2")
	f(linked+processorAt(0, 0, 0, 0)+"-- sys/bus/event_source/devices/power -> /sys/devices/power --\n", "package-0 on 0 config 2")
	f(linked + "-- sys/bus/event_source/devices/power -> /nowhere/power --\n")
	// PMUs that do not count energy are ignored.
	f(unit("cpu", "4", "0", "1", "cycles=0x3c") + unit("msr", "9", "0", "1"))
}

// TestPerfAbsences checks that an error in a PMU or an event gives an absence, and does not affect the others.
func TestPerfAbsences(t *testing.T) {
	f := func(archive, source, want string, left int) {
		t.Helper()
		archive += processorAt(0, 0, 0, 0) + unit("power_good", raplType, "0", raplScale, "energy-pkg=2")
		pmus, absences, err := energyPMUs(fixture.Unpack(t, archive).Sys)
		if err != nil || len(absences) != 1 || !absences[0].Present() || !strings.HasPrefix(absences[0].ID, "perf/power") ||
			!strings.HasSuffix(absences[0].Source, source) || !strings.Contains(absences[0].Reason, want) {
			t.Errorf("%v, absences %+v, want one of %s: %s", err, absences, source, want)
		}
		events := 0
		for _, u := range pmus {
			events += len(u.events)
		}
		if events != 1+left {
			t.Errorf("%s: %d events are left, want %d", want, events, 1+left)
		}
	}
	power := func(kind, cpus, scale string, events ...string) string {
		return unit("power", kind, cpus, scale, events...)
	}
	const dir = "-- sys/bus/event_source/devices/power/"
	f(power("many", "0", raplScale, "energy-pkg=2"), "power/type", "not a whole number", 0)
	f(power("4294967296", "0", raplScale, "energy-pkg=2"), "power/type", "not a whole number", 0)
	f(power(raplType, "", raplScale, "energy-pkg=2"), "power/cpumask", "not a list of processors", 0)
	f(power(raplType, "0", "0", "energy-pkg=2"), "events/energy-pkg", "not a scale", 0)
	f(power(raplType, "0", raplScale, "energy-pkg=256", "energy-ram=3"), "events/energy-pkg", "wider than its format", 1)
	f(power(raplType, "0", raplScale, "energy-pkg=?"), "events/energy-pkg", "not a term", 0)
	f(power(raplType, "0", raplScale, "energy-ram=2")+dir+"events/energy-pkg --\numask=1\n"+dir+"events/energy-pkg.unit --\nJoules\n"+
		dir+"events/energy-pkg.scale --\n1\n", "events/energy-pkg", "no such file", 1)
	f(power(raplType, "0", raplScale, "energy-ram=2")+dir+"events/energy-pkg --\nevent=1\n"+dir+"events/energy-pkg.unit --\nWh\n",
		"events/energy-pkg", `its unit is "Wh" and not Joules`, 1)
	f(power(raplType, "0", raplScale, "energy-ram=2")+dir+"events/energy-pkg --\nevent=1\n", "events/energy-pkg", "no such file", 1)
}

// TestPerfUnavailable checks a machine without PMUs, and recorded machines with a PMU type that this kernel does not have. A
// user who may open no event gets that reason first.
func TestPerfUnavailable(t *testing.T) {
	unsupported := []sensors.Cause{sensors.Unsupported}
	elsewhere := []sensors.Cause{sensors.Unsupported, sensors.Denied} // Denied if the user may open no event
	f := func(b sensors.Backend, host sensors.Setup, want []sensors.Cause, absent ...string) {
		t.Helper()
		source, absences, err := b.Open(t.Context(), host)
		if source != nil || !slices.Contains(want, causeOf(err)) {
			t.Errorf("%v, %v, want %q", source, err, want)
		}
		var got []string
		for _, a := range absences {
			got = append(got, a.ID)
			if a.Cause != causeOf(err) {
				t.Errorf("%+v, want %q", a, causeOf(err))
			}
		}
		if !slices.Equal(got, absent) {
			t.Errorf("absent are %q, want %q", got, absent)
		}
	}
	f(perf(), fixture.Host(t, "empty-vm"), unsupported)
	f(perfCore(), fixture.Host(t, "empty-vm"), unsupported)
	f(perf(), fixture.Unpack(t, "-- sys/bus/event_source/devices/ --\n"), unsupported)
	f(perf(), fixture.Unpack(t, "-- sys/bus/event_source/devices --\na file\n"), []sensors.Cause{sensors.Unreadable})
	if _, err := os.Stat("/sys/bus/event_source/devices"); err != nil {
		t.Skip("no perf events here: ", err)
	}
	for _, host := range []string{"xeon-1s", "epyc-2s-dies", "laptop-psys"} {
		f(perf(), fixture.Host(t, host), elsewhere, "perf/power")
		f(perfCore(), fixture.Host(t, host), unsupported)
	}
	cores := fixture.Unpack(t, unit("power_core", raplType, "0-1", raplScale, "energy-core=1")+processorAt(0, 0, 0, 0)+processorAt(1, 0, 0, 1))
	f(perfCore(), cores, elsewhere, "perf/power_core")
	f(perf(), cores, unsupported)
}

// TestPerfCause checks the cause for each error of perf_event_open.
func TestPerfCause(t *testing.T) {
	f := func(err error, want sensors.Cause) {
		t.Helper()
		why := whyNoEvent(fmt.Errorf("perf_event_open on CPU 0: %w", err))
		if cause(why) != want {
			t.Errorf("%v: %s, want %s", err, cause(why), want)
		}
	}
	f(syscall.EACCES, sensors.Denied)
	f(syscall.EPERM, sensors.Denied)
	f(syscall.ENOENT, sensors.Unsupported)
	f(syscall.ENODEV, sensors.Unsupported)
	f(syscall.EOPNOTSUPP, sensors.Unsupported)
	f(syscall.ENOSYS, sensors.Unsupported)
	f(fs.ErrInvalid, sensors.Unsupported)
	f(syscall.EMFILE, sensors.Unreadable)
	f(syscall.EBUSY, sensors.Unreadable)
}

func TestPerfEvent(t *testing.T) {
	formats := map[string]string{
		"event": "config:0-7,32-35", "umask": "config:8-15", "edge": "config:18", "filter": "config1:0-63",
		"odd": "config2:1,6-10,44", "three": "config3:0-7", "broken": "config:7-0",
	}
	f := func(text string, want [3]uint64, fails error) {
		t.Helper()
		got, err := parseEvent(text, func(term string) (string, error) {
			if format, ok := formats[term]; ok {
				return format, nil
			}
			return "", fs.ErrNotExist
		})
		if got != want || !errors.Is(err, fails) {
			t.Errorf("%q: %x, %v, want %x, %v", text, got, err, want, fails)
		}
	}
	f("event=0x02", [3]uint64{2}, nil)
	f("event=2", [3]uint64{2}, nil)
	f("event=0x3c,umask=0x1,edge", [3]uint64{0x4013c}, nil)
	f("event=0x12c", [3]uint64{1<<32 | 0x2c}, nil)
	f("event=0xfff,filter=18446744073709551615", [3]uint64{0xf000000ff, math.MaxUint64}, nil)
	f("odd=0x7f", [3]uint64{0, 0, 1<<1 | 0x1f<<6 | 1<<44}, nil)
	f("config=0x10,config1=1,config2=2", [3]uint64{16, 1, 2}, nil)
	f("event=1,event=2", [3]uint64{2}, nil)
	f("event=0x1fff", [3]uint64{}, errTooWide)
	f("edge=2", [3]uint64{}, errTooWide)
	f("event=?", [3]uint64{}, errTerm)
	f("event=-1", [3]uint64{}, errTerm)
	f("event=0x1_0", [3]uint64{}, errTerm)
	f("", [3]uint64{}, errTerm)
	f("event=1,", [3]uint64{}, errTerm)
	f("../type=1", [3]uint64{}, errTerm)
	f("unknown=1", [3]uint64{}, fs.ErrNotExist)
	f("three=1", [3]uint64{}, errFormat)
	f("broken=1", [3]uint64{}, errFormat)
}

func TestPerfCPUs(t *testing.T) {
	f := func(text string, want ...int) {
		t.Helper()
		got, err := parseCPUs(text)
		if !slices.Equal(got, want) || (err == nil) != (len(want) > 0) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	f("0\n", 0)
	f("0,32\n", 0, 32)
	f("0-1", 0, 1)
	f("0-2,5,7-8", 0, 1, 2, 5, 7, 8)
	f("65535", 65535)
	for _, junk := range []string{"", ",", "0,", "a", "-1", "1-0", "0,0", "0-3,2", "65536", "0-99999999999", "00000001,00000001", "0x1"} {
		f(junk)
	}
}

func FuzzPerfEvent(f *testing.F) {
	f.Add("event=0x02", "config:0-7")
	f.Add("event=0x12c,umask=0x1,edge", "config1:0-7,32-35")
	f.Add("config=0x10,x", "config2:1,6-10,44")
	f.Fuzz(func(t *testing.T, text, format string) {
		where, mask, err := parseFormat(format)
		if err == nil && (mask == 0 || where < 0 || where > 2) {
			t.Fatalf("format %q: word %d, mask %x", format, where, mask)
		}
		config, err := parseEvent(text, func(term string) (string, error) {
			if term == "" || strings.ContainsAny(term, "/.\x00") {
				t.Fatalf("%q asks for the format of %q", text, term)
			}
			return format, nil
		})
		if err != nil {
			if config != [3]uint64{} {
				t.Fatalf("%q: an error (%v) with a result: %x", text, err, config)
			}
			return
		}
		if strings.Contains(text, "config") {
			return
		}
		for i, word := range config {
			if i == where && word&^mask != 0 || i != where && word != 0 {
				t.Fatalf("%q in %q: %x is outside %x", text, format, config, mask)
			}
		}
	})
}

// FuzzPerfSpread checks that no bit is lost when a value is spread over a mask, and that the order stays.
func FuzzPerfSpread(f *testing.F) {
	f.Add(uint64(0x12c), uint64(0xf000000ff))
	f.Fuzz(func(t *testing.T, value, mask uint64) {
		value &= 1<<bits.OnesCount64(mask) - 1
		out, back := spread(value, mask), uint64(0)
		for i, left := 0, mask; left != 0; i, left = i+1, left&(left-1) {
			if out&(left&-left) != 0 {
				back |= 1 << i
			}
		}
		if out&^mask != 0 || back != value {
			t.Fatalf("%x in %x is %x, which reads back as %x", value, mask, out, back)
		}
	})
}

func FuzzPerfCPUs(f *testing.F) {
	f.Add("0,32")
	f.Add("0-3,8")
	f.Fuzz(func(t *testing.T, text string) {
		cpus, err := parseCPUs(text)
		if err != nil {
			if cpus != nil {
				t.Fatalf("%q: an error (%v) with a result: %v", text, err, cpus)
			}
			return
		}
		for i, n := range cpus {
			if n < 0 || n >= largestCPUList || i > 0 && n <= cpus[i-1] {
				t.Fatalf("%q gives the processors %v", text, cpus)
			}
		}
		if len(cpus) == 0 {
			t.Fatalf("%q gives no processor and no error", text)
		}
	})
}

func FuzzPerfScale(f *testing.F) {
	f.Add(raplScale)
	f.Add("1e-9")
	f.Add("-inf")
	f.Fuzz(func(t *testing.T, text string) {
		scale, err := parseScale(text)
		if err == nil && (!(scale > 0) || math.IsInf(scale*math.MaxInt64, 0)) || err != nil && scale != 0 {
			t.Fatalf("%q gives the scale %v, %v", text, scale, err)
		}
	})
}
