package runner

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/stats"
	"github.com/ergon-energy/ergon/sensors"
)

// KeptBench keeps a bench in the folder of one run. Each round is written as it ends, so that a bench that is killed loses
// nothing of the rounds before. The tables are made at the end, or by Recover.
type KeptBench struct {
	run    datamodel.Run
	folder folder
	log    *store.RoundLog
	noted  time.Time
	rounds int
	// failed is why a round could not be written first, lost how many could not. The rounds are in memory too.
	failed error
	lost   int
}

// KeepBench makes the folder of a bench. Of o it uses what names and describes a run. host describes the machine. b has the
// commands and the plan, but no rounds yet. The error is a *SetupError.
func KeepBench(o Options, b datamodel.Bench, host datamodel.HostInfo) (*KeptBench, error) {
	now := time.Now().UTC()
	k := &KeptBench{run: datamodel.Run{
		Schema: datamodel.ManifestSchema, ID: cmp.Or(o.ID, newID(now)), Project: o.Project, NoArguments: o.NoArguments,
		Outcome: datamodel.Unfinished, Start: now, Version: o.Version, Estimate: o.Estimate, Factors: o.Factors, Host: host,
		Sources: []datamodel.SourceStats{}, Missing: []sensors.Absence{}, Warnings: []datamodel.Warning{}, // [] in JSON
	}}
	b.Ended, b.Rounds = datamodel.BenchUnfinished, nil
	k.run.Bench = &b
	if len(b.Commands) > 0 {
		k.run.SetCommand(b.Commands[0].Command)
	}
	k.run.Folder, _ = os.Getwd()
	fresh := func() string { return newID(now) }
	if o.ID != "" {
		fresh = nil
	}
	for _, c := range b.Commands { // what only the manifest has of a bench
		k.folder.more += 4*len(strings.Join(c.Command, "")) + 4*len(c.Name) + 256
	}
	err := k.folder.make(o.Results, &k.run, fresh, o.Access)
	if err == nil {
		k.log, err = store.CreateRoundLog(k.folder.spool)
	}
	if err == nil {
		err = store.NoteManifest(k.folder.run, k.run)
	}
	if err != nil {
		k.Discard()
		return nil, &SetupError{err}
	}
	if o.OnKept != nil {
		o.OnKept(k.run.ID)
	}
	return k, nil
}

// noteEvery is how often a bench writes what it knows besides its rounds.
const noteEvery = time.Second

// Saw takes from the run of a round what is said once of the bench: what was read, what is missing, and the warnings.
func (k *KeptBench) Saw(run datamodel.Run) {
	if k == nil {
		return
	}
	for _, s := range run.Sources {
		k.source(s)
	}
	for _, a := range run.Missing {
		if !slices.ContainsFunc(k.run.Missing, func(known sensors.Absence) bool { return known.ID == a.ID }) {
			k.run.Missing = append(k.run.Missing, a)
		}
	}
	for _, w := range run.Warnings {
		k.warning(w)
	}
	k.run.Accounting = cmp.Or(k.run.Accounting, run.Accounting)
}

// source adds up how reading a source went.
func (k *KeptBench) source(s datamodel.SourceStats) {
	s.Edges = nil // of one round
	i := slices.IndexFunc(k.run.Sources, func(known datamodel.SourceStats) bool { return known.Name == s.Name })
	if i < 0 {
		k.run.Sources = append(k.run.Sources, s)
		return
	}
	sum := &k.run.Sources[i]
	sum.Readings, sum.Missed, sum.Late, sum.Failed = sum.Readings+s.Readings, sum.Missed+s.Missed, sum.Late+s.Late, sum.Failed+s.Failed
	sum.ReadTime, sum.Worst, sum.Hung = sum.ReadTime+s.ReadTime, max(sum.Worst, s.Worst), sum.Hung || s.Hung
	sum.Sensors = max(sum.Sensors, s.Sensors)
}

// mostWarnings bounds the warnings of a bench. Its rounds may say the same in ever new words.
const mostWarnings = 50

