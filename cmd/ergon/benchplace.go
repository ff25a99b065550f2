package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/internal/idle"
	"github.com/ergon-energy/ergon/internal/launch"
)

// cooldown says how long a bench waits before each round. It is the value of --cooldown.
type cooldown struct {
	time time.Duration
	// idle waits until the machine is as idle as it was before the first round, at most mostIdle.
	idle bool
}

const (
	idleWord = "idle"
	mostIdle = time.Minute
)

func (v *cooldown) Set(given string) error {
	if given == idleWord {
		*v = cooldown{idle: true}
		return nil
	}
	var d time.Duration
	if err := (limit{&d}).Set(given); err != nil {
		return fmt.Errorf("%w, or %s", err, idleWord)
	}
	*v = cooldown{time: d}
	return nil
}

func (v *cooldown) String() string { return "" }

func (v *cooldown) Current() string {
	if v.idle {
		return idleWord
	}
	return limit{&v.time}.Current()
}

// begin returns what waits before each round. It reports false if the machine did not become as idle as it is now.
func (v *cooldown) begin(ctx context.Context, proc, sys string) (func(context.Context) (bool, error), error) {
	if !v.idle {
		return func(ctx context.Context) (bool, error) { return true, pause(ctx, v.time) }, nil
	}
	machine := idle.New(proc, sys)
	first, err := machine.Measure(ctx)
	return func(ctx context.Context) (bool, error) { return machine.Wait(ctx, first, mostIdle) }, err
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// processors is a list of processors: 0,2-3.
type processors struct{ to *[]int }

// mostNumber bounds the number of a processor.
const mostNumber = 1023

func (v processors) Set(given string) error {
	var list []int
	for word := range strings.SplitSeq(given, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(word), "-")
		from, err := strconv.Atoi(first)
		to := from
		if ranged && err == nil {
			to, err = strconv.Atoi(last)
		}
		if err != nil || from < 0 || to < from || to > mostNumber {
			return fmt.Errorf("invalid processors %q (example: 0,2-3)", given)
		}
		for n := from; n <= to; n++ {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	allowed, err := launch.Allowed()
	if err != nil {
		return err
	}
	for _, n := range list {
		if !slices.Contains(allowed, n) {
			return fmt.Errorf("processor %d does not exist or is not allowed (allowed: %s)", n, ranges(allowed))
		}
	}
	*v.to = list
	return nil
}

func (v processors) String() string { return "" }

func (v processors) Current() string { return ranges(*v.to) }

// ranges writes ascending numbers as a list of processors: "0,2-3".
func ranges(list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		last := i
		for last+1 < len(list) && list[last+1] == list[last]+1 {
			last++
		}
		part := strconv.Itoa(list[i])
		if last > i {
			part += "-" + strconv.Itoa(list[last])
		}
		parts = append(parts, part)
		i = last + 1
	}
	return strings.Join(parts, ",")
}
