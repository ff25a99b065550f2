package store

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
)

// The two files of processes in the spool folder: a table of records of one length, and the texts that the records point
// into. A record is overwritten while its process goes on.
const (
	processTable = "processes.table"
	processTexts = "processes.texts"
	processStem  = "processes."
)

const (
	// processMagic begins the first record. It contains the version.
	processMagic = "ergonpr1"
	// recordSize divides the size of a page, so a sampler that is killed while it writes leaves no torn record.
	recordSize = 128
	// MostProcesses is how many processes have a record of their own.
	MostProcesses = 100_000
	// textsLimit is how many bytes of text are kept: many times what names need, and enough for command lines.
	textsLimit = 64 << 20
	// sharedTexts is how many texts are remembered, to store equal ones only once.
	sharedTexts = 4096
	// mostParts is more than the samplers of one run can be.
	mostParts = 8
	// sameStart is the step of the kernel's start times. Two samplers see the start of a process within it.
	sameStart = 10 * time.Millisecond
	// none stands for an unknown time.
	none = -1 << 63
)

// The bits of processRecord.Flags.
const (
	flagUsed = 1 << iota
	flagIO
)

// processRecord is a record as it is stored: little endian, with a CRC-32 in the last four bytes. Times are nanoseconds on
// the run's clock. The first record holds the processes that were merged. Its PID is the number of records dropped, and
// its Last is when the processes were last looked at.
type processRecord struct {
	Magic              [8]byte // only in the first record
	Count              int64   // of processes
	PID, Parent        int64
	Start, First       int64
	Last, Gone         int64
	CPU, Peak          int64
	Read, Written      int64
	Text               int64 // the position of name and command line in the texts
	NameSize, LineSize uint16
	Flags              uint32
	AnchorS            int64 // only in the first record: the wall-clock time when the clock was 0
	AnchorNS           int32
	Check              uint32
}

// ProcessSpool keeps what is known of a target's processes in the spool folder, so that it survives a sampler that is
// killed. Files and memory are bounded: beyond MostProcesses, the ended processes with the least CPU time are merged into
// one record and counted. It is not safe for concurrent use.
type ProcessSpool struct {
	table, texts *os.File
	anchor       time.Time
	most         int
	head         processRecord
	living       map[processKey]int64
	ended        leastFirst // all that have ended
	heaped       bool
	next         int64   // the first slot never used
	spare        []int64 // slots whose record could not be written
	places       map[string]int64
	size         int64 // of the texts
	buf          []byte
}

// processKey identifies a process, since process ids are reused.
type processKey struct {
	pid   int
	start int64
}

// CreateProcessSpool starts the table in an existing spool folder. Times are stored relative to anchor, which must have a
// monotonic clock reading. most is MostProcesses, except in tests.
func CreateProcessSpool(dir *Folder, part int, anchor time.Time, most int) (*ProcessSpool, error) {
	table, texts := processFiles(part)
	s := &ProcessSpool{anchor: anchor, most: most, living: map[processKey]int64{}, next: 1, places: map[string]int64{}}
	var err error
	for _, f := range []struct {
		to   **os.File
		name string
	}{{&s.table, table}, {&s.texts, texts}} {
		if *f.to, err = dir.Create(f.name); err != nil {
			return nil, s.abandon(dir, part, fmt.Errorf("spool processes: %w", err))
		}
	}
	copy(s.head.Magic[:], processMagic)
	s.head.AnchorS, s.head.AnchorNS = anchor.Unix(), int32(anchor.Nanosecond())
	s.head.Last = none
	if err := s.write(0, s.head); err != nil {
		return nil, s.abandon(dir, part, err)
	}
	return s, nil
}

// abandon removes the files that were made, so that another try can make them.
func (s *ProcessSpool) abandon(dir *Folder, part int, err error) error {
	table, texts := processFiles(part)
	if s.table != nil {
		_ = dir.Remove(table)
	}
	if s.texts != nil {
		_ = dir.Remove(texts)
	}
	return errors.Join(err, s.Close())
}

