package rounds_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/runner/rounds"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// log measures rounds that take no time, and notes their order.
type log struct {
	order strings.Builder
	value func(command int) float64
	after func(n int) error // before round n
	n     int
}

func (l *log) measure(_ context.Context, command int, warm bool) (datamodel.Round, error) {
	l.n++
	if l.after != nil {
		if err := l.after(l.n); err != nil {
			return datamodel.Round{Outcome: datamodel.TargetFailed, ExitCode: 3}, nil //nolint:nilerr // a failed round is no error
		}
	}
	name := string(rune('A' + command))
	if warm {
		name = strings.ToLower(name)
	}
	l.order.WriteString(name)
	v := 1.0
	if l.value != nil {
		v = l.value(command)
	}
	return datamodel.Round{
		Outcome: datamodel.Done,
		Metrics: []datamodel.Metric{datamodel.Value(datamodel.WallTime, v, units.Second, "delta", sensors.FromCounter, "clock")},
	}, nil
}

func TestOrder(t *testing.T) {
	f := func(p rounds.Plan, want string) {
		t.Helper()
		p.Commands, p.Warmup, p.Least = 2, 1, 3
		var l log
		b, err := p.Run(t.Context(), l.measure, nil)
		if err != nil || l.order.String() != want || b.Ended != datamodel.BenchComplete {
			t.Errorf("%s: %s, want %s (%v, %s)", p.Order, l.order.String(), want, err, b.Ended)
		}
		for c := range 2 {
			if v := b.Values(c, datamodel.WallTime); len(v) != 3 || slices.Contains(v, 0) {
				t.Errorf("%s: command %d has %v", p.Order, c, v)
			}
		}
	}
	f(rounds.Plan{Order: datamodel.Grouped}, "aAAAbBBB")
	f(rounds.Plan{Order: datamodel.ABBA}, "abABBAAB")
	seeds := map[string]bool{}
	for seed := range uint64(20) {
		var first, second log
		p := rounds.Plan{Order: datamodel.Shuffled, Seed: seed, Commands: 2, Least: 10}
		for _, l := range []*log{&first, &second} {
			if _, err := p.Run(t.Context(), l.measure, nil); err != nil {
				t.Fatal(err)
			}
		}
		order := first.order.String()
		for i := 0; i < len(order); i += 2 {
			if order[i] == order[i+1] {
				t.Errorf("block %d of %s has a command twice", i/2, order)
			}
		}
		if order != second.order.String() {
			t.Errorf("seed %d gives %s and %s", seed, order, second.order.String())
		}
		seeds[order] = true
	}
	if len(seeds) < 10 {
		t.Errorf("20 seeds give %d orders", len(seeds))
	}
}

func TestEnough(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	noisy := func(int) float64 { return 1 + 0.05*r.NormFloat64() }
	f := func(name string, p rounds.Plan, value func(int) float64, least, most int) {
		t.Helper()
		p.Commands, p.Metrics = 1, []string{datamodel.WallTime}
		l := log{value: value}
		b, err := p.Run(t.Context(), l.measure, nil)
		if n := len(b.Rounds); err != nil || n < least || n > most {
			t.Errorf("%s: %d rounds, want %d to %d (%v)", name, n, least, most, err)
		}
	}
	f("the least", rounds.Plan{Least: 7}, noisy, 7, 7)
	f("the most", rounds.Plan{Least: 7, Most: 9, Precision: 1e-9}, noisy, 9, 9)
	f("until precise", rounds.Plan{Least: 7, Precision: 0.02}, noisy, 15, 200)
	f("precise at once", rounds.Plan{Least: 7, Precision: 0.02}, func(int) float64 { return 2 }, 7, 7)
	f("a metric of 0 has no precision to reach", rounds.Plan{Least: 7, Precision: 0.02}, func(int) float64 { return 0 }, 7, 7)
	f("the least time", rounds.Plan{Least: 1, LeastTime: 50 * time.Millisecond, Most: 1_000_000}, noisy, 100, 1_000_000)
}

func TestDecided(t *testing.T) {
	f := func(after, want int) {
		t.Helper()
		var asked []int
		p := rounds.Plan{Commands: 2, Warmup: 1, Least: 4, Most: 4, Decided: func(b datamodel.Bench, blocks int) bool {
			asked = append(asked, blocks)
			if len(b.Rounds) != 2*blocks {
				t.Errorf("asked with %d rounds after %d blocks", len(b.Rounds), blocks)
			}
			return blocks == after
		}}
		b, err := p.Run(t.Context(), (&log{}).measure, nil)
		if err != nil || len(b.Rounds) != 2*want || len(asked) != want || b.Ended != datamodel.BenchComplete {
			t.Errorf("decided after %d blocks: %d rounds, asked %v, %s (%v)", after, len(b.Rounds), asked, b.Ended, err)
		}
	}
	f(2, 2)
	f(100, 4)
}

func TestFailure(t *testing.T) {
	fails := func(n int) error {
		if n == 4 {
			return errors.New("fails")
		}
		return nil
	}
	p := rounds.Plan{Commands: 1, Warmup: 1, Least: 6}
	b, err := p.Run(t.Context(), (&log{after: fails}).measure, nil)
	failed, ok := errors.AsType[*rounds.FailedError](err)
	if !ok || failed.Round.ExitCode != 3 || failed.Warm || b.Ended != datamodel.BenchFailed || len(b.Rounds) != 3 {
		t.Errorf("%v, %s, %d rounds", err, b.Ended, len(b.Rounds))
	}
	p.IgnoreFailure = true
	b, err = p.Run(t.Context(), (&log{after: fails}).measure, nil)
	if err != nil || len(b.Rounds) != 6 || b.Rounds[2].ExitCode != 3 {
		t.Errorf("ignored: %v, %+v", err, b.Rounds)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l := log{after: func(n int) error {
		if n == 5 {
			cancel()
		}
		return nil
	}}
	b, err := rounds.Plan{Commands: 2, Least: 10, Order: datamodel.ABBA}.Run(ctx, l.measure, nil)
	if !errors.Is(err, context.Canceled) || b.Ended != datamodel.BenchInterrupted || len(b.Rounds) != 4 {
		t.Errorf("%v, %s, %d rounds; the fifth was cut short", err, b.Ended, len(b.Rounds))
	}
}

func TestMaxTime(t *testing.T) {
	b, err := rounds.Plan{Commands: 1, Least: 1 << 40, MaxTime: 100 * time.Millisecond}.Run(t.Context(), (&log{}).measure, nil)
	if err != nil || b.Ended != datamodel.BenchTimeout || len(b.Rounds) == 0 {
		t.Errorf("%v, %s, %d rounds", err, b.Ended, len(b.Rounds))
	}
}

func TestProgress(t *testing.T) {
	var said []string
	tell := func(p rounds.Progress) {
		said = append(said, fmt.Sprintf("%d %d %v %v", p.Command, p.Rounds, p.Warm, p.Left > 0))
	}
	_, err := rounds.Plan{Commands: 2, Warmup: 1, Least: 2, Order: datamodel.ABBA}.Run(t.Context(), (&log{}).measure, tell)
	want := []string{"0 0 true false", "1 0 true false", "0 0 false false", "1 1 false false", "1 2 false true", "0 3 false true"}
	if err != nil || !slices.Equal(said, want) {
		t.Errorf("%q, want %q (%v)", said, want, err)
	}
}
