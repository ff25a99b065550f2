package sampler

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

const (
	// edgePeriods is how many update periods a reader waits for an edge. Periods are typical values. leastEdge is the
	// shortest wait, because the scheduler may take a millisecond. mostEdge is the longest wait, also for an unknown period.
	edgePeriods = 5
	leastEdge   = 10 * time.Millisecond
	mostEdge    = 250 * time.Millisecond
	// An edge counts if the reading before it is at most a tenth of the period older. A longer step means that this process
	// did not run in between. For short periods, fineEdge is enough.
	finePart = 10
	fineEdge = 100 * time.Microsecond
)

// energyCounters returns the indices of the energy counters in the list, without the target's own.
func energyCounters(list []sensors.Sensor) (found []int) {
	for i, s := range list {
		if s.Kind == sensors.Counter && s.Unit == units.Joule && s.Family != "target" {
			found = append(found, i)
		}
	}
	return found
}

// edgeLimit returns how long the reader waits for its counters to move.
func (r *reader) edgeLimit() time.Duration {
	limit := leastEdge
	for _, i := range r.edges {
		period := r.list[i].Update
		if period <= 0 {
			return mostEdge
		}
		limit = max(limit, edgePeriods*period)
	}
	return min(limit, mostEdge)
}

// aligned says whether the first and the last reading wait for an edge.
func (r *reader) aligned() bool { return len(r.edges) > 0 }

// align reads until every energy counter has moved, or edgeLimit is over. It records the last of these readings. Counters
// need not move together, so align notes for each counter how old its value in that row can be.
func (r *reader) align(began time.Time, last bool) {
	if !r.take(began) {
		return
	}
	before := slices.Clone(r.row)
	// seen is when a counter first showed a new value. step is how long before seen it may have moved; 0 means not yet.
	seen, step := make([]time.Duration, len(r.row)), make([]time.Duration, len(r.row))
	fine := make([]bool, len(r.row))
	limit := r.at + r.edgeLimit()
	for left, previous := len(r.edges), r.at; left > 0 && r.at < limit; {
		runtime.Gosched() // all lanes share one processor
		if !r.take(began) {
			break
		}
		now := time.Since(began)
		for _, i := range r.edges {
			v := r.row[i]
			if v != before[i] && !math.IsNaN(v) && !math.IsNaN(before[i]) {
				seen[i], step[i] = r.at, max(1, now-previous)
				if !fine[i] && step[i] <= max(fineEdge, r.list[i].Update/finePart) {
					fine[i] = true
					left--
				}
			}
			if !math.IsNaN(v) {
				before[i] = v
			}
		}
		previous = r.at
	}
	r.stats.Readings++
	r.append(began)
	if r.stats.Edges == nil {
		r.stats.Edges = make([]datamodel.Edge, len(r.edges))
	}
	var still []string
	for k, i := range r.edges {
		e := &r.stats.Edges[k]
		e.Sensor = r.list[i].ID
		if step[i] == 0 {
			still = append(still, r.list[i].ID)
			continue
		}
		age := (r.at - seen[i] + step[i]).Seconds()
		if last {
			e.Last = &age
		} else {
			e.First = &age
		}
	}
	if len(still) > 0 {
		end := "start"
		if last {
			end = "end"
		}
		r.unaligned = append(r.unaligned, fmt.Sprintf("no edge within %s at the %s: %s", units.Brief(r.edgeLimit()), end, strings.Join(still, ", ")))
	}
}
