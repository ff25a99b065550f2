package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/datamodel/series"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
)

// process makes the result from the readings and writes the run's files. If files could not be written, it returns an
// error together with the result.
func (o *round) process() (account.Result, error) {
	if o.unread() {
		o.sampler.await() // it must not write while its files are removed
		o.folder.clear()
		return account.Result{}, nil
	}
	t := o.readings.taken(o.folder.spool)
	if t.spool == nil && o.single {
		// Little is in memory, so collecting garbage is not worth its 1.5 ms.
		defer debug.SetGCPercent(debug.SetGCPercent(400))
	}
	o.ledger.RunnerTime = o.ownTime()
	if o.folder.room != nil && t.spool != nil {
		_ = o.folder.room.Save(store.State{Run: o.run, Ledger: o.ledger}) // only Recover needs it
	}
	o.noTape = o.saveTape(&t)
	var files *store.Files
	if o.folder.run != nil {
		files = o.folder.run.Files()
	}
	made, unread, err := digest(&o.run, o.ledger, t, files, o.Brief, o.describe)
	if _, err := o.group.Leave(); err != nil {
		o.warn("target", "its cgroup could not be removed: "+err.Error())
	}
	o.folder.clear()
	if files == nil {
		return made, nil
	}
	o.noteEnding()
	err = errors.Join(err, save(files, o.run, made))
	if err == nil {
		err = files.SaveManifest(o.run)
	}
	if err != nil {
		err = errors.Join(err, files.Keep())
		_, why := unwritten(err)
		o.run.Outcome, o.run.Reason = datamodel.ProfilerFailed, "its files could not be written: "+why
		err = errors.Join(err, o.saveManifest())
		// Recover needs the readings that are only in memory.
		err = errors.Join(err, t.save(o.folder.spool), o.folder.room.Save(store.State{Run: o.run, Ledger: o.ledger}))
		return made, o.incomplete(err)
	}
	if unread != nil {
		return made, o.incomplete(unread)
	}
	return made, store.RemoveSpool(o.folder.run)
}

// unread says whether the result is neither read nor kept.
func (o *round) unread() bool { return o.Unread && o.folder.run == nil && o.Tape.File == "" }

// incomplete makes the one-line error for missing files.
func (o *round) incomplete(err error) error { return incomplete(err, o.folder.dir(), "readings") }

// incomplete makes the one-line error for missing files of a run: which, why, what they are made from, and the way out.
func incomplete(err error, dir, from string) error {
	files, why := unwritten(err)
	if len(files) > 0 {
		why = strings.Join(files, ", ") + ": " + why
	}
	free := ""
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		free = "free space, then "
	}
	return fmt.Errorf("the result is incomplete: %s (%s`ergon recover %s` makes it from the %s)", why, free, dir, from)
}

// unwritten splits joined errors into the files that could not be written and the reasons, each reason once.
func unwritten(err error) (files []string, why string) {
	var causes []string
	add := func(cause string) {
		if !slices.Contains(causes, cause) {
			causes = append(causes, cause)
		}
	}
	var walk func(error)
	walk = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				walk(e)
			}
		} else if e, ok := errors.AsType[*fs.PathError](err); ok && e.Op == "write" {
			files = append(files, filepath.Base(e.Path))
			add(e.Err.Error())
		} else {
			add(err.Error())
		}
	}
	walk(err)
	return files, strings.ReplaceAll(strings.Join(causes, "; "), "\n", "; ")
}

