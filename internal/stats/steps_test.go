package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// alpha of the tests is that of ergon's trends.
const alpha = 0.01

// noise makes values about 100 with a variation. kind is the shape of their distribution.
func noise(r *rand.Rand, kind string, n int, variation float64) []float64 {
	values := make([]float64, n)
	before := 0.0
	for i := range values {
		v := r.NormFloat64()
		switch kind {
		case "skewed": // as times have it
			v = math.Exp(v) - 1
		case "far off": // one of ten is disturbed
			if r.Float64() < 0.1 {
				v = 20 * r.Float64()
			}
		case "rounded":
			v = math.Round(v)
		case "like the one before":
			v = 0.3*before + math.Sqrt(1-0.09)*v
			before = v
		}
		values[i] = 100 * (1 + variation*v)
	}
	return values
}

// TestStepsOfNoise simulates series without a step. The seeds are fixed.
func TestStepsOfNoise(t *testing.T) {
	const series = 200
	for _, c := range []struct {
		kind string
		most float64 // share of series with a step
	}{
		{"normal", 0.05},
		{"skewed", 0.05},
		{"far off", 0.05},
		{"rounded", 0.05},
		{"like the one before", 0.25}, // a machine that warms up and cools down has small steps
	} {
		for _, n := range []int{12, 50, 200} {
			r := rand.New(rand.NewPCG(uint64(n), 7))
			wrong := 0
			for range series {
				if len(Steps(noise(r, c.kind, n, 0.02), alpha)) > 0 {
					wrong++
				}
			}
			text := fmt.Sprintf("%s, %d values: a step in %.1f %% of series without one", c.kind, n, 100*float64(wrong)/series)
			t.Log(text)
			if float64(wrong) > c.most*series {
				t.Error(text)
			}
		}
	}
}

// TestPlantedStep simulates a step of 5 % in a noise of 2 %. Where the step is cannot be known better than the noise allows, so
// the place is compared with what somebody finds who knows both levels.
func TestPlantedStep(t *testing.T) {
	const series = 200
	for _, c := range []struct {
		kind  string
		n, at int
		least float64 // the share that is found as the only step
	}{
		{"normal", 50, 25, 0.97},
		{"normal", 50, 40, 0.93},
		{"normal", 50, 10, 0.93},
		{"normal", 200, 120, 0.97},
		{"far off", 50, 25, 0.9},
		{"rounded", 50, 25, 0.97},
	} {
		r := rand.New(rand.NewPCG(uint64(c.n), uint64(c.at)))
		found, placed, knowing := 0, 0, 0
		for range series {
			values := noise(r, c.kind, c.n, 0.02)
			for i := range values[c.at:] {
				values[c.at+i] *= 1.05
			}
			if steps := Steps(values, alpha); len(steps) == 1 {
				found++
				if d := steps[0] - c.at; d >= -1 && d <= 1 {
					placed++
				}
			}
			if d := knownStep(values, 100, 105) - c.at; d >= -1 && d <= 1 {
				knowing++
			}
		}
		share := func(n int) float64 { return float64(n) / series }
		text := fmt.Sprintf("%s, step %d of %d: %.1f %% found, %.1f %% within ± 1 (%.1f %% if both levels are known)", c.kind, c.at, c.n, 100*share(found),
			100*share(placed), 100*share(knowing))
		t.Log(text)
		if share(found) < c.least || share(placed) < share(knowing)-0.08 {
			t.Error(text)
		}
	}
}

// knownStep returns the most likely place of a step between two levels that are known.
func knownStep(values []float64, before, after float64) (at int) {
	sum, least := 0.0, math.Inf(1)
	for i, v := range values {
		if sum < least {
			at, least = i, sum
		}
		sum += math.Abs(v-before) - math.Abs(v-after)
	}
	return at
}

// TestShapes has series whose steps are known, without chance.
func TestShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	series := func(n int, level func(i int) float64) []float64 {
		values := noise(r, "normal", n, 0.01)
		for i := range values {
			values[i] *= level(i)
		}
		return values
	}
	constant := make([]float64, 40)
	ramp := series(60, func(i int) float64 { return 1 + 0.01*float64(i) })
	spike := series(40, func(i int) float64 {
		if i == 20 {
			return 50
		}
		return 1
	})
	bump := series(50, func(i int) float64 {
		if i >= 20 && i < 30 {
			return 1.2
		}
		return 1
	})
	stairs := series(400, func(i int) float64 { return 1 + 0.1*float64(i/100) })
	files := make([]float64, 30) // whole numbers
	for i := range files {
		files[i] = float64(3 + 2*(i/15))
	}
	long := series(10_000, func(i int) float64 {
		if i >= 7_003 {
			return 1.05
		}
		return 1
	})
	for name, c := range map[string]struct {
		values []float64
		want   []int
	}{
		"none":        {nil, nil},
		"one":         {[]float64{1}, nil},
		"few":         {[]float64{1, 1, 2, 2}, nil},
		"constant":    {constant, nil},
		"ramp":        {ramp, nil},
		"spike":       {spike, nil},
		"bump":        {bump, []int{20, 30}},
		"stairs":      {stairs, []int{100, 200, 300}},
		"files":       {files, []int{15}},
		"ten at last": {slices.Concat(constant, []float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}), []int{40}},
		"long":        {long, []int{7_003}},
	} {
		got := Steps(c.values, alpha)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if again := Steps(c.values, alpha); !slices.Equal(got, again) {
			t.Errorf("%s: %v, and then %v", name, got, again)
		}
	}
}

func BenchmarkSteps(b *testing.B) {
	for _, n := range []int{50, 100, 1000, 10_000} {
		r := rand.New(rand.NewPCG(1, uint64(n)))
		plain := noise(r, "normal", n, 0.02)
		stepped := slices.Clone(plain)
		for i := range stepped[n/2:] {
			stepped[n/2+i] *= 1.05
		}
		b.Run(fmt.Sprintf("noise of %d", n), func(b *testing.B) {
			for b.Loop() {
				Steps(plain, alpha)
			}
		})
		b.Run(fmt.Sprintf("step in %d", n), func(b *testing.B) {
			for b.Loop() {
				Steps(stepped, alpha)
			}
		})
	}
}
