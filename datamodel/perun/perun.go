// Package perun reads the JSON results of perun (https://github.com/Helmholtz-AI-Energy/perun), so that its users can keep
// them as runs of ergon. It gives the readings, and not the figures that perun made of them. So the same arithmetic makes
// the results of both programs: perun integrates the power between the readings of a counter, and multiplies energies by
// factors.
//
// perun's file holds one application with all its runs (perun calls them multi runs), each with its rounds, hosts, groups
// of devices and sensors. A round becomes a run of ergon.
package perun

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
)

// ErrForeign means that a file is no JSON result of perun.
var ErrForeign = errors.New("not a JSON result of perun")

// Run is one round of perun, as a run of ergon without its result.
type Run struct {
	// Run has what the manifest needs. Its ID follows from what perun recorded, so it is the same at every import.
	Run datamodel.Run
	// Hosts has one entry for each machine.
	Hosts []Host
	// Meta is what perun itself says about the round: its ids, its factors and its own figures, in base units.
	Meta []datamodel.Pair
}

// Host is what perun recorded on one machine.
type Host struct {
	Machine datamodel.HostInfo
	Ledger  datamodel.Ledger
	// Rows are the readings by family of sensors.
	Rows    []store.Rows
	Missing []sensors.Absence
}

// fileLimit bounds the size of a file, in bytes. In memory its values take a few times as much.
const fileLimit = 256 << 20

// The types of nodes, as perun stores them.
const (
	appNode      = 1
	multiRunNode = 2
	runNode      = 3
	hostNode     = 4
	groupNode    = 5
	sensorNode   = 6
)

// node is a node of perun's tree.
type node struct {
	ID       string                     `json:"id"`
	Type     int                        `json:"type"`
	Metadata map[string]json.RawMessage `json:"metadata"`
	Metrics  map[string]metric          `json:"metrics"`
	Device   string                     `json:"deviceType"`
	Nodes    nodes                      `json:"nodes"`
	Raw      *rawData                   `json:"raw_data"`
}

// metric is a figure that perun made. Value is set in a round, Mean over several rounds.
type metric struct {
	Value *float64 `json:"value"`
	About about    `json:"metric_md"`
}

// about says what numbers mean. A number times Factor is in Unit.
type about struct {
	Unit   string   `json:"unit"`
	Factor float64  `json:"mag"`
	Most   *float64 `json:"max"`
}

// rawData holds the readings of a sensor. For counters of energy and bytes, perun replaces Values by a rate and moves the
// counter to Counter.
type rawData struct {
	Times        []*float64 `json:"timesteps"`
	Values       []*float64 `json:"values"`
	Counter      []*float64 `json:"alt_values"`
	AboutTimes   about      `json:"t_md"`
	AboutValues  about      `json:"v_md"`
	AboutCounter *about     `json:"alt_v_md"`
}

// nodes are the children of a node, sorted by their ids. perun writes an object within a list of one.
type nodes []node

// UnmarshalJSON reads the object, in a list or not.
func (n *nodes) UnmarshalJSON(text []byte) error {
	list := []map[string]node{nil}
	var err error
	if bytes.HasPrefix(text, []byte("[")) {
		err = json.Unmarshal(text, &list)
	} else {
		err = json.Unmarshal(text, &list[0])
	}
	if err != nil {
		return err
	}
	for _, object := range list {
		for _, id := range slices.Sorted(maps.Keys(object)) {
			*n = append(*n, object[id])
		}
	}
	return nil
}