// digest makes the result from the readings. It adds samples.parquet to the files, unless they are nil, and makes one series
// of each sensor. The accounting makes the result from the series. digest appends the result's courses to samples.parquet,
// and the result's warnings to the run. After reading, it calls complete, unless nil, to fill in the rest of the run. The
// result is complete even if the file could not be written. A brief result has no tree and no courses. unread says which of the spools could not be read to their ends.
// They must not be removed.
func digest(
	run *datamodel.Run, ledger datamodel.Ledger, t taken, files *store.Files, brief bool, complete func(),
) (made account.Result, unread, err error) {
	warn := func(subject, text string) {
		run.Warnings = append(run.Warnings, datamodel.Warning{Subject: subject, Text: text})
	}
	var readings fold
	var restarts []store.Gap
	told, untold := t.told()
	own, left := ownFigures(told, run.Host.Name)
	if left > 0 {
		warn("marks", fmt.Sprintf("%d figures of the command were left out: a run keeps %d", left, mostOwn))
	}
	conversion, err := files.Begin(t.spool, slices.Concat(t.rows, own)...)
	unread = errors.Join(unread, untold)
	var regions *datamodel.Regions
	var events []datamodel.Event
	if err == nil {
		readings.step = conversion.Interval()
		events = datamodel.EventsOf(told, conversion.Anchor())
		if regions = found(told, *run, conversion.Anchor()); regions != nil {
			readings.cuts = regions.Cuts
		}
		conversion.Read(readings.observe)
		for _, s := range conversion.Spools() {
			if s.Unread {
				unread = errors.Join(unread, s.Err)
			}
			restarts = common(restarts, s.Gaps)
			if len(s.Gaps) > 0 {
				recount(run.Sources, s)
			}
			switch {
			case s.Err != nil:
				warn(s.Header.Source, fmt.Sprintf("its readings end at %.1f s: %v", s.Last.Seconds(), s.Err))
			case !s.Complete:
				warn(s.Header.Source, fmt.Sprintf("its readings end at %.1f s: the sampler did not close its file", s.Last.Seconds()))
			}
		}
	}
	for _, g := range restarts {
		warn("sampler", fmt.Sprintf("it ended and was started again: no readings from %.1f s to %.1f s", g.From.Seconds(), g.To.Seconds()))
	}
	seen, unreadable := t.seen()
	unread = errors.Join(unread, unreadable)
	if complete != nil {
		complete()
	}
	if ledger.LeastWallTime != nil && err == nil {
		last := time.Duration(0)
		for _, s := range conversion.Spools() {
			last = max(last, s.Last)
		}
		ledger.LeastWallTime = seconds(last)
	}
	align(readings.series, run.Sources)
	in := account.OneHost(*run, ledger, readings.series, seen)
	in.Brief = brief
	in.Hosts[0].Regions, in.Hosts[0].Told = regions, told
	made = account.Account(in)
	made.Events = events
	run.Warnings = append(run.Warnings, made.Warnings...)
	if regions != nil && regions.Strays > 0 {
		warn("marks", fmt.Sprintf("%d ends of regions without a beginning", regions.Strays))
	}
	for _, a := range made.Missing {
		// A run that is recovered again has them already.
		if !slices.ContainsFunc(run.Missing, func(known sensors.Absence) bool { return known.ID == a.ID }) {
			run.Missing = append(run.Missing, a)
		}
	}
	if unreadable != nil {
		warn("processes", unreadable.Error())
	}
	run.Spark, run.Summary = made.Spark, datamodel.Figures(made.Summary)
	judge(run, made)
	if err != nil {
		return made, unread, err
	}
	_, err = conversion.Close()
	return made, unread, err
}

// found returns the regions that marks tell of. anchor is the wall-clock time of moment 0 of the run's clock. A region that is
// still open ends with the command or, if that is unknown, with the last mark.
func found(told []datamodel.Mark, run datamodel.Run, anchor time.Time) *datamodel.Regions {
	if len(told) == 0 {
		return nil
	}
	end := told[len(told)-1].At
	if run.WallTime != nil && !anchor.IsZero() {
		end = run.Start.Sub(anchor) + time.Duration(*run.WallTime*float64(time.Second))
	}
	regions := datamodel.FindRegions(told, end)
	if regions != nil {
		regions.Anchor = anchor.UTC()
	}
	return regions
}