// Put stores what is known of a process and replaces what was known before. If it fails, such as on a full disk, what was
// known before remains, and the caller may try again.
func (s *ProcessSpool) Put(p sensors.Process) (err error) {
	r := processRecord{
		Count: 1, PID: int64(p.PID), Parent: int64(p.Parent), Start: s.since(p.Start), First: s.since(p.FirstSeen),
		Last: s.since(p.LastSeen), Gone: s.since(p.Gone), CPU: int64(p.CPU), Peak: int64(p.PeakMemory),
		Read: int64(p.Read), Written: int64(p.Written), Flags: flagUsed,
	}
	if p.HasIO {
		r.Flags |= flagIO
	}
	key := processKey{p.PID, r.Start}
	slot, known := s.living[key]
	if !known {
		if slot, err = s.slot(); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				s.spare = append(s.spare, slot)
			}
		}()
	}
	if slot == 0 { // the table is full, and every process in it is alive
		s.head.PID++
		return nil
	}
	name, line := cut(p.Name, 1<<12), cut(p.CommandLine, 1<<13)
	r.NameSize, r.LineSize = uint16(len(name)), uint16(len(line))
	if r.Text, err = s.text(name + line); err != nil {
		return err
	}
	if r.Text < 0 {
		r.Text, r.NameSize, r.LineSize = 0, 0, 0
	}
	if err = s.write(slot, r); err != nil {
		return err
	}
	if p.Gone.IsZero() {
		s.living[key] = slot
	} else {
		delete(s.living, key)
		s.end(slot, r.CPU)
	}
	return nil
}

// since converts a time to the run's clock, and the zero time to none.
func (s *ProcessSpool) since(t time.Time) int64 {
	if t.IsZero() {
		return none
	}
	return int64(t.Sub(s.anchor))
}

func cut(text string, most int) string { return text[:min(len(text), most)] }

// text stores a text and returns its position, or -1 if there is no room.
func (s *ProcessSpool) text(text string) (int64, error) {
	if at, ok := s.places[text]; ok {
		return at, nil
	}
	at := s.size
	if at+int64(len(text)) > textsLimit {
		return -1, nil
	}
	if _, err := s.texts.WriteAt([]byte(text), at); err != nil {
		return 0, fmt.Errorf("spool processes: %w", err)
	}
	s.size += int64(len(text))
	if len(s.places) >= sharedTexts {
		clear(s.places)
	}
	s.places[text] = at
	return at, nil
}

// slot returns the slot for another process, or 0 if there is none.
func (s *ProcessSpool) slot() (int64, error) {
	if n := len(s.spare); n > 0 {
		slot := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return slot, nil
	}
	if s.next <= int64(s.most) {
		s.next++
		return s.next - 1, nil
	}
	if len(s.ended) == 0 {
		return 0, nil
	}
	if !s.heaped {
		heap.Init(&s.ended)
		s.heaped = true
	}
	least, _ := heap.Pop(&s.ended).(endedSlot)
	var b [recordSize]byte
	if _, err := s.table.ReadAt(b[:], least.slot*recordSize); err != nil {
		return 0, fmt.Errorf("spool processes: %w", err)
	}
	if r, ok := decodeRecord(b[:]); ok {
		s.head.merge(r)
	}
	return least.slot, nil
}

// merge adds a process to the record of the merged ones.
func (r *processRecord) merge(p processRecord) {
	if r.Count == 0 {
		r.Start, r.Gone = p.Start, p.Gone
	}
	r.Count++
	r.Start, r.Gone = min(r.Start, p.Start), max(r.Gone, p.Gone)
	r.CPU, r.Peak = r.CPU+p.CPU, max(r.Peak, p.Peak)
	r.Read, r.Written = r.Read+p.Read, r.Written+p.Written
	r.Flags |= p.Flags
}

// end notes that the process of a slot has ended.
func (s *ProcessSpool) end(slot, cpu int64) {
	if s.heaped {
		heap.Push(&s.ended, endedSlot{cpu, slot})
	} else {
		s.ended = append(s.ended, endedSlot{cpu, slot})
	}
}

