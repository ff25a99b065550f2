package store

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// roundsFile lies in the spool folder of a bench.
const roundsFile = "rounds.jsonl"

// roundsLine bounds a line of the file, in bytes.
const roundsLine = 64 << 20

// RoundLog keeps the rounds of a bench while it goes on. Each round is one line of a file, written at once and not synced: it
// survives the end of the process, though not that of the machine. The first word of a line is its checksum, the rest is JSON.
//
// A round repeats almost all of the last one but its numbers. So what a metric is stands once, in a line of its own, and
// rounds have its number.
type RoundLog struct {
	file  *os.File
	path  string
	size  int64
	forms map[form]int
	last  []numbered // the form of each metric of the last round
	fresh []numbered // the forms that are not in the file yet
	line  []byte
}

// numbered is a form with its number.
type numbered struct {
	ID int `json:"id"`
	form
}

// form is a metric without its numbers.
type form struct {
	Name        string             `json:"name"`
	Unit        units.Unit         `json:"unit,omitempty"`
	Aggregation string             `json:"aggregation,omitempty"`
	Provenance  sensors.Provenance `json:"provenance,omitempty"`
	Source      string             `json:"source,omitempty"`
	Reason      string             `json:"reason,omitempty"`
	Bound       datamodel.Bound    `json:"bound,omitempty"`
	Absence     string             `json:"absence,omitempty"`
	Parts       string             `json:"parts,omitempty"`
}

// logLine is a line of the file. One field is set.
type logLine struct {
	Form  *numbered      `json:"form,omitempty"`
	Round *loggedRound   `json:"round,omitempty"`
	Run   *datamodel.Run `json:"run,omitempty"`
}

type loggedRound struct {
	datamodel.Round
	// Values has the number of the form and the numbers of each metric, in the order of numbersOf; null is NaN, and those
	// left out at the end are as in datamodel.Missing.
	Values    [][]*float64    `json:"values"`
	Processes []loggedProcess `json:"processes,omitempty"`
}

// loggedProcess is a process with its unknown numbers as null.
type loggedProcess struct {
	Kind        datamodel.ProcessKind `json:"kind"`
	ID          int64                 `json:"id"`
	ParentID    int64                 `json:"parent_id"`
	PID         int64                 `json:"pid"`
	Parent      int64                 `json:"parent"`
	Name        string                `json:"name,omitempty"`
	CommandLine string                `json:"command_line,omitempty"`
	Start       time.Time             `json:"start,omitzero"`
	End         time.Time             `json:"end,omitzero"`
	Provenance  sensors.Provenance    `json:"provenance,omitempty"`
	Numbers     []*float64            `json:"numbers"`
}

// processNumbers are the numbers of a process, in the order in which they are stored.
func processNumbers(p *datamodel.Process) []*float64 {
	return []*float64{&p.FirstSeen, &p.LastSeen, &p.Count, &p.CPUTime, &p.PeakMemory, &p.Read, &p.Written, &p.Energy}
}

// CreateRoundLog makes the file in the spool folder of a bench.
func CreateRoundLog(spool *Folder) (*RoundLog, error) {
	file, err := spool.Create(roundsFile)
	if err != nil {
		return nil, err
	}
	return &RoundLog{file: file, path: filepath.Join(spool.path, roundsFile), forms: make(map[form]int)}, nil
}

// Add writes a round. After an error the rounds before it can still be read, and later calls try again.
func (l *RoundLog) Add(r datamodel.Round) error {
	l.line, l.fresh = l.line[:0], l.fresh[:0]
	values := []byte(`,"values":[`)
	for i, m := range r.Metrics {
		if i > 0 {
			values = append(values, ',')
		}
		values = appendNumbers(append(values, '['), l.formOf(i, m), m)
		values = append(values, ']')
	}
	values = append(values, ']')
	for _, f := range l.fresh {
		if err := l.add(logLine{Form: &f}); err != nil {
			return err
		}
	}
	processes := make([]loggedProcess, len(r.Processes))
	for i := range r.Processes {
		p := &r.Processes[i]
		processes[i] = loggedProcess{
			Kind: p.Kind, ID: p.ID, ParentID: p.ParentID, PID: p.PID, Parent: p.Parent, Name: p.Name, CommandLine: p.CommandLine,
			Start: p.Start, End: p.End, Provenance: p.Provenance, Numbers: orNulls(processNumbers(p)),
		}
	}
	facts, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write %s: %w", l.path, err)
	}
	text := append([]byte(`{"round":`), facts[:len(facts)-1]...)
	text = append(text, values...)
	if len(processes) > 0 {
		list, err := json.Marshal(processes)
		if err != nil {
			return fmt.Errorf("write %s: %w", l.path, err)
		}
		text = append(append(text, `,"processes":`...), list...)
	}
	l.seal(append(text, `}}`...))
	return l.write()
}

