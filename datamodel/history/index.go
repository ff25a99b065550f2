package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// The index holds what a list needs of each manifest, so that a list of ten thousand runs reads one file. An entry counts as
// long as the manifest has the same inode, size, and times of its last changes. Whoever lists runs writes the index if enough
// manifests had to be read. It may be removed at any time. It can be wrong only if the file system lies:
//
//   - it is believed only if its digest is right and it belongs to the user of this process;
//   - a manifest that changed in the last seconds gets no entry, since it could change again within a tick of the clock.
//
// Its name has the number of the user: in a shared folder each user has an index of the runs that this user may read, and
// nobody else may read it.
const (
	indexName = "_index-"
	// indexFirst begins an index. Another version is ignored.
	indexFirst = "ergon.index/4\n"
	// indexLimit bounds the index in bytes; a run takes about 700.
	indexLimit = 512 << 20
	// fewRuns is how many manifests are read rather than looked up, and how many must be new before the index is written.
	fewRuns = 64
	// settled is how long a manifest must not have changed. Some file systems count times in steps of two seconds.
	settled = 3 * time.Second
)

// stamp changes whenever a file is written or replaced.
type stamp struct {
	inode, size uint64
	// modified and changed are in ns since 1970; changed is 0 if the system does not tell.
	modified, changed int64
}

// index is what is known of manifests before they are read.
type index struct {
	h     History
	known map[string]indexed // by the path below the results folder
	fresh atomic.Int64       // manifests that were read
	used  bool
	mu    sync.Mutex
	next  map[string]indexed // the entries of the next index
	now   time.Time
}

type indexed struct {
	stamp stamp
	run   datamodel.Run
}

// openIndex reads the index if it helps with so many runs.
func (h History) openIndex(runs int) *index {
	x := &index{h: h, now: time.Now()}
	if runs <= fewRuns {
		return x
	}
	name, ok := h.indexName()
	if !ok {
		return x
	}
	x.used, x.next = true, make(map[string]indexed, runs)
	results, err := store.OpenFolder(h.Results)
	if err != nil {
		return x
	}
	defer func() { _ = results.Close() }() // it was only read
	if text, err := results.ReadOwn(name, indexLimit); err == nil {
		x.known, _ = decode(text) // an index that cannot be read is none
	}
	return x
}

// indexName returns the name of this user's index. Root has none in the folder of another user, who could not remove it.
func (h History) indexName() (name string, ok bool) {
	results, err := store.OpenFolder(h.Results)
	if err != nil {
		return "", false
	}
	defer func() { _ = results.Close() }() // it was only read
	uid := os.Geteuid()
	if _, own := results.Owner(); uid == 0 && !own {
		return "", false
	}
	return indexName + strconv.Itoa(uid), true
}

// read returns the run in a folder, from the index if its entry still counts.
func (x *index) read(dir string) Entry {
	if !x.used {
		return read(dir)
	}
	path := filepath.Join(dir, store.ManifestFile)
	s, err := stampOf(path)
	if err != nil {
		return read(dir)
	}
	at := x.h.inside(dir)
	if known, ok := x.known[at]; ok && known.stamp == s {
		x.keep(at, known)
		return Entry{Dir: dir, Run: known.run}
	}
	e := read(dir)
	x.fresh.Add(1)
	after, err := stampOf(path)
	if e.Err == nil && err == nil && after == s && x.old(s) {
		x.keep(at, indexed{s, e.Run})
	}
	return e
}

// old reports whether a file has not changed for a while.
func (x *index) old(s stamp) bool {
	limit := x.now.Add(-settled).UnixNano()
	return s.modified < limit && s.changed < limit
}

func (x *index) keep(at string, entry indexed) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.next[at] = entry
}

// save writes the index anew if it is worth it. If not all runs were read, the others keep their entries.
func (x *index) save(all bool) {
	if !x.used || x.fresh.Load() < fewRuns {
		return
	}
	for at, entry := range x.known {
		if _, ok := x.next[at]; !ok && !all {
			x.next[at] = entry
		}
	}
	name, ok := x.h.indexName()
	if !ok {
		return
	}
	results, err := store.OpenFolder(x.h.Results)
	if err != nil {
		return
	}
	defer func() { _ = results.Close() }()      // what was written counts or not
	_ = results.Put(name, true, encode(x.next)) // without an index everything works, more slowly
}

// encode returns the index as bytes: the first line, the digest of the rest, the number of runs, and the runs.
func encode(entries map[string]indexed) []byte {
	c := &coder{words: map[string]uint64{}}
	n := uint64(len(entries))
	c.number(&n)
	for at, entry := range entries {
		c.text(&at)
		c.entry(&entry)
	}
	sum := sha256.Sum256(c.out)
	return bytes.Join([][]byte{[]byte(indexFirst), sum[:], c.out}, nil)
}

