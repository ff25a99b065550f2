package datamodel

// Ledger is what the runner itself knows of a run, without any sampler: from the clock, from wait4, from the files
// of the ended target. Base units throughout. A nil is something that is not known; the zero value knows nothing.
type Ledger struct {
	// WallTime is the time from just before the target's execve to just after it was reaped, in s.
	WallTime *float64 `json:"wall_time,omitempty"`

	// What wait4(2) said of the target and of the descendants that it and they waited for: CPU times in s, without what was
	// used before the execve, the largest resident set any single one of them had in By, faults and switches as counts.
	UserTime            *float64 `json:"user_time,omitempty"`
	SystemTime          *float64 `json:"system_time,omitempty"`
	MaxRSS              *float64 `json:"max_rss,omitempty"`
	MinorFaults         *float64 `json:"minor_faults,omitempty"`
	MajorFaults         *float64 `json:"major_faults,omitempty"`
	VoluntarySwitches   *float64 `json:"voluntary_switches,omitempty"`
	InvoluntarySwitches *float64 `json:"involuntary_switches,omitempty"`
	// OrphansTime is the CPU time of descendants that nobody of the tree waited for and that the runner reaped as their
	// subreaper, by wait4, in s; it is not in UserTime and SystemTime. OrphansUserTime is the part of it in user mode.
	OrphansTime     *float64 `json:"orphans_time,omitempty"`
	OrphansUserTime *float64 `json:"orphans_user_time,omitempty"`
	// RSSFloor is the resident set of the process that the target was forked from, in By. Linux hands its mark on to
	// the target, so that a MaxRSS that is not above it says nothing.
	RSSFloor *float64 `json:"rss_floor,omitempty"`

	// What /proc/PID/io said of the target after it had ended and before it was reaped; the children it had waited for
	// are in it. ReadBytes and WriteBytes went to and from storage, in By; ReadChars and WriteChars are all the bytes
	// of read(2), write(2) and their like; ReadCalls and WriteCalls the number of these calls.
	ReadChars  *float64 `json:"read_chars,omitempty"`
	WriteChars *float64 `json:"write_chars,omitempty"`
	ReadCalls  *float64 `json:"read_calls,omitempty"`
	WriteCalls *float64 `json:"write_calls,omitempty"`
	ReadBytes  *float64 `json:"read_bytes,omitempty"`
	WriteBytes *float64 `json:"write_bytes,omitempty"`

	// TargetPID is the target's process id, 0 where it is not known; TargetName the name it had at its end, as the kernel
	// cuts it, and TargetTime its own CPU time in s, from its start to its end, its children's apart.
	TargetPID  int64    `json:"target_pid,omitempty"`
	TargetName string   `json:"target_name,omitempty"`
	TargetTime *float64 `json:"target_time,omitempty"`

	// What the target's own cgroup said at the end: CPU times in s, the most memory in By. The sources name the
	// controller and file ("cgroup v2 cpu.stat").
	GroupTime         *float64 `json:"group_time,omitempty"`
	GroupUserTime     *float64 `json:"group_user_time,omitempty"`
	GroupSystemTime   *float64 `json:"group_system_time,omitempty"`
	GroupTimeSource   string   `json:"group_time_source,omitempty"`
	GroupMemoryPeak   *float64 `json:"group_memory_peak,omitempty"`
	GroupMemorySource string   `json:"group_memory_source,omitempty"`

	// What a quota of CPU time over the target, Quota in s/s by the file QuotaSource, did while it ran: the periods in which
	// something of the cgroup ran, those of them in which it was stopped as the quota was used up, and for how long that was
	// in s, added up over the processors. nil where there is no quota.
	Quota        *float64 `json:"quota,omitempty"`
	QuotaSource  string   `json:"quota_source,omitempty"`
	QuotaPeriods *float64 `json:"quota_periods,omitempty"`
	QuotaStops   *float64 `json:"quota_stops,omitempty"`
	QuotaTime    *float64 `json:"quota_time,omitempty"`

	// Survivors is the number of descendants that lived on when the target had ended.
	Survivors *float64 `json:"survivors,omitempty"`

	// RunnerTime is the CPU time of the runner in s.
	RunnerTime *float64 `json:"runner_time,omitempty"`
}
