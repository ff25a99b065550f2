package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// feeds are the sources of a spool folder, each with its parts, as they are found there.
type feeds struct {
	dir   *Folder         // nil: there are none
	known map[string]bool // the files that were opened, or cannot be read
	list  []*feed         // in the order of the names
	cost  int64           // of all headers in memory, at most, in bytes
}

// feed reads the parts of one source as one stream of batches.
type feed struct {
	stats   SpoolStats
	parts   []*SpoolReader // in the order of their numbers; nil if read to its end
	headers []SpoolHeader  // of the parts
	reading int            // the part that is read
	whole   int            // parts that were read and that their writer has closed
	torn    bool           // the part before this one was not closed, and no reading came since
	started bool           // a batch was read
	bytes   int64          // of readings in all parts when they were opened
}

// look opens the files that are new. If the folder is still written to, a file whose header is not whole yet is left
// for the next time; else it is noted that the file cannot be read.
func (f *feeds) look(over bool) error {
	names, err := f.dir.List()
	if err != nil {
		return err
	}
	slices.Sort(names)
	if f.known == nil {
		f.known = make(map[string]bool)
	}
	for _, name := range names {
		if strings.HasSuffix(name, spoolExt) && !f.known[name] {
			path := filepath.Join(f.dir.path, name)
			r, err := openSpool(f.dir, name)
			if !over && errors.Is(err, io.ErrUnexpectedEOF) {
				continue
			}
			f.known[name] = true
			if err == nil {
				if err = f.afford(r); err != nil {
					_ = r.Close() // it was only read
					r = nil
				}
			}
			f.add(path, r, err)
		}
	}
	return nil
}

// afford refuses a file with which the folder has more than its sum allows.
func (f *feeds) afford(r *SpoolReader) error {
	f.cost += r.cost
	switch {
	case len(f.known) > folderFilesLimit:
		return fmt.Errorf("more than %d files: %w", folderFilesLimit, ErrForeign)
	case f.cost > jsonLimit:
		return fmt.Errorf("its header and those before it: more than %d MiB in memory: %w", jsonLimit>>20, ErrForeign)
	}
	return nil
}

// keep adds readings that are in memory, as the last part of their source.
func (f *feeds) keep(rows Rows) {
	rows.Header.Part = math.MaxInt32
	name := escape(rows.Header.Source) + spoolExt // keeps the order of the sources the same as with files
	path := name
	if f.dir != nil {
		path = filepath.Join(f.dir.path, name)
	}
	f.add(path, &SpoolReader{
		rows: rows, path: name, header: rows.Header, left: int64(8 * (len(rows.At) + len(rows.Values))),
	}, nil)
}

// add puts a file with its source. If the file could not be opened, err says why.
func (f *feeds) add(path string, r *SpoolReader, err error) {
	if err != nil {
		f.list = append(f.list, &feed{stats: SpoolStats{Path: path, Err: err, Unread: unread(err)}})
		f.sort()
		return
	}
	h := r.Header()
	i := slices.IndexFunc(f.list, func(s *feed) bool {
		return len(s.headers) > 0 && s.headers[0].Source == h.Source && s.headers[0].Host == h.Host
	})
	if i < 0 {
		i = len(f.list)
		f.list = append(f.list, &feed{})
	}
	s := f.list[i]
	at, _ := slices.BinarySearchFunc(s.headers, h.Part, func(h SpoolHeader, part int) int { return cmp.Compare(h.Part, part) })
	if at < s.reading { // a later part was read already
		s.fail(fmt.Errorf("spool %s: part %d came too late", path, h.Part))
		_ = r.Close() // it was only read
		return
	}
	s.parts, s.headers = slices.Insert(s.parts, at, r), slices.Insert(s.headers, at, h)
	s.bytes += r.left
	if at == 0 {
		s.stats.Path, s.stats.Header = path, h
	}
	f.sort()
}

// sort puts the sources into the order of the names of their first files.
func (f *feeds) sort() {
	slices.SortStableFunc(f.list, func(a, b *feed) int { return strings.Compare(a.stats.Path, b.stats.Path) })
}

// close releases the files.
func (f *feeds) close() {
	for _, s := range f.list {
		for s.reading < len(s.parts) {
			s.leave()
		}
	}
}

// next returns the next batch of the source and the number of its part: its times and, row by row, its values. They are
// valid until the next call. It returns io.EOF if there is none: for now, or if over is true for good. While over is
// false it waits for a part to be closed before it goes on to the next one.
func (s *feed) next(over bool) (part int, at []time.Duration, values []float64, err error) {
	for s.reading < len(s.parts) {
		r := s.parts[s.reading]
		if !over && s.reading == s.whole && r.Header().Part != s.whole {
			return 0, nil, nil, io.EOF // a part before it is not there yet
		}
		at, values, err := r.Next()
		if err != nil && r.resume() {
			at, values, err = r.Next()
		}
		switch {
		case err == nil && s.started && at[0] < s.stats.Last:
			s.fail(fmt.Errorf("spool %s: time goes back from %v to %v", r.path, s.stats.Last, at[0]))
		case err == nil:
			s.count(at)
			return s.reading, at, values, nil
		case r.Complete():
			s.whole++
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			if s.reading+1 < len(s.parts) { // its writer has ended, and another has gone on
				s.torn = true
				break
			}
			if !over {
				return 0, nil, nil, io.EOF
			}
			if !errors.Is(err, io.EOF) {
				s.fail(err)
			}
		default:
			s.fail(err)
		}
		s.leave()
	}
	return 0, nil, nil, io.EOF
}

// complete reports whether every part was read to its end and closed by its writer, or followed by another part.
func (s *feed) complete() bool {
	return len(s.headers) > 0 && s.whole+len(s.stats.Gaps) == len(s.headers)
}

// count adds a batch to the statistics.
func (s *feed) count(at []time.Duration) {
	if !s.started {
		s.started, s.stats.First = true, at[0]
	}
	if s.torn {
		s.torn = false
		s.stats.Gaps = append(s.stats.Gaps, Gap{s.stats.Last, at[0]})
	}
	s.stats.Rows += int64(len(at))
	s.stats.Last = at[len(at)-1]
}

// fail notes why a part could not be read.
func (s *feed) fail(err error) {
	s.stats.Err, s.stats.Unread = errors.Join(s.stats.Err, err), s.stats.Unread || unread(err)
}

// unread reports whether readings remain in a file after an error: all errors but the end of what was written.
func unread(err error) bool { return !errors.Is(err, io.ErrUnexpectedEOF) }

// leave goes on to the next part.
func (s *feed) leave() {
	_ = s.parts[s.reading].Close() // it was only read
	s.parts[s.reading] = nil
	s.reading++
}

// block turns readings from rows to columns.
type block struct {
	at      []time.Duration
	columns [][]float64 // one for each sensor, as long as at
}

// add appends rows of so many sensors each. A block that is not empty has rows of as many.
func (b *block) add(at []time.Duration, values []float64, sensors int) {
	for len(b.columns) < sensors {
		b.columns = append(b.columns, nil)
	}
	for s := range sensors {
		column := b.columns[s][:len(b.at)]
		for i := s; i < len(values); i += sensors {
			column = append(column, values[i])
		}
		b.columns[s] = column
	}
	b.at = append(b.at, at...)
}

// clear empties the block and keeps its memory.
func (b *block) clear() { b.at = b.at[:0] }