// warning adds a warning of a round. A condition of the machine is one warning, whose count is that of the rounds. Its text is
// that of the first round.
func (k *KeptBench) warning(w datamodel.Warning) {
	condition := slices.Contains(datamodel.Conditions(), w.Subject)
	for i := range k.run.Warnings {
		known := &k.run.Warnings[i]
		if known.Subject == w.Subject && known.Cause == w.Cause && (condition || known.Text == w.Text) {
			known.Count++
			return
		}
	}
	if len(k.run.Warnings) < mostWarnings {
		w.Count = 1
		k.run.Warnings = append(k.run.Warnings, w)
	}
}

// Add keeps a measured round. An error is told by Finish: the rounds are in memory too.
func (k *KeptBench) Add(r datamodel.Round) {
	if k == nil {
		return
	}
	k.rounds++
	if err := k.log.Add(r); err != nil {
		k.lost++
		k.failed = cmp.Or(k.failed, err)
	}
	if k.rounds > 1 && time.Since(k.noted) < noteEvery {
		return
	}
	k.noted = time.Now()
	_ = k.log.Note(k.run) // the next one says the same, and more
}

// Finish makes the tables from the rounds of b. failed is why the bench ended early, nil if it did not. It returns the run as
// it was kept and its folder. A bench without rounds is not kept: the folder is then "".
func (k *KeptBench) Finish(b datamodel.Bench, failed error) (run datamodel.Run, dir string, err error) {
	if k == nil {
		return datamodel.Run{}, "", nil
	}
	defer k.close()
	if len(b.Rounds) == 0 {
		k.folder.discard()
		return datamodel.Run{}, "", nil
	}
	wall := time.Since(k.run.Start).Seconds()
	k.run.WallTime = &wall
	k.run.Bench = &b
	k.run.Outcome, k.run.Reason, k.run.ExitCode = benchOutcome(b, failed)
	summarizeBench(&k.run)
	files := k.folder.run.Files()
	defer files.Drop()
	if err = files.SaveBench(k.run); err == nil {
		err = files.SaveManifest(k.run)
	}
	if err == nil {
		return k.run, k.folder.dir(), store.RemoveSpool(k.folder.run)
	}
	// The manifest still says unfinished, and the rounds stay in the spool: recover makes the tables.
	err = errors.Join(err, k.folder.room.Save(store.State{Run: withoutResults(k.run)}))
	err = incomplete(err, k.folder.dir(), "rounds")
	if k.lost > 0 {
		err = fmt.Errorf("%w; %d of %d rounds are lost: %w", err, k.lost, len(b.Rounds), causeOf(k.failed))
	}
	return k.run, k.folder.dir(), err
}

// causeOf returns an error without the name of the file.
func causeOf(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// recoverBench makes the tables of a bench from the rounds in its spool. unread says what of them could not be read.
func recoverBench(spool *store.Folder, run *datamodel.Run) (unread error) {
	rounds, noted, unread, err := store.ReadRounds(spool)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		unread = errors.Join(unread, err)
	}
	s, err := store.LoadState(spool)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		unread = errors.Join(unread, err)
	}
	switch {
	case err == nil && s.Run.ID == run.ID && s.Run.Bench != nil: // the bench has ended, and only the tables are missing
		*run = s.Run
	case noted.ID == run.ID && noted.Bench != nil:
		*run = noted
	}
	run.Bench.Rounds = rounds
	if run.Outcome == datamodel.Unfinished {
		run.Outcome, run.Reason = datamodel.ProfilerFailed, "ergon did not finish this bench; recovered from its rounds"
		run.Bench.Ended = datamodel.BenchUnfinished
		if n := len(rounds); n > 0 {
			last := rounds[n-1]
			wall := last.Start.Sub(run.Start).Seconds()
			if w := datamodel.Pick(last.Metrics, datamodel.WallTime).Value; !math.IsNaN(w) {
				wall += w
			}
			run.WallTime = &wall
		}
	}
	run.Recovered = true
	summarizeBench(run)
	return unread
}