func (s *ProcessSpool) write(slot int64, r processRecord) error {
	b, err := binary.Append(s.buf[:0], binary.LittleEndian, &r)
	if err != nil {
		return fmt.Errorf("spool processes: %w", err)
	}
	s.buf = b
	binary.LittleEndian.PutUint32(b[recordSize-4:], crc32.ChecksumIEEE(b[:recordSize-4]))
	if _, err := s.table.WriteAt(b, slot*recordSize); err != nil {
		return fmt.Errorf("spool processes: %w", err)
	}
	return nil
}

// Flush records when the processes were last looked at. At that time every process without an end was alive.
func (s *ProcessSpool) Flush(looked time.Time) error {
	s.head.Last = s.since(looked)
	return s.write(0, s.head)
}

// Close releases the files.
func (s *ProcessSpool) Close() error {
	var errs []error
	for _, f := range []*os.File{s.table, s.texts} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// endedSlot is the slot of a process that has ended, and its CPU time in nanoseconds.
type endedSlot struct{ cpu, slot int64 }

// leastFirst is a heap by CPU time.
type leastFirst []endedSlot

func (h leastFirst) Len() int           { return len(h) }
func (h leastFirst) Less(i, j int) bool { return h[i].cpu < h[j].cpu }
func (h leastFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is part of heap.Interface.
func (h *leastFirst) Push(x any) {
	e, _ := x.(endedSlot)
	*h = append(*h, e)
}

// Pop is part of heap.Interface.
func (h *leastFirst) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// processFiles returns the names of the two files of a part: processes.table, processes.1.table and so on.
func processFiles(part int) (table, texts string) {
	if part == 0 {
		return processTable, processTexts
	}
	n := strconv.Itoa(part)
	return processStem + n + ".table", processStem + n + ".texts"
}

// isProcessFile reports whether a name is that of a file of processes, in any part.
func isProcessFile(name string) bool {
	return strings.HasPrefix(name, processStem) && (strings.HasSuffix(name, ".table") || strings.HasSuffix(name, ".texts"))
}

// ReadProcesses reads the processes from a spool folder, whatever ended its writing. It returns nil if none were recorded.
// It leaves damaged records out and counts them as dropped. If several samplers have written, one after another, it joins
// what they have of a process. It reads at most mostParts.
func ReadProcesses(spool *Folder) (*datamodel.SeenProcesses, error) {
	var all *datamodel.SeenProcesses
	var errs []error
	for part := range mostParts {
		seen, err := readProcesses(spool, part)
		errs = append(errs, err)
		all = joined(all, seen)
	}
	return all, errors.Join(errs...)
}

// joined adds what a later part has to what is known. Either may be nil.
func joined(all, later *datamodel.SeenProcesses) *datamodel.SeenProcesses {
	if all == nil || later == nil {
		return cmp.Or(all, later)
	}
	known := make(map[int64]int, len(all.Processes)) // the last process with an id
	for i, p := range all.Processes {
		known[p.PID] = i
	}
	for _, p := range later.Processes {
		i, ok := known[p.PID]
		if !ok || (p.Start-all.Processes[i].Start).Abs() >= sameStart {
			all.Processes = append(all.Processes, p)
			continue
		}
		q := &all.Processes[i]
		q.LastSeen, q.Gone, q.Ended = p.LastSeen, p.Gone, p.Ended
		q.CPU, q.PeakMemory = max(q.CPU, p.CPU), max(q.PeakMemory, p.PeakMemory)
		q.Read, q.Written, q.HasIO = max(q.Read, p.Read), max(q.Written, p.Written), q.HasIO || p.HasIO
	}
	all.Dropped += later.Dropped
	all.Unnamed += later.Unnamed
	if m := later.Merged; m != nil && all.Merged != nil {
		all.Merged.Count += m.Count
		all.Merged.CPU += m.CPU
		all.Merged.Read, all.Merged.Written = all.Merged.Read+m.Read, all.Merged.Written+m.Written
		all.Merged.PeakMemory = max(all.Merged.PeakMemory, m.PeakMemory)
		all.Merged.Gone, all.Merged.LastSeen = max(all.Merged.Gone, m.Gone), max(all.Merged.LastSeen, m.LastSeen)
	} else if m != nil {
		all.Merged = m
	}
	return all
}

// readProcesses reads one part. It returns nil if there is none.
func readProcesses(spool *Folder, part int) (*datamodel.SeenProcesses, error) {
	tableName, textsName := processFiles(part)
	table, err := spool.readLimited(tableName, (MostProcesses+1)*recordSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing was recorded
	}
	if err != nil {
		return nil, fmt.Errorf("processes: %w", err)
	}
	texts, err := spool.readLimited(textsName, textsLimit)
	if err != nil {
		return nil, fmt.Errorf("processes: %w", err)
	}
	seen, err := decodeProcesses(table, texts)
	if err != nil {
		return nil, fmt.Errorf("processes: read %s: %w", filepath.Join(spool.path, tableName), err)
	}
	return seen, nil
}

// decodeProcesses reads the table. The first record may be missing, if the sampler was killed before it wrote it.
func decodeProcesses(table, texts []byte) (*datamodel.SeenProcesses, error) {
	if len(table) < recordSize {
		return &datamodel.SeenProcesses{}, nil
	}
	seen := &datamodel.SeenProcesses{}
	head, ok := decodeRecord(table[:recordSize])
	switch {
	case ok && string(head.Magic[:]) != processMagic:
		return nil, ErrForeign
	case ok:
		seen.Anchor = time.Unix(head.AnchorS, int64(head.AnchorNS)).UTC()
		seen.Dropped = head.PID
		if head.Count > 0 {
			seen.Merged = head.process(nil)
			seen.Merged.LastSeen = seen.Merged.Gone
		}
	case bytes.Trim(table[:recordSize], "\x00") != nil:
		return nil, errDamaged
	}
	left := int64(linesLimit)
	for at := recordSize; at+recordSize <= len(table); at += recordSize {
		r, ok := decodeRecord(table[at : at+recordSize])
		if !ok || r.Flags&flagUsed == 0 {
			seen.Dropped++
			continue
		}
		if r.Gone == none && head.Last > r.Last {
			r.Last = head.Last
		}
		p := r.process(texts)
		// Records may share a text, so a small file could name 13 GB. The names of processes that lost theirs are unknown.
		if left -= int64(len(p.Name) + len(p.CommandLine)); left < 0 {
			p.Name, p.CommandLine = "", ""
			seen.Unnamed++
		}
		seen.Processes = append(seen.Processes, *p)
	}
	return seen, nil
}

// decodeRecord reads one record. It returns false if the record is damaged.
func decodeRecord(b []byte) (r processRecord, ok bool) {
	if crc32.ChecksumIEEE(b[:recordSize-4]) != binary.LittleEndian.Uint32(b[recordSize-4:]) {
		return r, false
	}
	_, err := binary.Decode(b, binary.LittleEndian, &r)
	return r, err == nil && r.CPU >= 0 && r.Peak >= 0 && r.Read >= 0 && r.Written >= 0
}

// process converts a record and takes its strings from texts.
func (r *processRecord) process(texts []byte) *datamodel.SeenProcess {
	p := &datamodel.SeenProcess{
		PID: r.PID, Parent: r.Parent, Count: r.Count,
		Start: time.Duration(r.Start), FirstSeen: time.Duration(r.First), LastSeen: time.Duration(r.Last),
		Gone: time.Duration(r.Gone), Ended: r.Gone != none, CPU: time.Duration(r.CPU), PeakMemory: uint64(r.Peak),
		Read: uint64(r.Read), Written: uint64(r.Written), HasIO: r.Flags&flagIO != 0,
	}
	name, line := int64(r.NameSize), int64(r.LineSize)
	if r.Text >= 0 && r.Text <= int64(len(texts))-name-line {
		p.Name = string(texts[r.Text : r.Text+name])
		p.CommandLine = string(texts[r.Text+name : r.Text+name+line])
	}
	return p
}