// Read reads a file of perun. Its runs are in the order of their ids, with the rounds in order.
func Read(from io.Reader) ([]Run, error) {
	text, err := io.ReadAll(io.LimitReader(from, fileLimit+1))
	if err != nil {
		return nil, err
	}
	if len(text) > fileLimit {
		return nil, fmt.Errorf("more than %d MiB", fileLimit>>20)
	}
	if err := other(text); err != nil {
		return nil, err
	}
	var app node
	if err := json.Unmarshal(finite(text), &app); err != nil {
		if bad, ok := errors.AsType[*json.SyntaxError](err); ok && bad.Offset >= int64(len(text)) {
			return nil, fmt.Errorf("the file ends in the middle: perun was interrupted, or the disk was full: %w", io.ErrUnexpectedEOF)
		}
		return nil, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	if app.Type != appNode || app.ID == "" {
		return nil, fmt.Errorf("%w: it has no application at its top", ErrForeign)
	}
	var runs []Run
	for _, multi := range app.Nodes {
		if multi.Type != multiRunNode {
			return nil, fmt.Errorf("%w: %q is no run", ErrForeign, multi.ID)
		}
		rounds := slices.Clone(multi.Nodes)
		slices.SortStableFunc(rounds, func(a, b node) int { return number(a.ID) - number(b.ID) })
		for _, round := range rounds {
			r, err := runOf(app, multi, round)
			if err != nil {
				return nil, fmt.Errorf("run %s, round %s: %w", multi.ID, round.ID, err)
			}
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		return nil, errors.New("it has no runs")
	}
	return runs, nil
}

// other returns an error for files of perun in another format.
func other(text []byte) error {
	const way = ": `perun export FILE json` makes JSON of it"
	switch {
	case bytes.HasPrefix(text, []byte("\x89HDF\r\n")):
		return fmt.Errorf("%w but its HDF5 file%s", ErrForeign, way)
	case bytes.HasPrefix(text, []byte{0x80}):
		return fmt.Errorf("%w but a pickle%s", ErrForeign, way)
	case len(bytes.TrimSpace(text)) == 0:
		return fmt.Errorf("%w: it is empty", ErrForeign)
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")):
		return fmt.Errorf("%w with readings, but a list, like that of its format bench%s", ErrForeign, way)
	}
	return nil
}

// finite returns JSON with null in place of NaN and infinity, which Python writes and JSON does not have.
func finite(text []byte) []byte {
	if !bytes.Contains(text, []byte("NaN")) && !bytes.Contains(text, []byte("Infinity")) {
		return text
	}
	out := make([]byte, 0, len(text))
	quoted := false
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch {
		case quoted && text[i] == '\\' && len(rest) > 1:
			out = append(out, text[i], text[i+1])
			i++
			continue
		case text[i] == '"':
			quoted = !quoted
		case quoted:
		default:
			if word := notFinite(rest); word > 0 {
				out = append(out, "null"...)
				i += word - 1
				continue
			}
		}
		out = append(out, text[i])
	}
	return out
}

// notFinite returns the length of the word for a number that is not finite at the beginning of text; 0 if there is none.
func notFinite(text []byte) int {
	for _, word := range []string{"NaN", "-Infinity", "Infinity"} {
		if bytes.HasPrefix(text, []byte(word)) {
			return len(word)
		}
	}
	return 0
}

// number returns the number of a round, or 0.
func number(id string) int {
	n, err := strconv.Atoi(id)
	if err != nil {
		return 0
	}
	return n
}

// fact returns a text of the metadata; empty if there is none.
func (n node) fact(key string) string {
	var text string
	if json.Unmarshal(n.Metadata[key], &text) == nil {
		return text
	}
	return string(n.Metadata[key]) // a number stays as it is written
}

// runOf makes a run of a round.
func runOf(app, multi, round node) (Run, error) {
	if round.Type != runNode {
		return Run{}, fmt.Errorf("%w: the round is none", ErrForeign)
	}
	start, err := startOf(multi)
	if err != nil {
		return Run{}, err
	}
	out := Run{Meta: metaOf(app, multi, round)}
	version := multi.fact("perun_version")
	r := &out.Run
	*r = datamodel.Run{
		Schema: datamodel.ManifestSchema, Project: app.ID, NoArguments: true, Outcome: datamodel.Done, Start: start,
		Version: strings.TrimSpace("perun " + version), Sources: []datamodel.SourceStats{}, Missing: []sensors.Absence{},
	}
	r.SetCommand([]string{app.ID})
	sum := sha256.New()
	for _, id := range []string{app.ID, multi.ID, round.ID, start.String()} {
		write(sum, id)
	}
	wall := math.NaN()
	interval, _ := strconv.ParseFloat(multi.fact("monitor.sampling_period"), 64)
	for _, n := range round.Nodes {
		if n.Type != hostNode {
			return Run{}, fmt.Errorf("%w: %q is no host", ErrForeign, n.ID)
		}
		h := hostOf(round, n, start, time.Duration(interval*float64(time.Second)), r.Version, sum)
		out.Hosts = append(out.Hosts, h)
		if v := h.Ledger.WallTime; v != nil && !(*v <= wall) {
			wall = *v
		}
	}
	if len(out.Hosts) == 0 {
		return Run{}, errors.New("it has no hosts, so nothing was recorded")
	}
	r.Host = out.Hosts[0].Machine
	if !math.IsNaN(wall) {
		r.WallTime = &wall
	}
	for _, h := range out.Hosts {
		r.Missing = append(r.Missing, h.Missing...)
		for _, rows := range h.Rows {
			r.Sources = append(r.Sources, datamodel.SourceStats{
				Name: rows.Header.Source, Interval: interval, Sensors: len(rows.Header.Sensors), Readings: int64(len(rows.At)),
			})
		}
	}
	r.ID = start.Format(store.IDTime) + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum.Sum(nil)))[:idLength]
	r.Warnings = []datamodel.Warning{{Subject: "run", Text: doubt(r.Version, round)}}
	return out, nil
}

