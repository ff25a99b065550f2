package report

import (
	"cmp"
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
)

// costliest returns the n processes that used most CPU time, and so energy, in descending order. A row for all others that
// were seen and the row of what was not seen follow, if they exist.
func costliest(rows []datamodel.Process, n int) []datamodel.Process {
	var single, rest []datamodel.Process
	for _, p := range rows {
		if p.Kind == datamodel.OneProcess {
			single = append(single, p)
		} else {
			rest = append(rest, p)
		}
	}
	return most(single, rest, n)
}

// byName is costliest with one row for all processes of the same name.
func byName(rows []datamodel.Process, n int) []datamodel.Process {
	named, rest := datamodel.ByName(rows)
	return most(named, rest, n)
}

// most returns the n rows with most CPU time, a row for the others, and the row of what was not seen.
func most(list, rest []datamodel.Process, n int) []datamodel.Process {
	slices.SortStableFunc(list, func(a, b datamodel.Process) int {
		return cmp.Or(cmp.Compare(b.CPUTime, a.CPUTime), cmp.Compare(a.ID, b.ID))
	})
	out := slices.Clone(list[:min(n, len(list))])
	var others, unseen []datamodel.Process
	for _, p := range slices.Concat(list[len(out):], rest) {
		switch {
		case p.Kind == datamodel.UnseenProcesses:
			unseen = append(unseen, p)
		case others == nil:
			others = []datamodel.Process{p.Grouped(datamodel.OtherProcesses)}
		default:
			others[0].Join(p)
		}
	}
	return slices.Concat(out, others, unseen)
}
