package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

const (
	// followPause is the least time between two looks at a folder that is written to all the time.
	followPause = 100 * time.Millisecond
	// followStep is the time between two looks if the system does not tell of changes.
	followStep = 250 * time.Millisecond
	// followLimit is the longest time between two looks if it does: of changes on some network file systems it doesn't.
	followLimit = time.Second
)

// Follow hands the readings in a run's spool folder to observe: those that are there, then those that are appended, until
// the end of the run is told or ctx is done. Between two changes it waits. It only reads files, so a slow observer
// costs the writer nothing.
//
// Observe sees the readings of each source in their order; the sources take turns. Taken together, it sees what Convert
// hands out, in other pieces. What is not whole yet is waited for, also a part of a source that is not closed yet.
// Sources may appear later.
//
// Each time that everything there is handed over, and more may come, Follow calls caughtUp, which may be nil. Its error ends
// Follow.
//
// The end is told by Room.Save, which the runner calls when the last readings are written, or by the folder being
// removed. A run whose ergon was killed never tells it. The error is that of ctx or of caughtUp, or says which readings are
// damaged or cut off.
func Follow(ctx context.Context, spool *Folder, observe Observer, caughtUp func() error) error {
	changes, err := watchFolder(spool.path)
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	defer changes.close()
	f := NewFollower(spool, observe)
	defer f.Close()
	for {
		if over, err := f.Poll(); over || err != nil {
			return err
		}
		if caughtUp != nil {
			if err := caughtUp(); err != nil {
				return err
			}
		}
		if err := changes.wait(ctx, followLimit); err != nil {
			return err
		}
	}
}

// Follower reads a spool folder that may still be written to, when it is told to. It is Follow for a reader that has a
// clock of its own. It is not safe for use by several goroutines.
type Follower struct {
	feeds   feeds
	observe Observer
	rows    block
	seen    bool // the folder was there
}

// NewFollower returns a Follower of a spool folder that hands the readings to observe.
func NewFollower(spool *Folder, observe Observer) *Follower {
	return &Follower{feeds: feeds{dir: spool}, observe: observe}
}

// Poll hands over what was written since the last call, and returns. It reports whether the end of the run was told, as
// Follow describes it, and everything is handed over. The error is nil before that unless the folder cannot be read;
// then it says which readings are damaged or cut off.
func (f *Follower) Poll() (over bool, err error) {
	over = ended(f.feeds.dir) // first: what is written before the end is told is read after this
	switch err := f.feeds.look(over); {
	case err == nil:
		f.seen = true
	case f.seen && errors.Is(err, fs.ErrNotExist): // what is open can still be read
		over = true
	default:
		return false, fmt.Errorf("follow: %w", err)
	}
	for _, s := range f.feeds.list {
		for f.take(s, over) {
		}
		if over {
			err = errors.Join(err, s.stats.Err)
		}
	}
	return over, err
}

// take hands over the next batch of a source. It reports whether there was one.
func (f *Follower) take(s *feed, over bool) bool {
	part, at, values, err := s.next(over)
	if err != nil {
		return false
	}
	h := &s.headers[part]
	f.rows.clear()
	f.rows.add(at, values, len(h.Sensors))
	for i := range h.Sensors {
		f.observe(*h, i, f.rows.at, f.rows.columns[i])
	}
	return true
}

// Close releases the files.
func (f *Follower) Close() { f.feeds.close() }

// ended reports whether the end of the run was told: Room.Save has written.
func ended(spool *Folder) bool {
	file, err := spool.Read(stateFile)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }() // it was only read
	var first [1]byte
	_, err = io.ReadFull(file, first[:])
	return err == nil && first[0] != ' '
}

// sleep returns nil after d, and the error of ctx if that is done before.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
