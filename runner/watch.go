package runner

import (
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/datamodel/rule"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/datamodel/store"
)

const (
	// liveFor is how long the status line shows a figure without a new reading.
	liveFor = 5 * time.Second
	// statusEvery is the time between two calls of OnStatus.
	statusEvery = time.Second
	// budgetsEvery is the time between two looks at the budgets. The sampler writes what it reads within a second, so a breach is
	// seen within 1.5 s.
	budgetsEvery = 500 * time.Millisecond
)

// watch follows the spool until stop is called. It reports the current figures to OnStatus, and each budget that is broken to
// breached. The sampler writes at least once a second, so the figures are at most a second old. Until it reads, only the wall time
// is known.
func (o *round) watch(began time.Time, breached chan<- datamodel.Budget) (stop func()) {
	var list []rule.Budget
	if o.OnBreach != nil {
		list = o.decidable()
	}
	reading := o.readings.reading
	status := o.OnStatus != nil && reading
	if len(list) == 0 && !status {
		return func() {}
	}
	every := statusEvery
	if len(list) > 0 {
		every = budgetsEvery
	}
	var step time.Duration // of the courses; 0 makes none
	if slices.ContainsFunc(list, func(b rule.Budget) bool { return b.NeedsCourse() }) {
		step = o.Config.Interval
	}
	run := o.run // as it is now: the other goroutine goes on with its own
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		readings := fold{step: step}
		var live account.Live
		poll := func() (over bool, err error) { return false, nil }
		if reading {
			spool := store.NewFollower(o.folder.spool, readings.observe)
			defer spool.Close()
			poll = spool.Poll
		}
		shown := began
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if _, err := poll(); err != nil {
				return // process will report the error
			}
			elapsed := time.Since(began)
			if status && time.Since(shown) >= statusEvery-budgetsEvery/2 {
				shown = time.Now()
				o.OnStatus(elapsed, live.Now(readings.series, elapsed-max(liveFor, 3*o.Config.Interval)))
			}
			for _, b := range broken(list, run, readings.series, elapsed) {
				list = slices.DeleteFunc(list, func(other rule.Budget) bool { return other.Given == b.Rule })
				select {
				case breached <- b:
				case <-quit:
					return
				}
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// decidable returns the budgets that may be found broken before the end, and were not yet.
func (o *round) decidable() (list []rule.Budget) {
	for i, b := range o.Budgets {
		if b.OnlyWorse() && o.run.Budgets[i].Breach == nil {
			list = append(list, b)
		}
	}
	return list
}

// broken returns the budgets that are broken by what was read until now. The result so far is made as that of a run whose end
// ergon did not see: what grows with time is a lower bound.
func broken(list []rule.Budget, run datamodel.Run, readings []*series.Series, elapsed time.Duration) (out []datamodel.Budget) {
	if len(list) == 0 {
		return nil
	}
	made := account.Account(account.OneHost(run, datamodel.Ledger{LeastWallTime: seconds(elapsed)}, readings, nil))
	get := rule.Of(resultOf(run, made))
	for _, b := range list {
		if now := b.Judge(get, made.Charts); now.Verdict == datamodel.BudgetBroken {
			now.Breach = &datamodel.Breach{Elapsed: elapsed.Seconds()}
			out = append(out, now)
		}
	}
	return out
}

// breached records that a budget is broken. It reports whether the target is to be asked to end, which happens once.
func (o *round) breached(b datamodel.Budget) (end bool) {
	if o.OnBreach(b) && o.end.overBudget == "" && !o.end.timedOut {
		o.end.overBudget = b.Rule
		b.Breach.Ended, end = true, true
	}
	for i := range o.run.Budgets {
		if o.run.Budgets[i].Rule == b.Rule {
			o.run.Budgets[i].Breach = b.Breach
		}
	}
	return end
}

// judge puts the verdicts on its budgets into a run.
func judge(run *datamodel.Run, made account.Result) {
	if len(run.Budgets) == 0 {
		return
	}
	judged, err := rule.JudgeAgain(run.Budgets, resultOf(*run, made))
	run.Budgets = judged
	if err != nil { // a manifest of another version
		run.Warnings = append(run.Warnings, datamodel.Warning{Subject: "run", Text: "a budget cannot be judged: " + err.Error()})
	}
}