var errIndex = errors.New("not an index of this version")

// decode reads an index.
func decode(text []byte) (map[string]indexed, error) {
	text, ok := bytes.CutPrefix(text, []byte(indexFirst))
	if !ok || len(text) < sha256.Size {
		return nil, errIndex
	}
	sum := sha256.Sum256(text[sha256.Size:])
	if !bytes.Equal(sum[:], text[:sha256.Size]) {
		return nil, errIndex
	}
	c := &coder{in: string(text[sha256.Size:]), reading: true}
	var n uint64
	c.number(&n)
	entries := make(map[string]indexed, min(n, uint64(len(c.in))))
	for range n {
		var at string
		var entry indexed
		c.text(&at)
		c.entry(&entry)
		if c.bad {
			return nil, errIndex
		}
		entries[at] = entry
	}
	if c.bad || c.in != "" {
		return nil, errIndex
	}
	return entries, nil
}

// coder writes values to out, or reads them from in: one description of the format serves both.
type coder struct {
	reading bool
	out     []byte
	in      string
	bad     bool
	// words are the texts that recur, each written once.
	words  map[string]uint64
	known  []string
	floats []float64
}

func (c *coder) number(v *uint64) {
	if !c.reading {
		c.out = binary.AppendUvarint(c.out, *v)
		return
	}
	var n int
	if *v, n = uvarint(c.in); n <= 0 {
		c.fail()
		return
	}
	c.in = c.in[n:]
}

