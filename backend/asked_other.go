//go:build !linux

package backend

import (
	"fmt"
	"os"

	"github.com/ergon-energy/ergon/sensors"
)

// asked is a source that calls gopsutil at each reading. It keeps no file open, and it allocates.
type asked struct {
	list   []sensors.Sensor
	ask    func(dst []float64) error
	closed bool
}

// newAsked returns a source if a first call succeeds.
func newAsked(list []sensors.Sensor, ask func(dst []float64) error) (sensors.Source, []sensors.Absence, error) {
	a := &asked{list: list, ask: ask}
	if err := a.Read(make([]float64, len(list))); err != nil {
		return nil, nil, unavailable(cause(err), reason(err))
	}
	return a, nil, nil
}

func (a *asked) Sensors() []sensors.Sensor { return a.list }

func (a *asked) Read(dst []float64) error {
	missing(dst)
	if a.closed {
		return fmt.Errorf("read: %w", os.ErrClosed)
	}
	if err := a.ask(dst); err != nil {
		missing(dst)
		return err
	}
	return nil
}

func (a *asked) Close() error {
	a.closed = true
	return nil
}
