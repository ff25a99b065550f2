package store

import "time"

// Rows are readings of one source that are kept in memory, in the order of time.
type Rows struct {
	// Header describes the source.
	Header SpoolHeader
	// At has the time of each reading, Values as many values a reading as the source has sensors, NaN if there is none.
	At     []time.Duration
	Values []float64
}

// Append adds a reading. It copies values.
func (r *Rows) Append(at time.Duration, values []float64) {
	r.At = append(r.At, at)
	r.Values = append(r.Values, values...)
}
