package inventory

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
)

// identity tells folders and files apart, whatever their paths are. It includes the time at which a file was made, if the
// file system knows it, because the number of a deleted file is used again.
type identity struct {
	device, inode uint64
	made          int64
}

// kind is what stands behind a name.
type kind uint8

const (
	special kind = iota // a socket, a FIFO, a device
	regular
	directory
	link
	unknown // the folder's entry does not say
)

// status is what the walk needs to know of an entry.
type status struct {
	kind  kind
	size  int64
	names uint64 // how many names the file has
	id    identity
}

// walk goes once through all areas.
type walk struct {
	ctx     context.Context
	options Options
	classes *classes
	seed    maphash.Seed
	// see is called for each regular file. ours says that the file lies in a folder of ours.
	see func(key uint64, size int64, class uint32, ours bool)
	// ours are folders that ergon itself writes to.
	ours []identity
	// roots are the areas by their folders. A walked area is not walked again.
	roots  map[identity]int
	walked []bool
	// errs and failed are those of each area: failed says why it was not walked at all.
	errs   []Errors
	failed []error
	once   map[uint64]struct{} // the keys of files with several names
	checks bool                // links may be followed to see whether they lead anywhere
	above  map[identity]struct{}
	stack  []level
	names  []byte // the folders that are still to be walked, those of each level behind those of the level above; each ends with 0
	path   []byte // of the present folder below its area, with a slash behind each name
	buffer []byte
}

// level is a folder between the area and the present one.
type level struct {
	folder folder
	open   bool
	id     identity
	key    uint64
	area   int
	ours   bool
	names  int // where its folders begin in walk.names
	path   int // how long the path above it is, below its area
	outer  int // how much of walk.path belongs to an outer area
}

func newWalk(ctx context.Context, o Options, c *classes, seed maphash.Seed) *walk {
	return &walk{
		ctx: ctx, options: o, classes: c, seed: seed, roots: map[identity]int{}, walked: make([]bool, len(o.Areas)),
		errs: make([]Errors, len(o.Areas)), failed: make([]error, len(o.Areas)), once: map[uint64]struct{}{},
		checks: os.Geteuid() != 0, above: map[identity]struct{}{}, buffer: make([]byte, 64<<10),
	}
}

// all walks the areas in this order. It returns an error only if the context is done.
func (w *walk) all(order []int) error {
	for _, i := range order {
		if id, err := identify(w.options.Areas[i].Path); err == nil {
			if _, twice := w.roots[id]; !twice {
				w.roots[id] = i
			}
		}
	}
	for _, i := range order {
		if w.walked[i] {
			continue
		}
		if err := w.area(i); err != nil {
			return err
		}
	}
	return nil
}

// area walks an area from its own path.
func (w *walk) area(i int) error {
	w.walked[i] = true
	w.failed[i] = w.begin(i)
	for len(w.stack) > 0 {
		if err := w.ctx.Err(); err != nil {
			w.abandon()
			return err
		}
		w.step()
	}
	return nil
}

// begin enters the folder of an area, unless it was walked on the way.
func (w *walk) begin(i int) error {
	path := w.options.Areas[i].Path
	w.path = w.path[:0]
	if s, name, lone := loneFile(path); lone {
		w.file(&level{area: i, key: w.rootKey(i)}, name, s)
		return nil
	}
	root, err := openRoot(path)
	if err != nil {
		return err
	}
	id, err := root.identity()
	if err != nil {
		root.close()
		return err
	}
	if first, is := w.roots[id]; is && first != i && w.walked[first] {
		root.close()
		return nil
	}
	w.enter(root, level{area: i, key: w.rootKey(i)}, id)
	return nil
}

// rootKey is the key of an area's folder. It does not depend on how the walk came there.
func (w *walk) rootKey(area int) uint64 { return mixed(uint64(area)+1, 0) }

