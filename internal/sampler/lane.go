package sampler

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ergon-energy/ergon/sensors"
)

// lane reads its sources at one beat.
type lane struct {
	interval time.Duration
	shared   bool // further readers may be added
	readers  []*reader
	mu       sync.Mutex // held during readings: those at marks come from another goroutine
	ending   atomic.Bool
	target   atomic.Int64 // the process to follow from the next reading on; 0 for none
	beat     *beat
	soon     *beat         // wakes once, for the reading soon after the first one; nil if there is none
	beats    int64         // the number of beats since the first reading
	first    chan struct{} // closed after the first reading
	done     chan struct{} // closed after the last reading
	closed   bool          // done was seen
}

func newLane(interval time.Duration, shared bool, r *reader) *lane {
	return &lane{
		interval: interval, shared: shared, readers: []*reader{r},
		first: make(chan struct{}), done: make(chan struct{}),
	}
}

// start makes the beat. Beats are counted from the first reading, even if the runner took it. All beats since the lane last
// counted them were missed, except for the number stands, which readings count for.
func (l *lane) start(began time.Time, stands int64) (err error) {
	gone := time.Since(began)
	passed := int64(gone / l.interval)
	for _, r := range l.readers {
		r.stats.Missed += max(0, passed-l.beats-stands)
	}
	l.beats = passed
	l.beat, err = newBeat(l.interval, l.interval-gone%l.interval)
	return err
}

// run takes the first reading, then one at every beat, and the last reading after end.
func (l *lane) run(began time.Time) {
	defer close(l.done)
	l.open(began)
	if l.isFine() && time.Since(began) < soonAfter && l.interval > 2*soonAfter {
		l.soon, _ = newBeat(soonAfter, soonAfter) // without it, the bound is wider
	}
	close(l.first)
	runtime.Gosched() // the answer to begin goes out before the files are made
	l.mu.Lock()
	for _, r := range l.readers {
		r.record(began)
	}
	l.mu.Unlock()
	if l.soon != nil {
		if _, err := l.soon.wait(); err == nil && !l.ending.Load() {
			l.readSoon(began)
		}
	}
	l.loop(began)
	l.finish(began)
	for _, r := range l.readers {
		r.end(began)
	}
}

// open takes the first readings. Readers that wait for an edge come last, so that the edge is close to the target's start.
func (l *lane) open(began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.readers {
		if !r.aligned() {
			r.read(began)
		}
	}
	for _, r := range l.readers {
		if r.aligned() {
			r.align(began, false)
		}
		r.tell()
	}
}

// loop reads at every beat until end is called.
func (l *lane) loop(began time.Time) {
	flushed := time.Now()
	for !l.ending.Load() {
		n, err := l.beat.wait()
		if err != nil || l.ending.Load() {
			return
		}
		l.beats += n
		if pid := l.target.Swap(0); pid != 0 {
			l.follow(int(pid))
		}
		now := time.Now()
		l.mu.Lock()
		late := now.Sub(began.Add(time.Duration(l.beats)*l.interval)) > l.interval/2
		for _, r := range l.readers {
			r.stats.Missed += n - 1
			if late {
				r.stats.Late++
			}
			r.read(began)
			r.tell()
		}
		if now.Sub(flushed) >= flushEvery {
			flushed = now
			for _, r := range l.readers {
				r.flush(began)
			}
		}
		l.mu.Unlock()
	}
}

// readAtMark reads the sources whose counters are needed at a mark.
func (l *lane) readAtMark(began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.readers {
		if r.atMarks && !r.over && (r.memory || r.spool != nil) { // the first reading is recorded first
			r.read(began)
		}
	}
}

// finish takes the last readings.
func (l *lane) finish(began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pid := l.target.Swap(0); pid != 0 {
		l.follow(int(pid))
	}
	unseen := int64(time.Since(began)/l.interval) - l.beats - 1 // the last reading counts for one beat
	for _, r := range l.readers {
		r.stats.Missed += max(0, unseen)
		if r.aligned() {
			r.align(began, true)
		}
	}
	for _, r := range l.readers {
		if !r.aligned() {
			r.read(began)
		}
	}
	for _, r := range l.readers {
		r.over = true
	}
	if time.Since(began) >= confirmFrom {
		for _, r := range l.readers {
			r.confirm()
		}
	}
}

// follow passes the target's process id on to the sources that follow it.
func (l *lane) follow(pid int) {
	for _, r := range l.readers {
		if f, ok := r.source.(sensors.Follower); ok {
			if err := f.Follow(pid); err != nil && r.doubt == "" {
				r.doubt = fmt.Sprintf("follow process %d: %v", pid, err)
			}
		}
	}
}

// end asks for the last reading. The beat stays open until done, so that hurry cannot meet a reused descriptor.
func (l *lane) end() {
	l.ending.Store(true)
	if l.soon != nil {
		l.soon.hurry()
	}
	if l.beat != nil {
		l.beat.hurry()
	}
}
