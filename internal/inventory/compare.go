package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Snapshot is the result of the first count. It is for one Compare.
type Snapshot struct {
	options Options
	classes *classes
	seed    maphash.Seed
	order   []int    // the areas, an outer one before those within it
	within  []string // the name of the innermost area around each
	counts  []Amount // by class
	files   *files
	errs    []Errors
	failed  []error
}

// Take counts the files for the first time. It returns an error only if the context is done.
func Take(ctx context.Context, o Options) (*Snapshot, error) {
	s := &Snapshot{options: o, classes: newClasses(o.Areas), seed: maphash.MakeSeed(), files: newFiles(cmp.Or(o.MostFiles, MostFiles))}
	s.nest()
	w := newWalk(ctx, o, s.classes, s.seed)
	w.see = func(key uint64, size int64, class uint32, _ bool) {
		s.counts = counted(s.counts, class, size)
		s.files.add(key, size, class)
	}
	if err := w.all(s.order); err != nil {
		return nil, err
	}
	s.errs, s.failed = w.errs, w.failed
	s.files.sort()
	return s, nil
}

// counted adds a file to the amounts of the classes.
func counted(all []Amount, class uint32, size int64) []Amount {
	for len(all) <= int(class) {
		all = append(all, Amount{})
	}
	all[class].add(size)
	return all
}

// nest finds out which areas lie within which.
func (s *Snapshot) nest() {
	areas := s.options.Areas
	paths := make([]string, len(areas))
	s.within = make([]string, len(areas))
	for i, a := range areas {
		paths[i] = filepath.Clean(a.Path)
		if actual, err := filepath.EvalSymlinks(a.Path); err == nil {
			paths[i] = actual
		}
		s.order = append(s.order, i)
	}
	slices.SortStableFunc(s.order, func(a, b int) int { return len(paths[a]) - len(paths[b]) })
	for i, p := range paths {
		longest := -1
		for j, q := range paths {
			around := i != j && q != p && strings.HasPrefix(p, strings.TrimSuffix(q, string(filepath.Separator))+string(filepath.Separator))
			if around && len(q) > longest {
				longest, s.within[i] = len(q), areas[j].Name
			}
		}
	}
}

// Compare counts the files again. ours are folders that ergon itself writes to: a file that is new in them does not count,
// and an old one counts as it was. It returns an error only if the context is done.
func (s *Snapshot) Compare(ctx context.Context, ours ...string) ([]Counted, error) {
	w := newWalk(ctx, s.options, s.classes, s.seed)
	for _, path := range ours {
		if id, err := identify(path); err == nil {
			w.ours = append(w.ours, id)
		}
	}
	var rows []Row
	row := func(class uint32) *Row {
		for len(rows) <= int(class) {
			rows = append(rows, Row{})
		}
		return &rows[class]
	}
	remembered := s.files.shard != nil
	w.see = func(key uint64, size int64, class uint32, ours bool) {
		var old *file
		if remembered {
			old = s.files.find(key)
		}
		if ours && remembered {
			if old == nil {
				return
			}
			size = max(old.size, ^old.size)
		}
		r := row(class)
		r.After.add(size)
		switch {
		case !remembered:
		case old == nil || old.size < 0 || old.class != class:
			r.Made.add(size)
		default:
			switch more := size - old.size; {
			case more > 0:
				r.Grown.add(more)
			case more < 0:
				r.Shrunk.add(-more)
			}
			old.size = ^old.size
		}
	}
	if err := w.all(s.order); err != nil {
		return nil, err
	}
	for class, before := range s.counts {
		row(uint32(class)).Before = before
	}
	if remembered {
		s.files.left(func(size int64, class uint32) { row(class).Deleted.add(size) })
	}
	return s.areas(w, rows, remembered), nil
}

// areas sorts the rows to their areas.
func (s *Snapshot) areas(w *walk, rows []Row, remembered bool) []Counted {
	out := make([]Counted, len(s.options.Areas))
	for i, a := range s.options.Areas {
		c := &out[i]
		*c = Counted{Area: a, Within: s.within[i], Errors: w.errs[i], FileSystem: fileSystem(a.Path)}
		if c.Errors.First == nil {
			c.Errors.First = s.errs[i].First
		}
		before, after := s.failed[i], w.failed[i]
		gone := errors.Is(after, fs.ErrNotExist)
		switch {
		case errors.Is(before, fs.ErrNotExist) && gone:
			c.Err = errNoFolder
		case before != nil && !errors.Is(before, fs.ErrNotExist):
			c.Err = before
		case after != nil && !gone:
			c.Err = after
		case !remembered:
			c.Unknown = fmt.Errorf("%w (at most %d)", errTooMany, s.files.most)
		}
	}
	for class, r := range rows {
		of := s.classes.all[class]
		c := &out[of.area]
		if r.Before.Files == 0 && r.After.Files == 0 || c.Err != nil {
			continue
		}
		r.Groups = of.groups
		c.Rows = append(c.Rows, r)
	}
	for i := range out {
		out[i].merge()
		slices.SortFunc(out[i].Rows, func(a, b Row) int { return slices.Compare(a.Groups, b.Groups) })
	}
	return out
}

// merge joins the smallest rows to that of Other if there are too many.
func (c *Counted) merge() {
	if len(c.Rows) <= MostTypes {
		return
	}
	other := Row{Groups: make([]string, len(c.Area.Groups()))}
	for i := range other.Groups {
		other.Groups[i] = Other
	}
	isOther := func(r Row) bool { return slices.Equal(r.Groups, other.Groups) }
	slices.SortFunc(c.Rows, func(a, b Row) int {
		return cmp.Or(
			cmp.Compare(max(b.Before.Bytes, b.After.Bytes), max(a.Before.Bytes, a.After.Bytes)),
			cmp.Compare(b.After.Files, a.After.Files), slices.Compare(a.Groups, b.Groups))
	})
	kept := c.Rows[:0]
	for _, r := range c.Rows {
		switch {
		case isOther(r):
			other.join(r)
		case len(kept) < MostTypes-1:
			kept = append(kept, r)
		default:
			other.join(r)
			c.Merged++
		}
	}
	c.Rows = append(kept, other)
}
