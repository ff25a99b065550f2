//go:build !linux

package backend

import "errors"

// perfGroup is empty, because only Linux has perf events.
type perfGroup struct {
	first  int
	scales []float64
}

func (g *perfGroup) open(uint32, energyOf, int) error { return errors.ErrUnsupported }

func (g *perfGroup) read(dst []float64) error {
	missing(dst)
	return errors.ErrUnsupported
}

func (g *perfGroup) close() {}
