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

// Decided reports whether each metric has a verdict on each side. A metric that a side has in no round needs none.
func (r Result) Decided() bool {
	for _, a := range r.Against {
		for _, b := range a.Benchmarks {
			for _, f := range b.Figures {
				if f.Change.Verdict == Inconclusive && f.Base.N > 0 && f.New.N > 0 {
					return false
				}
			}
		}
	}
	return true
}

// Paired takes the commands of a bench whose rounds are measured in blocks. The first command is the base, each other command a
// new side. names are those of the sides; nil takes those of the commands.
func Paired(b datamodel.Bench, names []string) Request {
	sides := ByCommand(Set{Bench: b})
	for i, name := range names {
		sides[i].Name = name
	}
	return Request{Base: sides[0], New: sides[1:], Paired: true}
}

// Upto returns the schedule for at most so many rounds a side: its last look is after them.
func (l Looks) Upto(rounds int) Looks {
	i, _ := slices.BinarySearch(l.Rounds, rounds)
	l.Rounds = append(slices.Clone(l.Rounds[:i]), rounds)
	return l
}
