package compare

import (
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
)

// Looks is the schedule of a comparison that adds rounds until it is decided. A verdict after each round would be wrong too
// often: each further look at the same data is a further chance for an error. So there are few looks, and each of them may be
// wrong with an equal part of the whole probability. The intervals of all looks together then have the confidence of Rule,
// whatever the values are and however they depend on each other (Bonferroni).
type Looks struct {
	// Rule is that of the whole comparison.
	Rule Rule
	// Rounds are the numbers of rounds a side after which there is a look, in ascending order.
	Rounds []int
}

// DefaultLooks returns ten looks. Each has half as many rounds more than the one before.
func DefaultLooks(r Rule) Looks {
	return Looks{Rule: r, Rounds: []int{10, 15, 23, 34, 51, 76, 114, 171, 256, 384}}
}

// Most returns the number of rounds a side after the last look.
func (l Looks) Most() int { return l.Rounds[len(l.Rounds)-1] }

// Due returns the rule of the look after a number of rounds a side. ok is false if there is none then.
func (l Looks) Due(rounds int) (r Rule, ok bool) {
	return l.spend(1), slices.Contains(l.Rounds, rounds)
}

// Last returns the rule of a look after which no rounds are added, because time was up. It may use up what is left of the
// probability of an error: that of the looks that are still to come.
func (l Looks) Last(rounds int) Rule {
	made, found := slices.BinarySearch(l.Rounds, rounds)
	if found {
		made++
	}
	return l.spend(max(1, len(l.Rounds)-made))
}

// spend returns the rule with the probability of an error that some looks have.
func (l Looks) spend(looks int) Rule {
	r := l.Rule
	r.Confidence = 1 - (1-r.Confidence)*float64(looks)/float64(len(l.Rounds))
	return r
}

// Decided reports whether each metric has a verdict on each side. A metric without a value in any round needs none.
func (r Rule) Decided(b datamodel.Bench, metrics []string) bool {
	for _, s := range r.Sides(b, metrics, false) {
		for _, f := range s.Figures {
			if f.Change != nil && f.Change.Verdict == Inconclusive {
				return false
			}
		}
	}
	return true
}
