package report

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
)

// Posix is the format of POSIX time(1) with -p.
const Posix = "real %e\nuser %U\nsys %S"

// letter is one conversion of a line.
type letter struct {
	letter byte
	doc    string
	write  func(datamodel.Result) string
}

// letters lists the conversions of a line: those of GNU time 1.9 (its manual, "The format string"), and J, W and G. GNU's %W, the
// number of swaps, is always 0 on Linux, so W is free for the power.
func letters() []letter {
	amount := func(name string, per float64, decimals int) func(datamodel.Result) string {
		return func(r datamodel.Result) string {
			v := datamodel.Pick(r.Summary, name).Value
			if math.IsNaN(v) {
				return "-"
			}
			return strconv.FormatFloat(v/per, 'f', decimals, 64)
		}
	}
	// Faults and switches are no part of the summary: the command's node has them.
	events := func(name string) func(datamodel.Result) string {
		return func(r datamodel.Result) string {
			if r.Tree == nil {
				return "-"
			}
			target := r.Tree.Find(datamodel.DeviceLevel, "target")
			if target == nil || math.IsNaN(target.Metric(name).Value) {
				return "-"
			}
			return strconv.FormatFloat(target.Metric(name).Value, 'f', 0, 64)
		}
	}
	none := func(datamodel.Result) string { return "-" }
	return []letter{
		{'e', "elapsed time, s", amount(datamodel.WallTime, 1, 2)},
		{'E', "elapsed time, [h:]mm:ss", elapsed},
		{'U', "CPU time in user mode, s", amount(datamodel.CPUUserTime, 1, 2)},
		{'S', "CPU time in the kernel, s", amount(datamodel.CPUSystemTime, 1, 2)},
		{'P', "CPU time as a share of the elapsed time", share},
		{'M', "peak memory, KiB", amount(datamodel.PeakMemory, 1024, 0)},
		{'J', "energy: the command's share if it is known, else the machine's, J", energyOf},
		{'W', "power of the machine, W", amount(datamodel.Power, 1, 2)},
		{'G', "energy of the GPUs, J", amount(datamodel.GPUEnergy, 1, 2)},
		{'F', "page faults that read a disk", events(datamodel.MajorFaults)},
		{'R', "other page faults", events(datamodel.MinorFaults)},
		{'w', "voluntary context switches", events(datamodel.VoluntarySwitches)},
		{'c', "involuntary context switches", events(datamodel.InvoluntarySwitches)},
		{'I', "blocks of 512 bytes read from disks", amount(datamodel.DiskRead, 512, 0)},
		{'O', "blocks of 512 bytes written to disks", amount(datamodel.DiskWrite, 512, 0)},
		{'x', "exit code; none if a signal ended the command", exitCode},
		{'C', "the command and its arguments", func(r datamodel.Result) string { return printable(strings.Join(r.Run.Command, " ")) }},
		{'Z', "page size, bytes", func(datamodel.Result) string { return strconv.Itoa(os.Getpagesize()) }},
		// Linux counts none of these, and GNU time prints 0 for them.
		{'K', "not counted by Linux", none},
		{'D', "not counted by Linux", none},
		{'p', "not counted by Linux", none},
		{'X', "not counted by Linux", none},
		{'t', "not counted by Linux", none},
		{'s', "not counted by Linux", none},
		{'r', "not counted by Linux", none},
		{'k', "not counted by Linux", none},
	}
}

func elapsed(r datamodel.Result) string {
	v := datamodel.Pick(r.Summary, datamodel.WallTime).Value
	if math.IsNaN(v) {
		return "-"
	}
	hundredths := int64(math.Round(v * 100))
	if hours := hundredths / 360000; hours > 0 {
		return fmt.Sprintf("%d:%02d:%02d", hours, hundredths/6000%60, hundredths/100%60)
	}
	return fmt.Sprintf("%d:%02d.%02d", hundredths/6000, hundredths/100%60, hundredths%100)
}

func share(r datamodel.Result) string {
	v := datamodel.Pick(r.Summary, datamodel.CPUTime).Value / datamodel.Pick(r.Summary, datamodel.WallTime).Value
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "-"
	}
	return strconv.FormatFloat(math.Floor(100*v), 'f', 0, 64) + "%"
}

func energyOf(r datamodel.Result) string {
	for _, name := range []string{datamodel.TargetEnergy, datamodel.Energy} {
		if v := datamodel.Pick(r.Summary, name).Value; !math.IsNaN(v) {
			return strconv.FormatFloat(v, 'f', 2, 64)
		}
	}
	return "-"
}

func exitCode(r datamodel.Result) string {
	if r.Run.ExitCode == nil {
		return "-"
	}
	return strconv.Itoa(*r.Run.ExitCode)
}

// Line returns a result in a format of GNU time: text with %LETTER, %% and the escapes \n, \t and \\. A value that is missing is
// "-". The error names what is unknown in the format; it does not depend on the result.
func Line(r datamodel.Result, format string) (string, error) {
	var b strings.Builder
	known := letters()
	for i := 0; i < len(format); i++ {
		c := format[i]
		if (c == '%' || c == '\\') && i+1 == len(format) {
			return "", fmt.Errorf("%q ends with %c", format, c)
		}
		switch c {
		case '%':
			i++
			at := slices.IndexFunc(known, func(l letter) bool { return l.letter == format[i] })
			switch {
			case format[i] == '%':
				b.WriteByte('%')
			case at < 0:
				return "", fmt.Errorf("unknown %%%c in %q (one of %s)", format[i], format, lettersKnown(known))
			default:
				b.WriteString(known[at].write(r))
			}
		case '\\':
			i++
			escape := strings.IndexByte(`nt\`, format[i])
			if escape < 0 {
				return "", fmt.Errorf(`unknown \%c in %q (one of \n \t \\)`, format[i], format)
			}
			b.WriteByte("\n\t\\"[escape])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

func lettersKnown(known []letter) string {
	words := make([]string, len(known))
	for i, l := range known {
		words[i] = "%" + string(l.letter)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}
