package trend

import (
	"math"
	"slices"
	"strings"
	"time"
)

const (
	// leastGaps is how many gaps between runs make a habit.
	leastGaps = 3
	// recentGaps is how many of the last gaps count. A schedule may change.
	recentGaps = 30
	// sigmas is how many standard deviations beyond the mean a gap is too long.
	sigmas = 3
	// leastMean is the mean gap from which on runs count as scheduled. Somebody who tries things runs them again sooner.
	leastMean = 10 * time.Minute
)

// Overdue is a command whose runs came regularly, and whose next run has not come.
type Overdue struct {
	Project string
	// Command is the command as one line.
	Command string
	// Last is when the last run started, LastRun its id.
	Last    time.Time
	LastRun string
	// Runs is the number of runs. Mean and Sigma are the mean and the standard deviation of the gaps between their starts.
	Runs        int
	Mean, Sigma time.Duration
	// Due is until when the next run was to start: Last, the mean, and three times sigma.
	Due time.Time
}

// Late lists the commands whose next run is overdue at a time, the longest overdue first. The runs of one command of one project
// came regularly if there were three gaps between them at least, of ten minutes in the mean, and the standard deviation of the
// gaps is at most their mean. Runs that start after now are left out, as after a clock went back.
// A bench is a run of each of its commands.
func Late(runs []Run, now time.Time) []Overdue {
	type of struct{ project, command string }
	found := map[of][]*Run{}
	var order []of
	commands := commandLines{}
	for i := range runs {
		r := &runs[i]
		if r.Start.IsZero() || r.Start.After(now) {
			continue
		}
		for _, command := range r.commands(commands) {
			key := of{r.Project, command}
			if found[key] == nil {
				order = append(order, key)
			}
			found[key] = append(found[key], r)
		}
	}
	var late []Overdue
	for _, key := range order {
		list := found[key]
		slices.SortFunc(list, func(a, b *Run) int { return a.Start.Compare(b.Start) })
		if len(list) <= leastGaps {
			continue
		}
		var gaps []float64
		for i := range list[1:] {
			gaps = append(gaps, list[i+1].Start.Sub(list[i].Start).Seconds())
		}
		gaps = gaps[max(0, len(gaps)-recentGaps):]
		mean, sigma := spread(gaps)
		if mean < leastMean.Seconds() || sigma > mean {
			continue
		}
		last := list[len(list)-1]
		due := last.Start.Add(seconds(mean + sigmas*sigma))
		if now.After(due) {
			late = append(late, Overdue{
				Project: key.project, Command: key.command, Last: last.Start, LastRun: last.ID, Runs: len(list),
				Mean: seconds(mean), Sigma: seconds(sigma), Due: due,
			})
		}
	}
	slices.SortStableFunc(late, func(a, b Overdue) int {
		if c := a.Due.Compare(b.Due); c != 0 {
			return c
		}
		return strings.Compare(a.Project+"\x00"+a.Command, b.Project+"\x00"+b.Command)
	})
	return late
}

// spread returns the mean and the standard deviation of a sample.
func spread(values []float64) (mean, sigma float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		sigma += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(sigma / float64(len(values)-1))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
