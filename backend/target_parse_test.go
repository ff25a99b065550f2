package backend

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseProcessStat(t *testing.T) {
	const rest = " S 4241 4242 4242 34816 -1 4194304 150 900 1 2 5 3 40 12 20 0 7 0 812345 227328000 1500 18446744073709551615 1 1 140722"
	want := processStat{
		state: 'S', parent: 4241, minor: 150, childMinor: 900, major: 1, childMajor: 2,
		user: 5, system: 3, childUser: 40, childSystem: 12, threads: 7, start: 812345, resident: 1500,
		stack: 140722,
	}
	for _, name := range []string{"(sh)", "(a) b (c)", "() S 1 2 3)", "(\n)"} {
		want.name = []byte(name[1 : len(name)-1])
		if got, ok := parseProcessStat([]byte("4242 " + name + rest + "\n")); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", name, got, ok)
		}
	}
	for _, bad := range []string{
		"", "4242", "4242 (sh)", "4242 (sh) S", "4242 (sh) S 1 2 3", "4242 (sh) S x" + rest[7:],
		strings.Replace("4242 (sh)"+rest, "812345", "-1", 1),
	} {
		if got, ok := parseProcessStat([]byte(bad)); ok {
			t.Errorf("%q is parsed as %+v", bad, got)
		}
	}
}

func TestParseProcessIO(t *testing.T) {
	const text = "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: -7\n"
	want := processIO{readChars: 1, writeChars: 2, readCalls: 3, writeCalls: 4, read: 5, written: 6}
	if got, ok := parseProcessIO([]byte(text)); !ok || got != want {
		t.Errorf("got %+v, %v, want %+v", got, ok, want)
	}
	for _, bad := range []string{"", text[:20], strings.Replace(text, "rchar", "other", 1), strings.Replace(text, ": 5", ": -5", 1)} {
		if got, ok := parseProcessIO([]byte(bad)); ok {
			t.Errorf("%q is parsed as %+v", bad, got)
		}
	}
}

func TestParseSwitches(t *testing.T) {
	const text = "Name:\tsh\nThreads:\t1\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n"
	if v, n, ok := parseSwitches([]byte(text)); !ok || v != 150 || n != 545 {
		t.Errorf("got %d, %d, %v, want 150, 545", v, n, ok)
	}
	for _, bad := range []string{"", "Name:\tx\n", text[:len(text)-5][:60], strings.Replace(text, "\t150", "\t-1", 1)} {
		if v, n, ok := parseSwitches([]byte(bad)); ok {
			t.Errorf("%q is parsed as %d, %d", bad, v, n)
		}
	}
}

func TestParsePages(t *testing.T) {
	if resident, shared, ok := parsePages([]byte("730 471 444 5 0 89 0\n")); !ok || resident != 471 || shared != 444 {
		t.Errorf("got %d, %d, %v, want 471, 444", resident, shared, ok)
	}
	for _, bad := range []string{"", "730", "730 471", "730 444 471 5 0 89 0", "730 -1 0 0"} {
		if resident, shared, ok := parsePages([]byte(bad)); ok {
			t.Errorf("%q is parsed as %d, %d", bad, resident, shared)
		}
	}
}

func TestParseShares(t *testing.T) {
	const text = "55f8-7ffd ---p 00000000 00:00 0                          [rollup]\nRss:                1884 kB\n" +
		"Pss:                 207 kB\nPss_Dirty:           108 kB\nPss_Anon:            108 kB\nPss_File:             99 kB\n"
	old, _, _ := strings.Cut(text, "Pss_Dirty")
	for _, c := range []struct {
		text           string
		all, anonymous uint64
	}{{text, 207 << 10, 108 << 10}, {old, 207 << 10, 207 << 10}} {
		if all, anonymous, ok := parseShares([]byte(c.text)); !ok || all != c.all || anonymous != c.anonymous {
			t.Errorf("got %d, %d, %v, want %d, %d", all, anonymous, ok, c.all, c.anonymous)
		}
	}
	for _, bad := range []string{"", "Pss: 1 kB", strings.Replace(text, "207", "-1", 1), strings.Replace(text, "108 kB\nPss_File", "208 kB\nPss_File", 1)} {
		if all, anonymous, ok := parseShares([]byte(bad)); ok {
			t.Errorf("%q is parsed as %d, %d", bad, all, anonymous)
		}
	}
}

// FuzzProcess checks that the parsers accept only texts with all fields, and that text after the fields changes nothing.
func FuzzProcess(f *testing.F) {
	f.Add([]byte("1 (a) S 1 1 1 0 -1 0 1 1 1 1 1 1 1 1 20 0 1 0 5 1 7 9 1 1 140722\n"))
	f.Add([]byte("rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\n"))
	f.Add([]byte("N\nVmHWM:\t    1704 kB\nVmRSS: 1 kB\n"))
	f.Add([]byte("N\nvoluntary_ctxt_switches:\t1\nnonvoluntary_ctxt_switches:\t2\n"))
	f.Add([]byte("730 471 444 5 0 89 0\n"))
	f.Add([]byte("1-2 ---p 0 00:00 0 [rollup]\nPss: 207 kB\nPss_Anon: 108 kB\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if resident, shared, ok := parsePages(b); ok && shared > resident {
			t.Errorf("%q is parsed as %d shared of %d pages", b, shared, resident)
		}
		if all, anonymous, ok := parseShares(b); ok && anonymous > all {
			t.Errorf("%q is parsed as %d anonymous of %d bytes", b, anonymous, all)
		}
		if s, ok := parseProcessStat(b); ok {
			if more, still := parseProcessStat(append(slices.Clone(b), " 1 2 3\n"...)); !still && s.stack == 0 || s.parent < 0 || !bytes.Contains(b, s.name) {
				t.Errorf("%q is parsed as %+v, with more text as %+v", b, s, more)
			}
		}
		if io, ok := parseProcessIO(b); ok {
			more, still := parseProcessIO(append(bytes.TrimSuffix(slices.Clone(b), []byte("\n")), "\nother: 1\n"...))
			if !still || more != io {
				t.Errorf("%q is parsed as %+v, with more text as %+v", b, io, more)
			}
		}
		if peak, ok := parsePeak(b); ok && (peak&1023 != 0 || !bytes.Contains(b, []byte("\nVmHWM:"))) {
			t.Errorf("%q is parsed as the peak %d", b, peak)
		}
		if v, n, ok := parseSwitches(b); ok && (v > 0 || n > 0) && len(b) < len("\nvoluntary_ctxt_switches:1\nnonvoluntary_ctxt_switches:1") {
			t.Errorf("%q is parsed as %d, %d switches", b, v, n)
		}
	})
}
