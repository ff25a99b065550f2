package backend

import "bytes"

// processStat has the fields of /proc/PID/stat that are used (proc_pid_stat(5)).
type processStat struct {
	name                                 []byte // a slice of the parsed text
	state                                byte
	parent                               int
	minor, childMinor, major, childMajor uint64 // page faults
	user, system, childUser, childSystem uint64 // ticks; those of children that were waited for
	threads, start, resident             uint64 // start in ticks since boot, resident in pages
	stack                                uint64 // where the stack begins, 0 if that is hidden
}

// ended reports whether the thread has ended: the first one, in the file of a process.
func (s *processStat) ended() bool { return s.state == 'Z' || s.state == 'X' }

// dead reports whether all threads have ended. The first thread may end before the others.
func (s *processStat) dead() bool { return s.ended() && s.threads <= 1 }

// parseProcessStat parses /proc/PID/stat. The name in parentheses may contain blanks, parentheses and newlines. It ends at
// the last parenthesis, because only the state and numbers follow:
//
//	4242 (a) b (c) S 4241 4242 4242 34816 4242 4194304 150 900 0 2 5 3 40 12 20 0 7 0 812345 227328000 1500 …
func parseProcessStat(b []byte) (s processStat, ok bool) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 || len(b) < i+4 || b[i+1] != ' ' {
		return s, false
	}
	if open := bytes.IndexByte(b[:i], '('); open >= 0 {
		s.name = b[open+1 : i]
	}
	s.state, b = b[i+2], b[i+3:]
	var parent uint64
	// The fields are numbered as in the manual. The state is field 3.
	for field := 4; field <= 28; field++ {
		var into *uint64
		switch field {
		case 4:
			into = &parent
		case 10:
			into = &s.minor
		case 11:
			into = &s.childMinor
		case 12:
			into = &s.major
		case 13:
			into = &s.childMajor
		case 14:
			into = &s.user
		case 15:
			into = &s.system
		case 16:
			into = &s.childUser
		case 17:
			into = &s.childSystem
		case 20:
			into = &s.threads
		case 22:
			into = &s.start
		case 24:
			into = &s.resident
		case 28:
			into = &s.stack
		default: // some of these can be negative
			var w []byte
			if w, b = word(b); len(w) == 0 {
				return s, false
			}
			continue
		}
		if *into, b, ok = number(b); !ok {
			return s, false
		}
	}
	s.parent = int(parent & (1<<31 - 1))
	return s, true
}

// processIO has the counts of /proc/PID/io (proc_pid_io(5)). They include all threads of the process, also ended ones,
// and the children it has waited for.
type processIO struct {
	readChars, writeChars, readCalls, writeCalls, read, written uint64
}

// parseProcessIO parses
//
//	rchar: 323934931
//	wchar: 323929600
//	syscr: 632687
//	syscw: 632675
//	read_bytes: 0
//	write_bytes: 323932160
//	cancelled_write_bytes: 0
func parseProcessIO(b []byte) (io processIO, ok bool) {
	seen := 0
	for len(b) > 0 {
		var l []byte
		l, b = line(b)
		colon := bytes.IndexByte(l, ':')
		if colon < 0 {
			return io, false
		}
		var into *uint64
		switch string(l[:colon]) {
		case "rchar":
			into = &io.readChars
		case "wchar":
			into = &io.writeChars
		case "syscr":
			into = &io.readCalls
		case "syscw":
			into = &io.writeCalls
		case "read_bytes":
			into = &io.read
		case "write_bytes":
			into = &io.written
		default:
			continue
		}
		if *into, _, ok = number(l[colon+1:]); !ok {
			return io, false
		}
		seen++
	}
	return io, seen == 6
}

// parsePages parses the first three numbers of /proc/PID/statm (proc_pid_statm(5)). All are in pages. Shared pages belong to
// files and to shared memory. The others of the resident pages are anonymous:
//
//	730 471 444 5 0 89 0
func parsePages(b []byte) (resident, shared uint64, ok bool) {
	if _, b, ok = number(b); !ok {
		return 0, 0, false
	}
	if resident, b, ok = number(b); !ok {
		return 0, 0, false
	}
	shared, _, ok = number(b)
	return resident, shared, ok && shared <= resident
}

// parseShares parses /proc/PID/smaps_rollup (proc_pid_smaps(5)). Each page counts as its part: 1/n of a page that n processes
// map. Both results are in bytes. anonymous is a part of all, and equals all before Linux 5.3, which lacks its line:
//
//	55f8a0170000-7ffdb18a8000 ---p 00000000 00:00 0                          [rollup]
//	Rss:                1884 kB
//	Pss:                 207 kB
//	Pss_Anon:            108 kB
func parseShares(b []byte) (all, anonymous uint64, ok bool) {
	_, after, found := bytes.Cut(b, []byte("\nPss:"))
	if !found {
		return 0, 0, false
	}
	if all, _, ok = number(after); !ok || all > 1<<53 {
		return 0, 0, false
	}
	anonymous = all
	if _, after, found = bytes.Cut(b, []byte("\nPss_Anon:")); found {
		if anonymous, _, ok = number(after); !ok || anonymous > all {
			return 0, 0, false
		}
	}
	return all << 10, anonymous << 10, true
}

// parsePeak parses the line VmHWM of /proc/PID/status: the largest resident memory, in bytes, since the process last
// executed a file. It is not ok if there is no such line, as for a zombie:
//
//	VmHWM:	    1704 kB
func parsePeak(b []byte) (peak uint64, ok bool) {
	_, b, found := bytes.Cut(b, []byte("\nVmHWM:"))
	if !found {
		return 0, false
	}
	peak, _, ok = number(b)
	return peak << 10, ok
}

// parseSwitches parses the last two lines of /proc/PID/status (proc_pid_status(5)). They are counts of one thread:
//
//	voluntary_ctxt_switches:	150
//	nonvoluntary_ctxt_switches:	545
func parseSwitches(b []byte) (voluntary, involuntary uint64, ok bool) {
	i := bytes.LastIndex(b, []byte("\nvoluntary_ctxt_switches:"))
	if i < 0 {
		return 0, 0, false
	}
	first, rest := line(b[i+1:])
	second, _ := line(rest)
	v, a := bytes.CutPrefix(first, []byte("voluntary_ctxt_switches:"))
	n, c := bytes.CutPrefix(second, []byte("nonvoluntary_ctxt_switches:"))
	if !a || !c {
		return 0, 0, false
	}
	if voluntary, _, ok = number(v); !ok {
		return 0, 0, false
	}
	involuntary, _, ok = number(n)
	return voluntary, involuntary, ok
}