// withoutResults is a run without what follows from its rounds.
func withoutResults(run datamodel.Run) datamodel.Run {
	b := *run.Bench
	b.Results = nil
	run.Bench, run.Summary = &b, nil
	return run
}

// Discard removes the folder. Nothing was measured.
func (k *KeptBench) Discard() {
	if k == nil {
		return
	}
	k.folder.discard()
	k.close()
}

func (k *KeptBench) close() {
	if k.log != nil {
		_ = k.log.Close() // its errors were told by Add
	}
	k.folder.close()
}

// benchOutcome returns how a bench ended, as a run.
func benchOutcome(b datamodel.Bench, failed error) (outcome datamodel.Outcome, reason string, code *int) {
	last := b.Rounds[len(b.Rounds)-1]
	switch b.Ended {
	case datamodel.BenchInterrupted:
		return datamodel.Cancelled, "ergon was asked to end it", nil
	case datamodel.BenchFailed:
		if last.Outcome != datamodel.Done && failed != nil {
			return last.Outcome, fmt.Sprintf("round %d: exit code %d", len(b.Rounds), last.ExitCode), &last.ExitCode
		}
		reason = "a round could not be measured"
		if failed != nil {
			reason = failed.Error()
		}
		return datamodel.ProfilerFailed, reason, nil
	case datamodel.BenchComplete, datamodel.BenchTimeout, datamodel.BenchUnfinished:
	}
	return datamodel.Done, "", new(int)
}

// summarizeBench tells what a list of runs shows of a bench: the medians of each command. If there is one command, its medians are
// also the summary of the run.
func summarizeBench(run *datamodel.Run) {
	b := run.Bench
	b.Results = make([]datamodel.BenchResult, len(b.Commands))
	for c := range b.Commands {
		b.Results[c] = resultOfCommand(*b, c)
	}
	if len(b.Results) == 1 {
		run.Summary = b.Results[0].Medians
	}
}

// resultOfCommand is what the rounds of a command gave.
func resultOfCommand(b datamodel.Bench, command int) datamodel.BenchResult {
	rounds := b.Of(command)
	out := datamodel.BenchResult{Rounds: len(rounds)}
	for _, r := range rounds {
		if r.Outcome != datamodel.Done {
			out.Failed++
		}
	}
	var medians []datamodel.Metric
	for _, d := range datamodel.Summary() {
		medians = append(medians, medianOf(rounds, d))
	}
	out.Medians = datamodel.Figures(medians)
	return out
}

// medianOf returns the median of a metric over the rounds that have it. It has the weakest provenance of them. If no round has
// it, the median is missing, for the reason of the first round.
func medianOf(rounds []datamodel.Round, d datamodel.Definition) datamodel.Metric {
	out := datamodel.Missing(d.Name, d.Unit, "not measured")
	var values []float64
	explained := false
	for _, r := range rounds {
		m := datamodel.Pick(r.Metrics, d.Name)
		switch {
		case math.IsNaN(m.Value):
			if len(values) == 0 && !explained && m.Reason != "" {
				out.Reason, out.Absence, explained = m.Reason, m.Absence, true
			}
			continue
		case len(values) == 0:
			out = datamodel.Value(d.Name, 0, d.Unit, "median", m.Provenance, m.Source)
			out.Bound, out.Parts = m.Bound, m.Parts
		}
		out.Provenance = out.Provenance.Weaker(m.Provenance)
		out.Bound = cmp.Or(out.Bound, m.Bound)
		values = append(values, m.Value)
	}
	if len(values) > 0 {
		out = out.WithValue(stats.Median(values))
	}
	return out
}

// RoundOf takes what a bench keeps of a measured command.
func RoundOf(rep Report) datamodel.Round {
	r := datamodel.Round{
		Start: rep.Run.Start, ExitCode: rep.State.Code(), Outcome: rep.Run.Outcome, Metrics: rep.Summary, Processes: rep.Processes,
		Conditions: datamodel.ConditionsIn(rep.Run.Warnings),
	}
	if rep.Stopped > 0 {
		r.Conditions = append(r.Conditions, datamodel.Stopped)
	}
	return r
}
