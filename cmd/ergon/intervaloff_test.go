package main

import (
	"math"
	"testing"
	"time"
)

// TestIntervalOff checks when rounds have a time series: from the second second on, unless an interval is given or switched off.
func TestIntervalOff(t *testing.T) {
	f := func(o SensorOptions, given []string, alone time.Duration, current string, fails bool) {
		t.Helper()
		v := &intervals{to: &o}
		var err error
		for _, word := range given {
			if err == nil {
				err = v.Set(word)
			}
		}
		if (err != nil) != fails {
			t.Errorf("%q: %v", given, err)
		}
		if !fails && (o.aloneIn() != alone || v.Current() != current) {
			t.Errorf("%q: alone for %v, %s; want %v, %s", given, o.aloneIn(), v.Current(), alone, current)
		}
	}
	f(roundSensorOptions(), nil, time.Second, "100ms", false)
	f(roundSensorOptions(), []string{"5ms"}, 0, "5ms", false)
	f(roundSensorOptions(), []string{"off"}, math.MaxInt64, "off", false)
	f(roundSensorOptions(), []string{"off", "5ms"}, 0, "", true)
	f(roundSensorOptions(), []string{"5ms", "off"}, 0, "", true)
	f(defaultSensorOptions(), []string{"off"}, 0, "", true)
}
