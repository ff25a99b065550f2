package main

import "testing"

func TestParseWork(t *testing.T) {
	for given, want := range map[string]struct {
		amount float64
		unit   string
	}{
		"1e6requests": {1e6, "requests"}, "200 frames": {200, "frames"}, "1.5events": {1.5, "events"}, " 2E3 é ": {2000, "é"}, "1e-3 MB": {0.001, "MB"},
	} {
		w, err := parseWork(given)
		if err != nil || w.Amount != want.amount || w.Unit != want.unit {
			t.Errorf("%q: %+v, %v", given, w, err)
		}
	}
	for _, given := range []string{"", "requests", "1e6", "0requests", "-1 requests", "1e999requests", "1..2requests", "{n}requests", "3 a b"} {
		if w, err := parseWork(given); err == nil {
			t.Errorf("%q is taken as %+v", given, w)
		}
	}
}
