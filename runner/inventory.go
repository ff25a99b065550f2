package runner

import (
	"context"
	"errors"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/inventory"
)

// Inventory asks for a count of the files in folders, before the command and after it.
type Inventory struct {
	inventory.Options
	// OnWait is called once a second while ergon counts, and at the end with done. It may be nil.
	OnWait func(after, done bool)
}

// inventoryRoom is the space in the state of a run that the types of one area may need, in bytes.
const inventoryRoom = 96 << 10

// counts reports whether the files are counted. Nobody counts for a result that is not read.
func (o *round) counts() bool {
	return len(o.Inventory.Areas) > 0 && (!o.Unread || o.Results != "" || o.Tape.File != "")
}

// countBefore counts the files before anything of this run exists.
func (o *round) countBefore(ctx context.Context) {
	if !o.counts() {
		return
	}
	var counted *inventory.Snapshot // not o.counted: after a signal the walk may go on
	err := o.counting(ctx, false, func(ctx context.Context) (err error) {
		counted, err = inventory.Take(ctx, o.Inventory.Options)
		return err
	})
	if err != nil {
		o.inventory = notCounted(o.Inventory.Options, err)
		return
	}
	o.counted = counted
}

// countAfter counts the files again, after the last readings. A signal then ends only this.
func (o *round) countAfter(ctx context.Context) {
	o.ledger.Inventory = o.inventory
	counted := o.counted
	if counted == nil {
		return
	}
	o.counted = nil // its memory is free after the walk
	// What this run itself writes is not the command's.
	ours := o.Results
	if o.folder.run == nil && o.folder.spool != nil {
		ours = o.folder.spool.Path()
	}
	var areas []inventory.Counted
	err := o.counting(context.WithoutCancel(ctx), true, func(ctx context.Context) (err error) {
		areas, err = counted.Compare(ctx, ours)
		return err
	})
	if err != nil {
		o.ledger.Inventory = notCounted(o.Inventory.Options, err)
	} else {
		o.ledger.Inventory = entriesOf(o.Inventory.Options, areas)
	}
}

// counting runs walk until it is done or a signal ends it. A walk may hang in a file system that does not answer, so nobody
// waits for it then.
func (o *round) counting(ctx context.Context, after bool, walk func(context.Context) error) error {
	tell := o.Inventory.OnWait
	if tell == nil {
		tell = func(bool, bool) {}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- walk(ctx) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	defer func() { tell(after, true) }()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			tell(after, false)
		case s := <-o.signals:
			if !s.Deadly() {
				continue
			}
			if !after {
				o.end.stopped = &s
			}
			return errors.New("interrupted by " + nameOf(s.Number))
		}
	}
}

// notCounted is the inventory of a count that failed.
func notCounted(of inventory.Options, err error) *datamodel.Inventory {
	out := entriesOf(of, nil)
	out.Reason = err.Error()
	for _, a := range of.Areas {
		out.Areas = append(out.Areas, datamodel.Area{
			Name: a.Name, Path: a.Path, Pattern: a.Pattern.String(), Groups: a.Groups(), Types: []datamodel.FileType{},
		})
	}
	return out
}

// entriesOf converts what was counted to entries of the ledger.
func entriesOf(of inventory.Options, areas []inventory.Counted) *datamodel.Inventory {
	out := &datamodel.Inventory{Areas: []datamodel.Area{}, Once: of.Once}
	for _, c := range areas {
		a := datamodel.Area{
			Name: c.Area.Name, Path: c.Area.Path, Pattern: c.Area.Pattern.String(), Within: c.Within, Groups: c.Area.Groups(),
			Types: []datamodel.FileType{}, Merged: int64(c.Merged), Dangling: c.Errors.Dangling, Vanished: c.Errors.Vanished,
			Unread: c.Errors.Unread, Loops: c.Errors.Loops, Unreadable: text(c.Errors.First), Reason: text(c.Err), Unknown: text(c.Unknown),
			NoSpace: text(c.FileSystem.Err),
		}
		if s := c.FileSystem; s.Err == nil {
			a.Mount, a.Total, a.Used, a.Free = s.Mount, float64(s.Total), float64(s.Used), float64(s.Free)
		}
		for _, r := range c.Rows {
			a.Types = append(a.Types, datamodel.FileType{
				Groups: r.Groups, Before: datamodel.FileAmount(r.Before), After: datamodel.FileAmount(r.After),
				Made: datamodel.FileAmount(r.Made), Grown: datamodel.FileAmount(r.Grown), Shrunk: datamodel.FileAmount(r.Shrunk),
				Deleted: datamodel.FileAmount(r.Deleted),
			})
		}
		out.Areas = append(out.Areas, a)
	}
	return out
}

// text returns the text of an error, "" for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
