package store

import (
	"fmt"
	"io"
)

// The files of a run, a spool and a tape may come from a stranger. Each part of them has a limit of its own, and these limits
// hold for their sum: a small file could otherwise fill the memory. Our own files are far below them.
const (
	// loadLimit bounds what Load keeps of the tables of a run, in bytes.
	loadLimit = 256 << 20
	// benchLimit is loadLimit for a bench: some hundred thousand rounds.
	benchLimit = 2 << 30
	// jsonLimit bounds what is made of a JSON document, in bytes.
	jsonLimit = 128 << 20
	// folderFilesLimit bounds the files of a spool folder. Their headers together are bounded by jsonLimit.
	folderFilesLimit = 1024
	// wordsLimit bounds the names that are remembered while samples are read, in bytes.
	wordsLimit = 16 << 20
	// chunkLimit bounds a column chunk in a file, in bytes.
	chunkLimit = 192 << 20
	// blockLimit bounds the readings that are turned from rows to columns at once, in bytes.
	blockLimit = 64 << 20
	// directoryLimit bounds the directory of a tape, in bytes: many times that of tapeEntries.
	directoryLimit = 1 << 20
	// linesLimit bounds the texts that are taken from the records of processes, in bytes. Records may share a text.
	linesLimit = 128 << 20
)

// budget is what may still be kept in memory, in bytes.
type budget int64

// take takes n bytes. The error wraps ErrForeign if they are not there any more.
func (b *budget) take(n int64) error {
	if b == nil { // no limit
		return nil
	}
	if *b -= budget(n); *b < 0 {
		return fmt.Errorf("more than %d MiB in memory: %w", loadLimit>>20, ErrForeign)
	}
	return nil
}

// jsonCost estimates from above how many bytes of memory encoding/json makes of a document: of `{},` a struct of half a
// kilobyte.
func jsonCost(text []byte) int64 {
	const object, list, value = 512, 64, 32
	cost := int64(len(text))
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{':
			cost += object
		case '[':
			cost += list
		case ',':
			cost += value
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		}
	}
	return cost
}

// checkJSON refuses a document of which too much would be made.
func checkJSON(text []byte) error {
	if cost := jsonCost(text); cost > jsonLimit {
		return fmt.Errorf("a document of %d bytes with too many values: more than %d MiB in memory: %w", len(text), jsonLimit>>20, ErrForeign)
	}
	return nil
}

// sparing is a file of which only so many bytes are read.
type sparing struct {
	io.ReaderAt
	left int64
}

// ReadAt is part of io.ReaderAt.
func (s *sparing) ReadAt(b []byte, at int64) (int, error) {
	if s.left -= int64(len(b)); s.left < 0 {
		return 0, fmt.Errorf("a directory of more than %d bytes: %w", directoryLimit, ErrForeign)
	}
	return s.ReaderAt.ReadAt(b, at)
}
