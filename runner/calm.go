package runner

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// calm is what a session with several rounds changes in the Go runtime of this process, so that the runtime does not disturb
// the commands and wastes no time between them. The runner works on one thing at a time. Its threads need only one processor: with several,
// each step wakes a thread on another processor, which searches for work there while the command runs. Garbage is collected
// between the rounds.
type calm struct {
	processors, percent int
	heap                [2]metrics.Sample
}

// calmPercent is how much the heap may grow until the runtime collects garbage by itself, in percent.
const calmPercent = 800

// become begins to be calm.
func (c *calm) become() {
	c.processors, c.percent = runtime.GOMAXPROCS(1), debug.SetGCPercent(calmPercent)
	c.heap[0].Name, c.heap[1].Name = "/memory/classes/heap/objects:bytes", "/gc/heap/goal:bytes"
}

// rest collects garbage if the heap is half as large as the runtime lets it become.
func (c *calm) rest() {
	metrics.Read(c.heap[:])
	if c.heap[0].Value.Uint64() > c.heap[1].Value.Uint64()/2 {
		runtime.GC()
	}
}

// end restores what was set before.
func (c *calm) end() {
	runtime.GOMAXPROCS(c.processors)
	debug.SetGCPercent(c.percent)
}