// Note writes what is known of the bench as a whole. It replaces what was noted before.
func (l *RoundLog) Note(run datamodel.Run) error {
	l.line, l.fresh = l.line[:0], l.fresh[:0]
	if err := l.add(logLine{Run: &run}); err != nil {
		return err
	}
	return l.write()
}

// Close closes the file.
func (l *RoundLog) Close() error { return l.file.Close() }

// formOf returns the number of the form of a metric. at is the metric's place in its round: there the last round most likely
// had the same.
func (l *RoundLog) formOf(at int, m datamodel.Metric) int {
	f := form{m.Name, m.Unit, m.Aggregation, m.Provenance, m.Source, m.Reason, m.Bound, m.Absence, ""}
	if len(m.Parts) > 0 {
		f.Parts = encodeParts(m.Parts)
	}
	if at < len(l.last) && l.last[at].form == f {
		return l.last[at].ID
	}
	for len(l.last) <= at {
		l.last = append(l.last, numbered{})
	}
	id, ok := l.forms[f]
	if !ok {
		id = len(l.forms)
		l.forms[f] = id
		l.fresh = append(l.fresh, numbered{id, f})
	}
	l.last[at] = numbered{id, f}
	return id
}

// appendNumbers appends the numbers of a metric, without those at the end that are as in datamodel.Missing.
func appendNumbers(b []byte, form int, m datamodel.Metric) []byte {
	b = strconv.AppendInt(b, int64(form), 10)
	numbers := numbersOf(m)
	n := len(numbers)
	for n > 0 && math.IsNaN(numbers[n-1]) {
		n--
	}
	for _, v := range numbers[:n] {
		b = append(b, ',')
		if math.IsNaN(v) || math.IsInf(v, 0) {
			b = append(b, "null"...)
			continue
		}
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	return b
}

// numbersOf returns the numbers of a metric in the order in which they are stored. A count of 0 is NaN.
func numbersOf(m datamodel.Metric) [9]float64 {
	count := func(n int64) float64 {
		if n == 0 {
			return math.NaN()
		}
		return float64(n)
	}
	return [9]float64{m.Value, m.Uncertainty, m.AtMost, count(m.Count), count(m.Gaps), m.Min, m.Max, m.Mean, m.Std}
}

// metricOf makes the metric of a form and its numbers.
func (f form) metricOf(numbers []*float64) datamodel.Metric {
	m := datamodel.Missing(f.Name, f.Unit, f.Reason)
	m.Aggregation, m.Provenance, m.Source, m.Bound, m.Absence = f.Aggregation, f.Provenance, f.Source, f.Bound, f.Absence
	m.Parts, _ = decodeParts(f.Parts)
	count, gaps := math.NaN(), math.NaN()
	for i, to := range []*float64{&m.Value, &m.Uncertainty, &m.AtMost, &count, &gaps, &m.Min, &m.Max, &m.Mean, &m.Std} {
		if i < len(numbers) && numbers[i] != nil {
			*to = *numbers[i]
		}
	}
	if count > 0 {
		m.Count = int64(count)
	}
	if gaps > 0 {
		m.Gaps = int64(gaps)
	}
	return m
}

// orNulls copies numbers, NaN as nil.
func orNulls(numbers []*float64) []*float64 {
	out := make([]*float64, len(numbers))
	for i, v := range numbers {
		if !math.IsNaN(*v) && !math.IsInf(*v, 0) {
			out[i] = v
		}
	}
	return out
}

// add appends a line to those that are written next.
func (l *RoundLog) add(line logLine) error {
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("write %s: %w", l.path, err)
	}
	l.seal(text)
	return nil
}

