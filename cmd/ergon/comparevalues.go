package main

import (
	"maps"
	"slices"
	"strings"
)

// thresholds is the smallest change that matters, for all metrics or for single ones: energy=5%,3%.
type thresholds struct{ to *JudgeOptions }

func (v thresholds) Set(given string) error {
	v.to.given = true
	for word := range strings.SplitSeq(given, ",") {
		name, value, single := strings.Cut(word, "=")
		if !single {
			if err := (part{&v.to.Threshold}).Set(word); err != nil {
				return err
			}
			continue
		}
		var f float64
		name = strings.TrimSpace(name)
		if err := summaryMetric(name); err != nil {
			return err
		}
		if err := (part{&f}).Set(value); err != nil {
			return err
		}
		if v.to.Thresholds == nil {
			v.to.Thresholds = map[string]float64{}
		}
		v.to.Thresholds[name] = f
	}
	return nil
}

func (v thresholds) String() string { return "" }

func (v thresholds) Current() string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(v.to.Thresholds)) {
		f := v.to.Thresholds[name]
		words = append(words, name+"="+part{&f}.Current())
	}
	return strings.Join(append(words, part{&v.to.Threshold}.Current()), ",")
}
