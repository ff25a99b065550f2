package store

import (
	"errors"
	"io/fs"
	"math"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

const eventsSchema = "ergon.events/2"

// eventRow is a row of events.parquet.
type eventRow struct {
	round          int64
	time           time.Time
	host           string
	elapsed, value float64
	kind           datamodel.EventKind
	name           string
	level          int64
	unit           units.Unit
	text           string
	pid, rank      int64
}

// eventFields lists the columns of events.parquet.
func eventFields() []field[eventRow] {
	return []field[eventRow]{
		whole("round", func(r *eventRow) *int64 { return &r.round }).unread().required().says("", "round, from 0"),
		moment("time", func(r *eventRow) *time.Time { return &r.time }).says("", "when it was"),
		figure("elapsed", func(r *eventRow) *float64 { return &r.elapsed }).in(units.Second).says("", "when it was, on the clock of elapsed in samples.parquet"),
		word("host", func(r *eventRow) *string { return &r.host }).unread().says("unknown", "host"),
		word("kind", func(r *eventRow) *datamodel.EventKind { return &r.kind }).says("", "event: the command told of it; progress: it told how much is done"),
		word("name", func(r *eventRow) *string { return &r.name }).says("it has none", "name"),
		whole("level", func(r *eventRow) *int64 { return &r.level }).says("it has none", "level: NO 0, GREEN 10, ORANGE 20, RED 30, CRITICAL 100"),
		figure("value", func(r *eventRow) *float64 { return &r.value }).says("it has none", "for progress the part that is done, from 0 to 1"),
		word("unit", func(r *eventRow) *units.Unit { return &r.unit }).says("it has no value", "unit of value"),
		word("text", func(r *eventRow) *string { return &r.text }).says("it has none", "more about it, for people"),
		whole("pid", func(r *eventRow) *int64 { return &r.pid }).says("unknown", "process that told of it"),
		whole("rank", func(r *eventRow) *int64 { return &r.rank }).says("not given", "rank of the process in a parallel job"),
	}
}

// SaveEvents adds the table of a run's events to the batch, as events.parquet.
func (b *Files) SaveEvents(run datamodel.Run, events []datamodel.Event) error {
	rows := make([]eventRow, len(events))
	for i, e := range events {
		rows[i] = eventRow{
			time: e.Time, host: run.Host.Name, elapsed: e.Elapsed.Seconds(), value: e.Value, kind: e.Kind, name: e.Name, level: int64(e.Level),
			unit: e.Unit, text: e.Text, pid: known(e.PID), rank: int64(e.Rank),
		}
	}
	return saveTable(b, EventsFile, eventsSchema, eventFields(), rows)
}

// loadEvents reads the table back. It is nil if the run has none.
func loadEvents(in folderFiles) ([]datamodel.Event, error) {
	rows, _, err := readTable(in, EventsFile, layout[eventRow]{eventsSchema, eventFields()})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make([]datamodel.Event, len(rows))
	for i, r := range rows {
		out[i] = datamodel.Event{
			Time: r.time, Elapsed: duration(r.elapsed), Kind: r.kind, Name: r.name, Level: number(r.level), Value: r.value, Unit: r.unit,
			Text: r.text, PID: int(max(0, r.pid)), Rank: number(r.rank),
		}
	}
	return out, nil
}

// number returns a small whole number, or -1 if it is none.
func number(n int64) int {
	if n < 0 || n > math.MaxInt32 {
		return -1
	}
	return int(n)
}