func (l *RoundLog) seal(text []byte) {
	l.line = fmt.Appendf(l.line, "%08x ", crc32.ChecksumIEEE(text))
	l.line = append(append(l.line, text...), '\n')
}

// write writes the lines at once. If that fails, nothing of them stays.
func (l *RoundLog) write() error {
	n, err := l.file.WriteAt(l.line, l.size)
	if err != nil {
		if n > 0 {
			_ = l.file.Truncate(l.size) // a line that is cut off is no line anyway
		}
		for _, f := range l.fresh {
			delete(l.forms, f.form)
		}
		l.last = nil
		return fmt.Errorf("write: %w", err)
	}
	l.size += int64(n)
	return nil
}

// ReadRounds reads the rounds that a bench has left in its spool folder, and the last run that was noted; run.Schema is "" if
// there is none. The end of the file may be cut off. unread says what else could not be read. If there is no file, err wraps fs.ErrNotExist.
func ReadRounds(spool *Folder) (rounds []datamodel.Round, run datamodel.Run, unread, err error) {
	path := filepath.Join(spool.path, roundsFile)
	f, err := spool.Read(roundsFile)
	if err != nil {
		return nil, run, nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	left := budget(benchLimit)
	forms := make(map[int]form)
	lines := bufio.NewReaderSize(f, 1<<16)
	for number := 1; ; number++ {
		text, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			return rounds, run, unread, nil
		}
		var line logLine
		if err == nil {
			err = left.take(jsonCost(text))
		}
		if err == nil {
			line, err = opened(text)
		}
		if err == nil {
			err = line.add(forms, &rounds, &run)
		}
		if errors.Is(err, ErrDamaged) {
			unread = errors.Join(unread, fmt.Errorf("read %s: line %d: %w", path, number, err))
			continue
		}
		if err != nil {
			return rounds, run, fmt.Errorf("read %s: line %d: %w", path, number, err), nil
		}
	}
}

// readLine reads a line without its end. A last line without an end is io.EOF, as the bench was killed while it wrote it.
func readLine(from *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := from.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > roundsLine:
			return nil, fmt.Errorf("more than %d bytes: %w", roundsLine, ErrForeign)
		}
	}
}

// opened checks and decodes a line. The error wraps ErrDamaged.
func opened(text []byte) (line logLine, err error) {
	const digits = 8
	var sum [4]byte
	if len(text) <= digits {
		return line, ErrDamaged
	}
	if _, err := hex.Decode(sum[:], text[:digits]); err != nil {
		return line, ErrDamaged
	}
	text = text[digits+1:]
	if want := crc32.ChecksumIEEE(text); want != uint32(sum[0])<<24|uint32(sum[1])<<16|uint32(sum[2])<<8|uint32(sum[3]) {
		return line, ErrDamaged
	}
	if err := json.Unmarshal(text, &line); err != nil {
		return line, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return line, nil
}

// add takes what a line says. The error wraps ErrDamaged.
func (line logLine) add(forms map[int]form, rounds *[]datamodel.Round, run *datamodel.Run) error {
	switch {
	case line.Form != nil:
		forms[line.Form.ID] = line.Form.form
	case line.Run != nil:
		line.Run.RestoreCommand()
		*run = *line.Run
	case line.Round != nil:
		r := line.Round.Round
		for _, v := range line.Round.Values {
			if len(v) == 0 || v[0] == nil {
				return fmt.Errorf("a metric without a name: %w", ErrDamaged)
			}
			f, ok := forms[int(*v[0])]
			if !ok {
				return fmt.Errorf("a metric without a name: %w", ErrDamaged)
			}
			r.Metrics = append(r.Metrics, f.metricOf(v[1:]))
		}
		for _, p := range line.Round.Processes {
			one := datamodel.Process{
				Kind: p.Kind, ID: p.ID, ParentID: p.ParentID, PID: p.PID, Parent: p.Parent, Name: p.Name, CommandLine: p.CommandLine,
				Start: p.Start, End: p.End, Provenance: p.Provenance,
			}
			for i, to := range processNumbers(&one) {
				*to = math.NaN()
				if i < len(p.Numbers) && p.Numbers[i] != nil {
					*to = *p.Numbers[i]
				}
			}
			r.Processes = append(r.Processes, one)
		}
		*rounds = append(*rounds, r)
	}
	return nil
}
