package main

import "testing"

// TestSimulatedVerdicts checks what ergon's rule is to reach: without a change, 20 rounds in random order have a verdict in at
// most 5 % of all comparisons, and 30 rounds find +5 % in at least 80 %. The simulated drift must matter: with it, grouped rounds
// are often wrong.
func TestSimulatedVerdicts(t *testing.T) {
	const trials = 1000
	ergon := verdictRules()[0]
	if r := ratesOf(ergon, false, 20, trials); r.wrong > 0.05 {
		t.Errorf("without a change, 20 rounds have a verdict in %.1f %%", 100*r.wrong)
	}
	if r := ratesOf(ergon, false, 30, trials); r.found < 0.8 {
		t.Errorf("30 rounds find +5 %% in %.1f %%", 100*r.found)
	}
	for _, rule := range verdictRules() {
		shuffled, grouped := ratesOf(rule, false, 20, 200), ratesOf(rule, true, 20, 200)
		t.Logf("%-12s 20 rounds: shuffled %+v, grouped %+v", rule.name, shuffled, grouped)
		if rule.name == "Mann–Whitney" && (grouped.wrong < 0.2 || shuffled.wrong > 0.1) {
			t.Errorf("Mann–Whitney is wrong in %.1f %% of grouped and %.1f %% of shuffled rounds", 100*grouped.wrong, 100*shuffled.wrong)
		}
	}
}
