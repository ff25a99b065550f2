package datamodel

import "github.com/ergon-energy/ergon/units"

// SummaryField is one entry of the summary: its name in report -f json, its unit and what it means.
type SummaryField struct {
	Name string
	Unit units.Unit
	Doc  string
}

// SummaryFields lists the summary in its order. The names are contract; each is a metric of the run node.
func SummaryFields() []SummaryField {
	return []SummaryField{
		{"wall_time", units.Second, "from just before the target's execve to just after it was reaped"},
		{"cpu_time", units.Second, "CPU time of the target and all its descendants"},
		{"cpu_user_time", units.Second, "the part of it in user mode"},
		{"cpu_system_time", units.Second, "the part of it in the kernel"},
		{"cpu_utilization", units.Ratio, "busy share of all the machine's CPUs, everything on it counted"},
		{"cpu_limit_utilization", units.Ratio, "the target's CPU time in what affinity, cpuset and quota let it use; null without such a limit"},
		{"peak_memory", units.Byte, "most memory the target's tree held at once"},
		{"processes", units.Processes, "processes the target's tree ever had"},
		{"disk_read", units.Byte, "bytes the target's tree read from storage"},
		{"disk_write", units.Byte, "bytes the target's tree wrote to storage"},
		{"network_receive", units.Byte, "bytes received by the machine, loopback apart"},
		{"network_transmit", units.Byte, "bytes sent by the machine, loopback apart"},
		{"energy", units.Joule, "energy of the machine's measured parts, no part counted twice"},
		{"power", units.Watt, "that energy over the time between its readings"},
		{"target_energy", units.Joule, "the target's share of the part of it that is not the GPUs'"},
		{"other_energy", units.Joule, "the share of all else that ran on the machine; without a baseline idling is in both"},
		{"idle_energy", units.Joule, "what the machine would have taken idle, by the baseline"},
		{"net_energy", units.Joule, "energy less idle_energy and that of idling of the GPUs: what was taken since the command ran, whoever took it"},
		{"estimated_energy", units.Joule, "energy of the CPUs by their rated power and load, only with --estimate: not measured"},
		{"estimated_target_energy", units.Joule, "the target's share of that"},
		{"gpu_energy", units.Joule, "energy of the GPUs the job may see"},
		{"gpu_target_energy", units.Joule, "the target's share of it, by who used each GPU"},
		{"gpu_memory_peak", units.Byte, "most memory in use on these GPUs at once, by whatever program"},
		{"profiler_cpu_time", units.Second, "CPU time of ergon itself, runner and sampler"},
	}
}

// Summary is the run node's metrics in the order of SummaryFields, missing ones included.
func (r Result) Summary() []Metric {
	var run *Node
	if r.Tree != nil {
		run = r.Tree.First(RunLevel)
	}
	fields := SummaryFields()
	out := make([]Metric, len(fields))
	for i, f := range fields {
		out[i] = Missing(f.Name, f.Unit, "not measured")
		if run != nil {
			out[i] = run.Metric(f.Name)
			out[i].Unit = f.Unit
		}
	}
	return out
}
