package inventory

import (
	"cmp"
	"math/bits"
	"slices"
)

// file is what is remembered of a file: 24 bytes.
type file struct {
	key   uint64 // a hash of its path or, if each file counts once, of its identity
	size  int64  // below 0 once it was found again
	class uint32
}

// shards is the number of parts of files. A part of a million files then has some 250, so that sorting and searching stay in
// the processor's cache.
const shards = 4096

// files remembers the files of the first walk. The zero value is not usable.
type files struct {
	shard [][]file
	n     int
	most  int
}

func newFiles(most int) *files { return &files{shard: make([][]file, shards), most: most} }

// add remembers a file. Beyond the limit it forgets all.
func (f *files) add(key uint64, size int64, class uint32) {
	if f.shard == nil {
		return
	}
	if f.n == f.most {
		f.shard = nil
		return
	}
	f.n++
	s := &f.shard[key%shards]
	*s = append(*s, file{key, size, class})
}

// sort makes find work.
func (f *files) sort() {
	for _, s := range f.shard {
		slices.SortFunc(s, func(a, b file) int { return cmp.Compare(a.key, b.key) })
	}
}

// find returns a file that was added; nil if there is none. Keys are spread evenly, so a key's place among the sorted ones
// follows from its size, but for a few places.
func (f *files) find(key uint64) *file {
	s := f.shard[key%shards]
	if len(s) == 0 {
		return nil
	}
	guess, _ := bits.Mul64(key, uint64(len(s)))
	i := int(guess)
	for i > 0 && s[i].key >= key {
		i--
	}
	for i < len(s) && s[i].key < key {
		i++
	}
	if i == len(s) || s[i].key != key {
		return nil
	}
	return &s[i]
}

// left calls each for the files that were not found again.
func (f *files) left(each func(size int64, class uint32)) {
	for _, s := range f.shard {
		for _, one := range s {
			if one.size >= 0 {
				each(one.size, one.class)
			}
		}
	}
}