// uvarint is binary.Uvarint of a string.
func uvarint(s string) (v uint64, n int) {
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		v |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

func (c *coder) fail() { c.bad, c.in = true, "" }

// count writes or reads how many values follow, each of which takes at least one byte.
func (c *coder) count(n int) int {
	v := uint64(n)
	c.number(&v)
	if c.reading && v > uint64(len(c.in)) {
		c.fail()
		return 0
	}
	return int(v)
}

// text is any text.
func (c *coder) text(v *string) {
	n := c.count(len(*v))
	if !c.reading {
		c.out = append(c.out, *v...)
		return
	}
	*v, c.in = c.in[:n], c.in[n:]
}

// word is a text that recurs.
func (c *coder) word(v *string) {
	if !c.reading {
		at, ok := c.words[*v]
		if !ok {
			at = uint64(len(c.words))
			c.words[*v] = at
		}
		c.number(&at)
		if !ok {
			c.text(v)
		}
		return
	}
	var at uint64
	switch c.number(&at); {
	case c.bad:
	case at < uint64(len(c.known)):
		*v = c.known[at]
	case at == uint64(len(c.known)):
		c.text(v)
		c.known = append(c.known, *v)
	default:
		c.fail()
	}
}

func (c *coder) signed(v *int64) {
	u := uint64(*v)<<1 ^ uint64(*v>>63)
	c.number(&u)
	*v = int64(u>>1) ^ -int64(u&1)
}

// float is a number that may be missing.
func (c *coder) float(v **float64) {
	there := *v != nil
	c.flag(&there)
	if !there {
		return
	}
	if !c.reading {
		c.out = binary.BigEndian.AppendUint64(c.out, math.Float64bits(**v))
		return
	}
	if len(c.in) < 8 {
		c.fail()
		return
	}
	if len(c.floats) == 0 { // one allocation for many
		c.floats = make([]float64, 1024)
	}
	c.floats[0] = math.Float64frombits(binary.BigEndian.Uint64([]byte(c.in[:8])))
	*v, c.in, c.floats = &c.floats[0], c.in[8:], c.floats[1:]
}

func (c *coder) flag(v *bool) {
	n := uint64(0)
	if *v {
		n = 1
	}
	c.number(&n)
	*v = n != 0
}

// integer is a number that may be missing.
func (c *coder) integer(v **int) {
	there := *v != nil
	c.flag(&there)
	if !there {
		return
	}
	var n int64
	if *v != nil {
		n = int64(**v)
	}
	c.signed(&n)
	i := int(n)
	*v = &i
}

// time keeps the place of the clock: in manifests it is UTC.
func (c *coder) time(v *time.Time) {
	s, ns := v.Unix(), int64(v.Nanosecond())
	c.signed(&s)
	c.signed(&ns)
	if c.reading {
		*v = time.Unix(s, ns).UTC()
	}
}

// entry is the manifest of one run. A change of it needs another indexFirst.
func (c *coder) entry(e *indexed) {
	c.number(&e.stamp.inode)
	c.number(&e.stamp.size)
	c.signed(&e.stamp.modified)
	c.signed(&e.stamp.changed)
	r := &e.run
	c.text(&r.ID)
	c.word(&r.Project)
	c.list(len(r.Command), func(n int) { r.Command = make([]string, n) }, func(i int) { c.word(&r.Command[i]) })
	c.list(len(r.CommandBytes), func(n int) { r.CommandBytes = make([][]byte, n) }, func(i int) {
		s := string(r.CommandBytes[i])
		c.text(&s)
		r.CommandBytes[i] = []byte(s)
	})
	c.flag(&r.NoArguments)
	c.word(&r.Folder)
	outcome := string(r.Outcome)
	c.word(&outcome)
	r.Outcome = datamodel.Outcome(outcome)
	c.word(&r.Reason)
	c.integer(&r.ExitCode)
	c.word(&r.Signal)
	c.time(&r.Start)
	c.float(&r.WallTime)
	c.word(&r.Version)
	c.word(&r.Host.Name)
	c.word(&r.Host.CPU)
	cpus := uint64(r.Host.CPUs)
	c.number(&cpus)
	r.Host.CPUs = int(cpus)
	c.word(&r.Host.Kernel)
	c.word(&r.Host.Scaling.Governor)
	c.git(&r.Host.Git)
	c.replayed(&r.Replayed)
	c.summary(&r.Summary)
	c.bench(&r.Bench)
}

// bench is a bench without its rounds, which no manifest has.
func (c *coder) bench(v **datamodel.Bench) {
	there := *v != nil
	if c.flag(&there); !there {
		return
	}
	if *v == nil {
		*v = &datamodel.Bench{}
	}
	b := *v
	c.list(len(b.Commands), func(n int) { b.Commands = make([]datamodel.BenchCommand, n) }, func(i int) {
		one := &b.Commands[i]
		c.word(&one.Name)
		c.list(len(one.Command), func(n int) { one.Command = make([]string, n) }, func(i int) { c.word(&one.Command[i]) })
	})
	c.list(len(b.Results), func(n int) { b.Results = make([]datamodel.BenchResult, n) }, func(i int) {
		one := &b.Results[i]
		rounds, failed := uint64(one.Rounds), uint64(one.Failed)
		c.number(&rounds)
		c.number(&failed)
		one.Rounds, one.Failed = int(rounds), int(failed)
		c.summary(&one.Medians)
	})
	ended := string(b.Ended)
	c.word(&ended)
	b.Ended = datamodel.BenchEnd(ended)
}

// list writes or reads how many values there are, and each.
func (c *coder) list(n int, prepare func(n int), one func(i int)) {
	there := n
	if n = c.count(n); c.reading && n > 0 {
		prepare(n)
	}
	if !c.reading {
		n = there
	}
	for i := 0; i < n && !c.bad; i++ {
		one(i)
	}
}

func (c *coder) git(v **sensors.Git) {
	there := *v != nil
	c.flag(&there)
	if !there {
		return
	}
	if *v == nil {
		*v = &sensors.Git{}
	}
	g := *v
	c.word(&g.Commit)
	c.word(&g.Branch)
	c.word(&g.Reason)
	known := g.Dirty != nil
	if c.flag(&known); !known {
		return
	}
	dirty := g.Dirty != nil && *g.Dirty
	c.flag(&dirty)
	g.Dirty = &dirty
}

func (c *coder) replayed(v **datamodel.Replay) {
	there := *v != nil
	if c.flag(&there); !there {
		return
	}
	if *v == nil {
		*v = &datamodel.Replay{}
	}
	c.word(&(*v).Tape)
}

func (c *coder) summary(v *map[string]datamodel.Figure) {
	names := make([]string, 0, len(*v))
	for name := range *v {
		names = append(names, name)
	}
	into := *v
	c.list(len(names), func(n int) {
		into = make(map[string]datamodel.Figure, n)
		names = make([]string, n)
	}, func(i int) {
		c.word(&names[i])
		f := into[names[i]]
		unit, from, bound := string(f.Unit), string(f.Provenance), string(f.Bound)
		c.float(&f.Value)
		c.word(&unit)
		c.word(&from)
		c.float(&f.Uncertainty)
		c.word(&f.Absence)
		c.word(&f.Reason)
		c.word(&bound)
		c.float(&f.AtMost)
		c.list(len(f.Parts), func(n int) { f.Parts = make([]datamodel.Part, n) }, func(i int) {
			kind := string(f.Parts[i].Kind)
			c.word(&kind)
			c.word(&f.Parts[i].Name)
			f.Parts[i].Kind = datamodel.PartKind(kind)
		})
		f.Unit, f.Provenance, f.Bound = units.Unit(unit), sensors.Provenance(from), datamodel.Bound(bound)
		if c.reading {
			into[names[i]] = f
		}
	})
	*v = into
}
