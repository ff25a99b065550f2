package main

import (
	"os"
	"time"

	"github.com/ergon-energy/ergon/internal/sampler"
)

// busywork writes, forks and idles in turn until it is killed.
const busywork = `while :; do head -c 300000 /dev/zero > written; i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; sleep 0.05; done`

// recorded returns the readings of a sampler at 100 Hz that follows some work. A sensor's stretch in samples.parquet has 2048
// readings. The record is longer than that, so that zstd does not find the same readings twice in a stretch.
func recorded(b *bench) ([]*readings, error) {
	length := 25 * time.Second
	if b.quick {
		length = 300 * time.Millisecond
	}
	target, err := startTarget(b, "sh", "-c", busywork)
	if err != nil {
		return nil, err
	}
	defer target.end()
	got, _, err := target.sample(b, sampler.Config{Interval: 10 * time.Millisecond}, length)
	if err != nil {
		return nil, err
	}
	all, err := load(got.spool)
	if err != nil {
		return nil, err
	}
	return all, os.RemoveAll(got.spool)
}

// ownPeak returns the peak resident memory of this process in bytes, or 0 if it is unknown.
func ownPeak() float64 {
	peak, err := residentMemory(os.Getpid(), "status", "VmHWM:")
	if err != nil {
		return 0
	}
	return peak
}
