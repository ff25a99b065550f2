package main

import (
	"fmt"
	"runtime"
	"strconv"
	"time"
)

// loadWord is the hidden subcommand that makes this process one of the loads of `ergon noise`: its name and its amount follow.
// No program has such a name.
const loadWord = "ergon:load"

// noiseLoad is a load that is built in. Each of its rounds does the same.
type noiseLoad struct {
	name string
	// does says for people what it does.
	does string
	// run does an amount of work. perRound is the amount that takes about roundTime here.
	run      func(amount int)
	perRound func() int
}

// roundTime is how long a round of a load takes, roughly. It is long enough for an energy counter that is updated each
// millisecond.
const roundTime = 100 * time.Millisecond

// noiseLoads lists the loads.
func noiseLoads() []noiseLoad {
	return []noiseLoad{
		{"cpu", "arithmetic in registers, on one processor", arithmetic, func() int { return calibrated(arithmetic) }},
		{"memory", "reading 64 MiB in a random order, on one processor", func(n int) { chase(filled(), n) }, func() int {
			list := filled()
			return calibrated(func(n int) { chase(list, n) })
		}},
		{"sleep", "sleeping for 1 ms, again and again", sleeps, func() int { return int(roundTime / (time.Millisecond + time.Millisecond/10)) }},
	}
}

// load does the work of a load. It is the whole process of a round.
func load(name, amount string) error {
	n, err := strconv.Atoi(amount)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	for _, l := range noiseLoads() {
		if l.name == name {
			l.run(n)
			return nil
		}
	}
	return fmt.Errorf("no load %q", name)
}

// calibrated returns how much of some work takes about roundTime. The fastest of three tries counts: others disturb the slower
// ones.
func calibrated(work func(int)) int {
	const first, tries = 1 << 16, 3
	for n := first; ; n *= 2 {
		took := roundTime
		for range tries {
			began := time.Now()
			work(n)
			took = min(took, time.Since(began))
		}
		if took >= roundTime/8 {
			return int(float64(n) * float64(roundTime) / float64(took))
		}
	}
}

// arithmetic computes n random numbers (Marsaglia, xorshift).
func arithmetic(n int) {
	x := uint64(88172645463325252)
	for range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	runtime.KeepAlive(x)
}

// memoryElements are 64 MiB, more than most caches hold.
const memoryElements = 64 << 20 / 4

// filled returns memory in which each element is 1. It is written to, so it has pages of its own.
func filled() []uint32 {
	list := make([]uint32, memoryElements)
	for i := range list {
		list[i] = 1
	}
	return list
}

// chase reads n elements in the order of a generator that visits each one (Knuth, linear congruential). The next place depends
// on the element, so a processor cannot read ahead.
func chase(list []uint32, n int) {
	at := uint32(0)
	for range n {
		at = (at*1664525 + 1013904222 + list[at%memoryElements]) % memoryElements
	}
	runtime.KeepAlive(at)
}

// sleeps sleeps n times. What differs is how fast the system wakes a process.
func sleeps(n int) {
	for range n {
		time.Sleep(time.Millisecond)
	}
}
