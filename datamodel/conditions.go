package datamodel

import "slices"

// Condition is something on the machine that spoils a measurement. It is the subject of a warning, and a word that is stored
// in files.
type Condition = string

// The conditions. Package account decides when they hold.
const (
	OtherLoad      Condition = "other_load"      // other programs used the processors
	CPUPressure    Condition = "cpu_pressure"    // tasks waited for a processor
	IOPressure     Condition = "io_pressure"     // tasks waited for disks that others used
	MemoryPressure Condition = "memory_pressure" // tasks waited for memory
	Swapping       Condition = "swapping"        // the machine swapped
	Steal          Condition = "steal"           // the hypervisor gave the processors to other guests
	Quota          Condition = "quota"           // a quota of CPU time stopped the command
	Throttling     Condition = "throttling"      // processors were slowed down because they were hot
	Settings       Condition = "settings"        // settings of the processors changed
	Frequency      Condition = "frequency"       // the frequency of a busy processor changed
	Beats          Condition = "beats"           // readings were late or left out
	Stopped        Condition = "stopped"         // every process of the command was stopped for a time
)

// Conditions lists all conditions.
func Conditions() []Condition {
	return []Condition{
		OtherLoad, CPUPressure, IOPressure, MemoryPressure, Swapping, Steal, Quota, Throttling, Settings, Frequency, Beats, Stopped,
	}
}

// ConditionsIn returns the conditions that some warnings are about, in their order.
func ConditionsIn(warnings []Warning) (list []Condition) {
	all := Conditions()
	for _, w := range warnings {
		if slices.Contains(all, w.Subject) {
			list = append(list, w.Subject)
		}
	}
	return list
}
