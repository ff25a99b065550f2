package marks

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/datamodel"
)

// The keys of the lines. Those of a mark are told apart from those that describe all marks of a datagram.
const (
	keyBegin    = "ERGON_BEGIN"
	keyEnd      = "ERGON_END"
	keyEvent    = "ERGON_EVENT"
	keyProgress = "ERGON_PROGRESS"
	keyMetric   = "ERGON_METRIC"
	keyID       = "ERGON_ID"
	keyTime     = "ERGON_TIME"
	keyThread   = "ERGON_THREAD"
	keyPID      = "ERGON_PID"
	keyRank     = "ERGON_RANK"
)

const (
	// longestName limits names and IDs, in bytes.
	longestName = 200
	// prefix begins all our keys. A line with another key is not for us.
	prefix = "ERGON_"
)

// message is what a datagram says.
type message struct {
	marks []datamodel.Mark
	// at is when it was, in ns of the monotonic clock. It is 0 if the datagram does not say it.
	at int64
}

// parse reads a datagram. If a line of ours is wrong, the whole datagram is refused: a region without the ID that its end
// has would never end.
func parse(datagram []byte) (message, error) {
	var m message
	all := datamodel.Mark{Rank: -1}
	for line := range strings.SplitSeq(string(datagram), "\n") {
		key, value, ok := strings.Cut(line, "=")
		if !ok || !strings.HasPrefix(key, prefix) {
			continue
		}
		var err error
		switch key {
		case keyBegin:
			err = m.named(datamodel.BeginMark, value)
		case keyEnd:
			err = m.named(datamodel.EndMark, value)
		case keyEvent:
			err = m.named(datamodel.EventMark, value)
		case keyProgress:
			err = m.progress(value)
		case keyMetric:
			err = m.metric(value)
		case keyID:
			all.ID, err = value, checkName(value)
		case keyTime:
			if m.at, err = strconv.ParseInt(value, 10, 64); err != nil {
				err = fmt.Errorf("%.40q is not a time in ns", value)
			}
		case keyThread:
			all.Thread, err = natural(value)
		case keyPID:
			all.PID, err = natural(value)
		case keyRank:
			all.Rank, err = natural(value)
		}
		if err != nil {
			return message{}, fmt.Errorf("%s: %w", key, err)
		}
	}
	for i := range m.marks {
		mark := &m.marks[i]
		mark.ID, mark.PID, mark.Thread, mark.Rank = all.ID, all.PID, all.Thread, all.Rank
	}
	return m, nil
}

func (m *message) named(kind datamodel.MarkKind, name string) error {
	m.marks = append(m.marks, datamodel.Mark{Kind: kind, Name: name})
	return checkName(name)
}

// progress reads 3/10, 0.3 or 30%.
func (m *message) progress(text string) error {
	part, whole := text, "1"
	if done, all, ok := strings.Cut(text, "/"); ok {
		part, whole = done, all
	} else if percent, ok := strings.CutSuffix(text, "%"); ok {
		part, whole = percent, "100"
	}
	n, err := number(part)
	if err != nil {
		return err
	}
	of, err := number(whole)
	if err != nil {
		return err
	}
	done := n / of
	if !(done >= 0 && done <= 1) {
		return fmt.Errorf("%.40q is not a part of a whole (such as 3/10)", text)
	}
	m.marks = append(m.marks, datamodel.Mark{Kind: datamodel.ProgressMark, Value: done})
	return nil
}

// metric reads a name and a number.
func (m *message) metric(text string) error {
	i := strings.LastIndexByte(text, ' ')
	if i < 0 {
		return fmt.Errorf("%.40q is not a name and a number (such as loss 0.31)", text)
	}
	v, err := number(text[i+1:])
	if err != nil {
		return err
	}
	m.marks = append(m.marks, datamodel.Mark{Kind: datamodel.MetricMark, Name: text[:i], Value: v})
	return checkName(text[:i])
}

// checkName returns an error if a name cannot be shown or is too long.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("no name")
	case len(name) > longestName:
		return fmt.Errorf("a name of %d bytes (at most %d)", len(name), longestName)
	case !utf8.ValidString(name):
		return errors.New("a name that is not UTF-8")
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("a name with a control character")
	}
	return nil
}

// number reads a finite number.
func number(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%.40q is not a finite number", text)
	}
	return v, nil
}

// natural reads a number from 0 on.
func natural(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a whole number from 0 on", text)
	}
	return int(n), nil
}

// Encode returns the datagram of a mark, as a client sends it. at is in ns of the monotonic clock; 0 leaves it out.
func Encode(m datamodel.Mark, at int64) []byte {
	var b []byte
	line := func(key, value string) { b = append(b, key+"="+value+"\n"...) }
	switch m.Kind {
	case datamodel.BeginMark:
		line(keyBegin, m.Name)
	case datamodel.EndMark:
		line(keyEnd, m.Name)
	case datamodel.EventMark:
		line(keyEvent, m.Name)
	case datamodel.ProgressMark:
		line(keyProgress, strconv.FormatFloat(m.Value, 'g', -1, 64))
	case datamodel.MetricMark:
		line(keyMetric, m.Name+" "+strconv.FormatFloat(m.Value, 'g', -1, 64))
	}
	if m.ID != "" {
		line(keyID, m.ID)
	}
	if m.PID != 0 {
		line(keyPID, strconv.Itoa(m.PID))
	}
	if m.Thread != 0 {
		line(keyThread, strconv.Itoa(m.Thread))
	}
	if m.Rank >= 0 {
		line(keyRank, strconv.Itoa(m.Rank))
	}
	if at != 0 {
		line(keyTime, strconv.FormatInt(at, 10))
	}
	return b
}

// onClock converts a moment of the monotonic clock to the run's clock. A moment after now, or before the run began, is not
// believed: now counts then.
func onClock(at, began int64, now time.Duration) time.Duration {
	if t := time.Duration(at - began); at != 0 && t >= 0 && t <= now {
		return t
	}
	return now
}

// Datagram returns the datagram of a mark that is given in words, such as begin and train: its kind, and what follows. more has
// its ID, process and rank. An error says what is wrong with the words.
func Datagram(kind datamodel.MarkKind, words []string, more datamodel.Mark) ([]byte, error) {
	var m message
	var err error
	switch text := strings.Join(words, " "); kind {
	case datamodel.ProgressMark:
		err = m.progress(text)
	case datamodel.MetricMark:
		err = m.metric(text)
	case datamodel.BeginMark, datamodel.EndMark, datamodel.EventMark:
		err = m.named(kind, text)
	}
	if err == nil && more.ID != "" {
		err = checkName(more.ID)
	}
	if err != nil {
		return nil, err
	}
	more.Kind, more.Name, more.Value = kind, m.marks[0].Name, m.marks[0].Value
	return Encode(more, 0), nil
}
