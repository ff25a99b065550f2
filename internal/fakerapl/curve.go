package fakerapl

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/units"
)

// Curve is a power over time that is known exactly. It goes in a straight line from one power to another and stays there,
// or it jumps between the two.
type Curve struct {
	From, To units.Power
	// Rise is the time from From to To. With 0, the power is To from the start.
	Rise time.Duration
	// Period makes the curve a square wave if it is not 0: From for the first half of each period, To for the second.
	// Rise is then not used.
	Period time.Duration
}

// ParseCurve reads "const:100", 100 W all the time; "ramp:50:200:2s", from 50 W to 200 W within two seconds; and
// "square:20:180:100ms", 20 W for 50 ms, then 180 W for 50 ms, and so on. Powers are in watts, at least 0 and at most 1 MW.
func ParseCurve(text string) (Curve, error) {
	fail := func() (Curve, error) {
		return Curve{}, fmt.Errorf("curve %q: want const:WATTS, ramp:WATTS:WATTS:DURATION or square:WATTS:WATTS:PERIOD", text)
	}
	watts := func(s string) (units.Power, bool) {
		p, err := strconv.ParseFloat(s, 64)
		return units.Power(p), err == nil && p >= 0 && p <= 1e6
	}
	switch parts := strings.Split(text, ":"); {
	case parts[0] == "const" && len(parts) == 2:
		if p, ok := watts(parts[1]); ok {
			return Curve{From: p, To: p}, nil
		}
	case (parts[0] == "ramp" || parts[0] == "square") && len(parts) == 4:
		from, ok := watts(parts[1])
		to, ok2 := watts(parts[2])
		d, err := time.ParseDuration(parts[3])
		switch {
		case !ok || !ok2 || err != nil || d <= 0:
		case parts[0] == "square":
			return Curve{From: from, To: to, Period: d}, nil
		default:
			return Curve{From: from, To: to, Rise: d}, nil
		}
	}
	return fail()
}

// Power returns the power at t, counted from the curve's start.
func (c Curve) Power(t time.Duration) units.Power {
	switch {
	case c.Period > 0 && t%c.Period < c.Period/2:
		return c.From
	case c.Period > 0, t >= c.Rise:
		return c.To
	}
	return c.From + (c.To-c.From)*units.Power(t.Seconds()/c.Rise.Seconds())
}

// Energy returns the exact integral of the power from the curve's start to t.
func (c Curve) Energy(t time.Duration) units.Energy {
	if c.Period > 0 {
		half, rest := c.Period/2, t%c.Period
		low := min(rest, half) + time.Duration(int64(t/c.Period)*int64(half))
		return c.From.Times(low) + c.To.Times(t-low)
	}
	rising := min(t, c.Rise)
	mean := (c.From + c.Power(rising)) / 2
	return mean.Times(rising) + c.To.Times(t-rising)
}

// microjoules rounds an energy to the unit of energy_uj.
func microjoules(e units.Energy) uint64 { return uint64(math.Round(float64(e) * 1e6)) }