// common joins the gaps of one more source to those of the others. Each restart of the sampler makes a gap in every source.
// What is left is the time in which no source has a reading: a source with rare readings has the longest gap, but lost least.
func common(all, more []store.Gap) []store.Gap {
	for i, g := range more {
		if i == len(all) {
			all = append(all, g)
		}
		all[i].From, all[i].To = max(all[i].From, g.From), min(all[i].To, g.To)
	}
	return all
}

// recount counts the readings of a source that several samplers have read. Each knows only its own and the runner's. The row
// that marks a gap is no reading.
func recount(sources []datamodel.SourceStats, s store.SpoolStats) {
	for i := range sources {
		src := &sources[i]
		if src.Name != s.Header.Source || src.Interval <= 0 {
			continue
		}
		src.Readings = s.Rows - int64(len(s.Gaps))
		for _, g := range s.Gaps {
			src.Missed += max(0, int64((g.To-g.From).Seconds()/src.Interval)-1)
		}
	}
}

// resultOf joins a run and its accounting into the result.
func resultOf(run datamodel.Run, made account.Result) datamodel.Result {
	return datamodel.Result{Run: run, Tree: made.Tree, Summary: made.Summary, Processes: made.Processes, Regions: made.Regions, Events: made.Events, Charts: made.Charts}
}

// align tells each series what the sampler found out about its first and last reading.
func align(list []*series.Series, sources []datamodel.SourceStats) {
	for _, source := range sources {
		for _, e := range source.Edges {
			for _, s := range list {
				if s.Sensor().ID == e.Sensor {
					s.Align(e)
				}
			}
		}
	}
}

// fold makes one series of each sensor of each source, in the order of their first readings.
type fold struct {
	// step is the length of the parts of a chart, before they are merged.
	step time.Duration
	// cuts are the moments at which regions begin and end.
	cuts    []time.Duration
	charted func(sensors.Sensor) bool
	series  []*series.Series
	index   map[[2]string]*series.Series // by source and sensor
	source  *sensors.Sensor              // the first sensor of the source that was observed last
	of      []*series.Series             // the series of its sensors, nil if it was not looked for yet
}

// observe adds readings to the series of their sensor. It is a callback for the store.
func (f *fold) observe(h store.SpoolHeader, sensor int, at []time.Duration, values []float64) {
	if first := &h.Sensors[0]; f.source != first {
		f.source, f.of = first, make([]*series.Series, len(h.Sensors))
	}
	s := f.of[sensor]
	if s == nil {
		s = f.find(h, sensor)
		f.of[sensor] = s
	}
	s.Add(at, values)
}

// find returns the series of a sensor. It makes one if there is none.
func (f *fold) find(h store.SpoolHeader, sensor int) *series.Series {
	key := [2]string{h.Source, h.Sensors[sensor].ID}
	s, ok := f.index[key]
	if !ok {
		if f.index == nil {
			f.index = make(map[[2]string]*series.Series)
		}
		s = series.New(h.Sensors[sensor])
		s.ReadBy(h.Source)
		if f.charted == nil {
			f.charted = account.Charted()
		}
		if f.charted(h.Sensors[sensor]) {
			s.Chart(f.step)
		}
		if account.Cuts(h.Sensors[sensor]) {
			s.Cut(f.cuts)
		}
		f.index[key] = s
		f.series = append(f.series, s)
	}
	return s
}

// save adds the tables but the samples to the files, in parallel.
func save(files *store.Files, run datamodel.Run, made account.Result) error {
	saved := make(chan error, 1)
	go func() {
		if made.Processes == nil {
			saved <- nil
			return
		}
		saved <- files.SaveProcesses(run, made.Processes, datamodel.ProcessColumns(made.Summary))
	}()
	var regions, events error
	if len(made.Events) > 0 {
		events = files.SaveEvents(run, made.Events)
	}
	if made.Regions != nil && len(made.Regions.List) > 0 {
		regions = files.SaveRegions(run, made.Regions)
	}
	return errors.Join(
		regions, events, files.SaveTree(run, made.Tree), files.SaveSummary(run, made.Summary), files.SaveCharts(made.Charts), <-saved)
}