// idLength is the number of letters and digits of an id that follow from the content.
const idLength = 12

// doubt says what perun does not keep, and its own figures, which differ from ergon's.
func doubt(version string, round node) string {
	text := "imported from " + version + ", which keeps no arguments, exit code or time zone (its times are taken as UTC)"
	var own []string
	for _, m := range []struct{ name, unit string }{{"energy", "J"}, {"power", "W"}, {"runtime", "s"}} {
		if f, ok := round.Metrics[m.name]; ok && f.Value != nil {
			own = append(own, strconv.FormatFloat(f.number(), 'g', 4, 64)+" "+m.unit)
		}
	}
	if len(own) > 0 {
		text += "; its own figures, with its factors: " + strings.Join(own, ", ")
	}
	return text
}

// number returns a figure in its base unit, or NaN.
func (m metric) number() float64 {
	if m.Value == nil {
		return math.NaN()
	}
	return *m.Value * m.About.Factor
}

// startOf returns the time of a run. perun writes the local time without its zone.
func startOf(multi node) (time.Time, error) {
	const layout = "2006-01-02T15:04:05.999999"
	text := multi.fact("execution_dt")
	start, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: it has no time (execution_dt %q)", ErrForeign, text)
	}
	return start, nil
}

// metaOf returns what perun itself says about a round.
func metaOf(app, multi, round node) []datamodel.Pair {
	meta := []datamodel.Pair{{Key: "perun/app", Value: app.ID}, {Key: "perun/run", Value: multi.ID}, {Key: "perun/round", Value: round.ID}}
	for _, key := range []string{"power_overhead", "pue", "emissions_factor", "price_factor", "price_unit"} {
		if v := multi.fact("post-processing." + key); v != "" {
			meta = append(meta, datamodel.Pair{Key: "perun/" + key, Value: v})
		}
	}
	for _, key := range []string{"platform", "python", "mpi_version"} {
		if v := round.fact(key); v != "" && v != "None" {
			meta = append(meta, datamodel.Pair{Key: "perun/" + key, Value: v})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(round.Metrics)) {
		if v := round.Metrics[name].number(); !math.IsNaN(v) && !math.IsInf(v, 0) {
			meta = append(meta, datamodel.Pair{Key: "perun/" + name, Value: strconv.FormatFloat(v, 'g', -1, 64)})
		}
	}
	return meta
}

// write adds a word to a digest, so that different words give different digests.
func write(sum hash.Hash, word string) {
	_ = binary.Write(sum, binary.LittleEndian, int64(len(word))) // a hash never fails
	_, _ = io.WriteString(sum, word)
}