// step walks the last of the present folder's folders, or leaves the present folder.
func (w *walk) step() {
	top := &w.stack[len(w.stack)-1]
	if len(w.names) == top.names {
		w.leave()
		return
	}
	from := bytes.LastIndexByte(w.names[top.names:len(w.names)-1], 0) + 1 + top.names
	name := w.names[from:]
	w.names = w.names[:from] // name is valid until something is added
	sub, err := top.folder.open(name)
	if err != nil {
		w.fault(top.area, name, err)
		return
	}
	id, err := sub.identity()
	if err != nil {
		sub.close()
		w.fault(top.area, name, err)
		return
	}
	if _, loop := w.above[id]; loop {
		sub.close()
		w.errs[top.area].Loops++
		return
	}
	name = name[:len(name)-1]
	next := level{area: top.area, ours: top.ours, key: mixed(top.key, maphash.Bytes(w.seed, name)), path: len(w.path), outer: top.outer}
	w.path = append(append(w.path, name...), '/')
	if inner, is := w.roots[id]; is && inner != top.area {
		if w.walked[inner] {
			sub.close()
			w.path = w.path[:next.path]
			return
		}
		w.walked[inner] = true
		next.area, next.key, next.outer = inner, w.rootKey(inner), len(w.path)
	}
	if len(w.stack) >= keptOpen {
		top.folder.close()
		top.open = false
	}
	w.enter(sub, next, id)
}

// enter counts the files of a folder and notes its folders.
func (w *walk) enter(f folder, at level, id identity) {
	at.folder, at.open, at.id, at.names = f, true, id, len(w.names)
	for _, ours := range w.ours {
		at.ours = at.ours || ours == id
	}
	w.above[id] = struct{}{}
	w.stack = append(w.stack, at)
	top := &w.stack[len(w.stack)-1]
	err := f.list(w.buffer, func(name []byte, k kind) bool {
		w.entry(top, name, k)
		return w.ctx.Err() == nil
	})
	if err != nil {
		w.fault(at.area, nil, err)
	}
}

// leave goes back to the folder above.
func (w *walk) leave() {
	top := w.stack[len(w.stack)-1]
	w.stack = w.stack[:len(w.stack)-1]
	delete(w.above, top.id)
	w.path = w.path[:top.path]
	if len(w.stack) > 0 {
		up := &w.stack[len(w.stack)-1]
		if !up.open && top.open {
			w.again(up, top.folder)
		}
		if !up.open { // its folders cannot be reached any more
			w.errs[up.area].Vanished += int64(bytes.Count(w.names[up.names:], []byte{0}))
			w.names = w.names[:up.names]
		}
	}
	if top.open {
		top.folder.close()
	}
}

// again opens a folder from one of its folders, unless that was moved elsewhere.
func (w *walk) again(up *level, from folder) {
	f, err := from.open([]byte("..\x00"))
	if err != nil {
		return
	}
	if id, err := f.identity(); err != nil || id != up.id {
		f.close()
		return
	}
	up.folder, up.open = f, true
}

// abandon closes all folders.
func (w *walk) abandon() {
	for _, l := range w.stack {
		if l.open {
			l.folder.close()
		}
	}
	w.stack = nil
}

// entry takes one entry of the present folder. Its name ends with 0.
func (w *walk) entry(at *level, name []byte, k kind) {
	var s status
	if k == unknown || k == regular {
		if err := at.folder.status(name, &s); err != nil {
			w.fault(at.area, name, err)
			return
		}
		k = s.kind
	}
	switch k {
	case regular:
		w.file(at, name[:len(name)-1], s)
	case directory:
		w.names = append(w.names, name...)
	case link:
		if (w.checks || at.folder.ofRoot(name)) && at.folder.dangles(name) {
			w.errs[at.area].Dangling++
		}
	case special, unknown:
	}
}

// file counts a regular file.
func (w *walk) file(at *level, name []byte, s status) {
	key := mixed(at.key, maphash.Bytes(w.seed, name))
	if w.options.Once {
		key = w.identityKey(s.id)
		if s.names > 1 {
			if _, counted := w.once[key]; counted {
				return
			}
			w.once[key] = struct{}{}
		}
	}
	w.see(key, s.size, w.classes.of(at.area, w.path[at.outer:], name), at.ours)
}

// identityKey is the key of a file that may have several names.
func (w *walk) identityKey(id identity) uint64 {
	return maphash.Comparable(w.seed, id)
}

// mixed joins the key of a folder and the hash of a name.
func mixed(folder, name uint64) uint64 {
	k := (folder ^ name) * 0x9e3779b97f4a7c15
	k ^= k >> 32
	k *= 0xd6e8feb86659fd93
	return k ^ k>>32
}

// fault counts an error of an area. name is the entry of the present folder; nil is the folder itself.
func (w *walk) fault(area int, name []byte, err error) {
	e := &w.errs[area]
	if vanished(err) {
		e.Vanished++
		return
	}
	e.Unread++
	if e.First == nil {
		path := filepath.Join(w.options.Areas[area].Path, string(w.path[w.stack[len(w.stack)-1].outer:]), string(bytes.TrimRight(name, "\x00")))
		e.First = fmt.Errorf("%s: %w", path, err)
	}
}
