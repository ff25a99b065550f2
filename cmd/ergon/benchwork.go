package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
)

// parseWork parses an amount of work: a number above 0, and a word for what is counted, as in "1e6requests" or "200 frames".
func parseWork(given string) (*datamodel.Work, error) {
	m := regexp.MustCompile(`^\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(\p{L}[^\s{}]*)\s*$`).FindStringSubmatch(given)
	if m == nil || strings.Trim(m[2][1:], "+-0123456789") == "" && strings.ContainsAny(m[2], "0123456789") { // the word of 1e6 is no e6
		return nil, fmt.Errorf("invalid work %q (examples: 1e6requests; 200 frames)", given)
	}
	amount, err := strconv.ParseFloat(m[1], 64)
	if err != nil || !(amount > 0) || math.IsInf(amount, 0) {
		return nil, fmt.Errorf("invalid work %q: %s is no number above 0", given, m[1])
	}
	return &datamodel.Work{Amount: amount, Unit: m[2]}, nil
}
