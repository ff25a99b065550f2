package store

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
)

const (
	marksStem = "marks."
	marksEnd  = "jsonl"
	// MostMarks is how many marks of a run are kept. Marks after that are counted.
	MostMarks = 500_000
	// longestMark is more than a line of the file has.
	longestMark = 64 << 10
)

// MarkSpool keeps the marks of a command in the spool folder, as one JSON object a line. A mark is in the file when Put
// returns. It is not safe for concurrent use.
type MarkSpool struct {
	dir  *Folder
	name string
	file *os.File // nil before the first mark
	torn bool     // the last line is cut off
	text bytes.Buffer
}

// NewMarkSpool prepares the file of a part of the run: part is how many samplers wrote before. The first Put makes it.
func NewMarkSpool(dir *Folder, part int) *MarkSpool {
	return &MarkSpool{dir: dir, name: marksFile(part)}
}

func marksFile(part int) string {
	if part == 0 {
		return marksStem + marksEnd
	}
	return marksStem + strconv.Itoa(part) + "." + marksEnd
}

// isMarksFile reports whether a name is the name of a file with marks, in any part.
func isMarksFile(name string) bool {
	return strings.HasPrefix(name, marksStem) && strings.HasSuffix(name, "."+marksEnd)
}

// Put appends marks. After an error, such as on a full disk, they are lost.
func (s *MarkSpool) Put(marks []datamodel.Mark) (err error) {
	if s.file == nil {
		if s.file, err = s.dir.Create(s.name); err != nil {
			return err
		}
	}
	s.text.Reset()
	if s.torn {
		s.text.WriteByte('\n')
	}
	out := json.NewEncoder(&s.text)
	for _, m := range marks {
		if err := out.Encode(m); err != nil {
			return err
		}
	}
	n, err := s.file.Write(s.text.Bytes())
	s.torn = err != nil && (n > 0 || s.torn)
	return err
}

// Close closes the file.
func (s *MarkSpool) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// ReadMarks reads the marks from a spool folder, whatever ended its writing, part by part. It leaves out lines that are cut
// off.
func ReadMarks(spool *Folder) ([]datamodel.Mark, error) {
	var all []datamodel.Mark
	var errs []error
	for part := range mostParts {
		marks, err := readMarks(spool, marksFile(part))
		all, errs = append(all, marks...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

func readMarks(spool *Folder, name string) ([]datamodel.Mark, error) {
	f, err := spool.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	marks, err := decodeMarks(f)
	if err != nil {
		return marks, fmt.Errorf("%s: %w", name, err)
	}
	return marks, nil
}

// decodeMarks reads marks, one a line. It leaves out lines that are cut off.
func decodeMarks(in io.Reader) (marks []datamodel.Mark, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longestMark)
	for lines.Scan() {
		var m datamodel.Mark
		if json.Unmarshal(lines.Bytes(), &m) == nil && m.Kind != "" && m.At >= 0 && len(marks) < MostMarks {
			marks = append(marks, m)
		}
	}
	return marks, lines.Err()
}
