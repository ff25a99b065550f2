package sampler

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/sensors"
)

// Takeover has the runner's readings before the sampler joins, and what the sampler needs to go on without a gap.
type Takeover struct {
	// Monotonic is the moment from which times are counted, in ns of the kernel's monotonic clock, which all processes share.
	Monotonic int64 `json:"monotonic"`
	// Wall is the wall-clock time of that moment.
	Wall    time.Time `json:"wall"`
	Sources []Handed  `json:"sources"`
	// Marks are the marks of the command that the runner has received.
	Marks []datamodel.Mark `json:"marks,omitempty"`
}

// Handed is the runner's part of one source.
type Handed struct {
	Name string `json:"name"`
	// Sensors are the sensor ids, in the order of a row's values.
	Sensors []string `json:"sensors"`
	// At has the times of the rows. Values has the rows' values as float64, little endian.
	At     []time.Duration `json:"at"`
	Values []byte          `json:"values"`
	// Beats is the number of beats so far.
	Beats int64                 `json:"beats"`
	Stats datamodel.SourceStats `json:"stats"`
	Gone  bool                  `json:"gone,omitempty"`
	// Numbers come from the source's Handover. Files is its number of descriptors; these travel over the socket.
	Numbers []int64 `json:"numbers,omitempty"`
	Files   int     `json:"files,omitempty"`
	files   []int
}

// files returns the number of descriptors of each source.
func (t *Takeover) files() []int {
	n := make([]int, len(t.Sources))
	for i, h := range t.Sources {
		n[i] = h.Files
	}
	return n
}

// rows decodes the values of the rows, in the order of the list. A sensor that the runner did not have reads NaN.
func (h *Handed) rows(list []sensors.Sensor) ([]float64, error) {
	if len(h.Values) != 8*len(h.At)*len(h.Sensors) {
		return nil, fmt.Errorf("take over %s: %d bytes are not %d rows of %d sensors", h.Name, len(h.Values), len(h.At), len(h.Sensors))
	}
	from := make([]int, len(list))
	for i, s := range list {
		from[i] = i
		if i >= len(h.Sensors) || h.Sensors[i] != s.ID {
			from[i] = slices.Index(h.Sensors, s.ID)
		}
	}
	values := make([]float64, 0, len(h.At)*len(list))
	for i := range h.At {
		row := h.Values[8*i*len(h.Sensors):]
		for _, j := range from {
			v := math.NaN()
			if j >= 0 {
				v = math.Float64frombits(binary.LittleEndian.Uint64(row[8*j:]))
			}
			values = append(values, v)
		}
	}
	return values, nil
}

// Join continues the runner's engine. files has the descriptors of each source of t.
func (e *Engine) Join(t *Takeover, files [][]int) error {
	began, err := fromMonotonic(t.Monotonic)
	if err != nil {
		return err
	}
	e.clockFrom(began)
	for _, l := range e.lanes {
		for _, r := range l.readers {
			r.header.Anchor = t.Wall
			i := slices.IndexFunc(t.Sources, func(h Handed) bool { return h.Name == r.name })
			if i < 0 {
				continue
			}
			if err := r.takeOver(&t.Sources[i], files[i]); err != nil {
				return err
			}
			files[i] = nil
			l.beats = max(l.beats, t.Sources[i].Beats)
		}
	}
	e.listener.write(t.Marks)
	for _, left := range files {
		closeFiles(left) // this engine does not have their source
	}
	return e.run(1)
}

// takeOver continues the runner's readings of the source.
func (r *reader) takeOver(h *Handed, files []int) error {
	values, err := h.rows(r.list)
	if err != nil {
		closeFiles(files)
		return err
	}
	r.kept.At, r.kept.Values = h.At, values
	interval, n := r.stats.Interval, r.stats.Sensors
	r.stats, r.gone = h.Stats, h.Gone
	r.stats.Interval, r.stats.Sensors = interval, n
	c, ok := r.source.(sensors.Continuer)
	if !ok {
		closeFiles(files)
		return nil
	}
	return c.TakeOver(sensors.Handover{Numbers: h.Numbers, Files: files})
}
