// Package rounds decides which command of a benchmark is measured next, and when enough was measured. How a command is
// measured is not its business.
package rounds

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/stats"
)

// Plan says what is measured how often. The defaults of the subcommand are hyperfine's.
type Plan struct {
	// Commands is the number of commands.
	Commands int
	// Warmup is the number of rounds of each command that are not counted.
	Warmup int
	// Least and Most are the numbers of rounds of each command. Most is 0 for no limit.
	Least, Most int
	// LeastTime is the time for which each command is measured at least.
	LeastTime time.Duration
	// Precision is the half width, as a part of the median, that the interval of each of Metrics must reach. 0 asks for
	// none. It never looks at a difference between commands: to stop at the first significant one finds too many.
	Precision float64
	Metrics   []string
	// Decided reports whether the commands need no further round, although Most is not reached. It is asked after each block,
	// with the number of blocks so far. nil is never asked.
	Decided func(b datamodel.Bench, blocks int) bool
	// Kept is told of each round that counts, when it has ended. It may be nil.
	Kept func(datamodel.Round)
	// MaxTime ends the bench after the running round. 0 sets no limit.
	MaxTime time.Duration
	Order   datamodel.RoundOrder
	Seed    uint64
	// IgnoreFailure goes on after a round that failed.
	IgnoreFailure bool
}

// Measure measures one round of a command. warm says that it is a warm-up round. An error ends the bench.
type Measure func(ctx context.Context, command int, warm bool) (datamodel.Round, error)

// FailedError says that a round failed.
type FailedError struct {
	Command int
	Round   datamodel.Round
	Warm    bool
}

func (e *FailedError) Error() string {
	const wayOut = " (--ignore-failure counts such rounds too)"
	switch e.Round.Outcome {
	case datamodel.TimedOut:
		return "longer than the time limit" + wayOut
	case datamodel.SamplerFailed:
		return "the readings ended before the command did" + wayOut
	default:
		return fmt.Sprintf("exit code %d", e.Round.ExitCode) + wayOut
	}
}

// Progress tells how far a bench is. Rounds is the number of measured rounds. Left is the time until the last round by the
// rounds so far; it is 0 if it is unknown.
type Progress struct {
	Command, Rounds int
	Warm            bool
	Left            time.Duration
}

// Run measures the rounds. The bench has what was measured, also if there is an error. tell may be nil.
func (p Plan) Run(ctx context.Context, measure Measure, tell func(Progress)) (datamodel.Bench, error) {
	b := datamodel.Bench{Order: p.Order, Seed: p.Seed, Warmup: p.Warmup, Ended: datamodel.BenchComplete}
	s := &state{Plan: p, random: rand.New(rand.NewPCG(p.Seed, 0)), began: time.Now(), bench: &b, tell: tell, count: make([]int, p.Commands), spent: make([]time.Duration, p.Commands)}
	var err error
	if p.Order == datamodel.Grouped {
		for c := range p.Commands {
			if err = s.all(ctx, measure, []int{c}); err != nil || b.Ended != datamodel.BenchComplete {
				break
			}
		}
	} else {
		err = s.all(ctx, measure, s.everyone())
	}
	if ctx.Err() != nil {
		b.Ended = datamodel.BenchInterrupted
		return b, ctx.Err()
	}
	if err != nil {
		b.Ended = datamodel.BenchFailed
	}
	return b, err
}

type state struct {
	Plan
	random *rand.Rand
	began  time.Time
	bench  *datamodel.Bench
	tell   func(Progress)
	count  []int           // the measured rounds of each command
	spent  []time.Duration // how long the rounds of each command took, with what prepares them
}

func (s *state) everyone() []int {
	list := make([]int, s.Commands)
	for i := range list {
		list[i] = i
	}
	return list
}

// all measures the rounds of some commands, one block after another.
func (s *state) all(ctx context.Context, measure Measure, commands []int) error {
	for block := range s.Warmup {
		for _, c := range s.ordered(commands, block) {
			if _, err := s.round(ctx, measure, c, block, true); err != nil {
				return err
			}
		}
	}
	for block := 0; ; block++ {
		open := slices.DeleteFunc(slices.Clone(commands), s.enough)
		if len(open) == 0 {
			return nil
		}
		for _, c := range s.ordered(open, block) {
			if s.MaxTime > 0 && time.Since(s.began) >= s.MaxTime {
				s.bench.Ended = datamodel.BenchTimeout
				return nil
			}
			r, err := s.round(ctx, measure, c, block, false)
			if ctx.Err() != nil {
				return ctx.Err() // the round was cut short
			}
			if _, failed := errors.AsType[*FailedError](err); err == nil || failed {
				s.bench.Rounds = append(s.bench.Rounds, r)
				if s.Kept != nil {
					s.Kept(r)
				}
				s.count[c]++
			}
			if err != nil {
				return err
			}
		}
		if s.Decided != nil && s.Decided(*s.bench, block+1) {
			return nil
		}
	}
}

// ordered returns the commands in the order of a block.
func (s *state) ordered(commands []int, block int) []int {
	list := slices.Clone(commands)
	switch s.Order {
	case datamodel.Shuffled:
		s.random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	case datamodel.ABBA:
		if block%2 == 1 {
			slices.Reverse(list)
		}
	case datamodel.Grouped: // there is one command
	}
	return list
}

func (s *state) round(ctx context.Context, measure Measure, command, block int, warm bool) (datamodel.Round, error) {
	if err := ctx.Err(); err != nil {
		return datamodel.Round{}, err
	}
	if s.tell != nil {
		s.tell(Progress{Command: command, Rounds: len(s.bench.Rounds), Warm: warm, Left: s.left()})
	}
	began := time.Now()
	r, err := measure(ctx, command, warm)
	if err != nil {
		return r, err
	}
	r.Command, r.Block = command, block
	if !warm {
		s.spent[command] += time.Since(began)
	}
	if r.Outcome != datamodel.Done && !s.IgnoreFailure {
		return r, &FailedError{Command: command, Round: r, Warm: warm}
	}
	return r, nil
}

// enough reports whether a command needs no further round.
func (s *state) enough(command int) bool {
	n := s.count[command]
	switch {
	case s.Most > 0 && n >= s.Most:
		return true
	case n < s.Least || s.spent[command] < s.LeastTime:
		return false
	}
	return s.precise(command)
}

// precise reports whether the interval of each metric is narrow enough. A metric that is missing or 0 has none to narrow.
func (s *state) precise(command int) bool {
	if s.Precision == 0 {
		return true
	}
	for _, metric := range s.Metrics {
		median := stats.Summarize(s.bench.Values(command, metric), stats.Confidence).Median
		if math.IsNaN(median.Value) || median.Value == 0 {
			continue
		}
		if !median.Known() || (median.High-median.Low)/2 > s.Precision*math.Abs(median.Value) {
			return false
		}
	}
	return true
}

// left estimates the time until the last round, from the mean of the rounds so far.
func (s *state) left() (d time.Duration) {
	if s.Decided != nil {
		return 0 // it ends when it is decided
	}
	for c := range s.Commands {
		n := s.count[c]
		if n == 0 {
			return 0
		}
		mean := s.spent[c] / time.Duration(n)
		more := max(0, s.Least-n)
		if mean > 0 && s.spent[c] < s.LeastTime {
			more = max(more, int((s.LeastTime-s.spent[c])/mean))
		}
		if s.Most > 0 {
			more = min(more, s.Most-n)
		}
		d += mean * time.Duration(max(more, 0))
	}
	if s.MaxTime > 0 {
		d = min(d, max(0, s.MaxTime-time.Since(s.began)))
	}
	return d
}
