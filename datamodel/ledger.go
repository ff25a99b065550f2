package datamodel

// Ledger is what the runner itself knows about a run without any sampler. It comes from the clock, from wait4 and from
// the files of the ended target. All values are in base units. A nil value is unknown.
type Ledger struct {
	// WallTime is the time from just before the target's execve to just after it was reaped, in s.
	WallTime *float64 `json:"wall_time,omitempty"`
	// WallTimeSource names where WallTime comes from if that is not the runner's clock. Then it was only sampled.
	WallTimeSource string `json:"wall_time_source,omitempty"`
	// LeastWallTime is the time up to the last reading of a run whose end ergon did not see, in s. WallTime is then nil,
	// and the command may have run on.
	LeastWallTime *float64 `json:"least_wall_time,omitempty"`

	// These fields are what wait4(2) returned for the target and for the descendants that it and they waited for. CPU
	// times are in s and exclude the time before the execve. MaxRSS is the largest resident set of any single process,
	// in By. Faults and switches are counts.
	UserTime            *float64 `json:"user_time,omitempty"`
	SystemTime          *float64 `json:"system_time,omitempty"`
	MaxRSS              *float64 `json:"max_rss,omitempty"`
	MinorFaults         *float64 `json:"minor_faults,omitempty"`
	MajorFaults         *float64 `json:"major_faults,omitempty"`
	VoluntarySwitches   *float64 `json:"voluntary_switches,omitempty"`
	InvoluntarySwitches *float64 `json:"involuntary_switches,omitempty"`
	// OrphansTime is the CPU time of descendants that no process of the tree waited for, in s. The runner reaped them
	// as their subreaper, and wait4 gave the time. It is not in UserTime and SystemTime. OrphansUserTime is the part in
	// user mode. OrphansMaxRSS is the largest resident set of a single one, in By.
	OrphansTime     *float64 `json:"orphans_time,omitempty"`
	OrphansUserTime *float64 `json:"orphans_user_time,omitempty"`
	// OrphansLeft is the number of such descendants that had not ended, or not quite, when the target was reaped.
	OrphansLeft   *float64 `json:"orphans_left,omitempty"`
	OrphansMaxRSS *float64 `json:"orphans_max_rss,omitempty"`
	// RSSFloor is the largest resident set of the process that the target was forked from, in By. Linux passes it on to
	// the target at execve. A MaxRSS that is not above RSSFloor says nothing about the target.
	RSSFloor *float64 `json:"rss_floor,omitempty"`

	// These fields are the kernel's counts for the ended target. They include the children that it waited for. IOSource says
	// where they come from, "" if it is not known. ReadBytes and WriteBytes went to and from storage, in By. ReadChars and WriteChars
	// are all bytes of read(2), write(2) and similar calls. ReadCalls and WriteCalls are the numbers of these calls.
	IOSource   string   `json:"io_source,omitempty"`
	ReadChars  *float64 `json:"read_chars,omitempty"`
	WriteChars *float64 `json:"write_chars,omitempty"`
	ReadCalls  *float64 `json:"read_calls,omitempty"`
	WriteCalls *float64 `json:"write_calls,omitempty"`
	ReadBytes  *float64 `json:"read_bytes,omitempty"`
	WriteBytes *float64 `json:"write_bytes,omitempty"`
	// CancelledBytes is the part of WriteBytes whose file was removed or cut before the bytes were sent, in By.
	CancelledBytes *float64 `json:"cancelled_bytes,omitempty"`

	// TargetPID is the target's process ID, 0 if unknown. TargetName is its name at its end, truncated by the kernel.
	// TargetTime is its own CPU time from start to end, without its children, in s. Childless says that it waited for no
	// child, and that it would have had to wait for one.
	TargetPID  int64    `json:"target_pid,omitempty"`
	TargetName string   `json:"target_name,omitempty"`
	TargetTime *float64 `json:"target_time,omitempty"`
	Childless  bool     `json:"childless,omitempty"`

	// These fields are what the target's own cgroup gave at the end: CPU times in s, and the largest charge of memory in
	// By, which includes page cache and kernel memory. The
	// sources name the controller and file ("cgroup v2 cpu.stat").
	GroupTime         *float64 `json:"group_time,omitempty"`
	GroupUserTime     *float64 `json:"group_user_time,omitempty"`
	GroupSystemTime   *float64 `json:"group_system_time,omitempty"`
	GroupTimeSource   string   `json:"group_time_source,omitempty"`
	GroupMemoryPeak   *float64 `json:"group_memory_peak,omitempty"`
	GroupMemorySource string   `json:"group_memory_source,omitempty"`
	// GroupLacks bounds the CPU time that GroupTime lacks because the target began outside its cgroup and was moved into it,
	// in s. What the target was charged with before the move is not in GroupMemoryPeak. GroupLacks is nil if the target began
	// in the cgroup.
	GroupLacks *float64 `json:"group_lacks,omitempty"`

	// These fields describe the effect of a CPU quota on the target. Quota is in s/s, and QuotaSource is its file.
	// QuotaPeriods counts the periods in which a process of the cgroup ran. QuotaStops counts the periods in which the
	// cgroup was throttled because its quota was used up. QuotaTime is the throttled time, summed over the processors,
	// in s. They are nil without a quota.
	Quota        *float64 `json:"quota,omitempty"`
	QuotaSource  string   `json:"quota_source,omitempty"`
	QuotaPeriods *float64 `json:"quota_periods,omitempty"`
	QuotaStops   *float64 `json:"quota_stops,omitempty"`
	QuotaTime    *float64 `json:"quota_time,omitempty"`

	// Survivors is the number of descendants that were still alive after the target ended.
	Survivors *float64 `json:"survivors,omitempty"`

	// Inventory is what was counted in folders. It is nil if nobody asked for it.
	Inventory *Inventory `json:"inventory,omitempty"`

	// RunnerTime is the CPU time of the runner and the launcher, in s.
	RunnerTime *float64 `json:"runner_time,omitempty"`
}
