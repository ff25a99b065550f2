package sampler

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/sensors"
)

// choice is the ordered list of --sensors: the last pattern that matches a sensor decides.
type choice []rule

type rule struct {
	add     bool
	pattern string
	used    bool
}

// parseChoice reads patterns like "+rapl", "-disk*", "gpu/*/power". If the first pattern has no sign, the choice starts with
// no sensor, else with all sensors.
func parseChoice(patterns []string) (choice, error) {
	var c choice
	for _, p := range patterns {
		p = strings.TrimSpace(p)
		r := rule{add: !strings.HasPrefix(p, "-"), pattern: strings.TrimLeft(p, "+-")}
		if _, err := path.Match(r.pattern, ""); err != nil || r.pattern == "" {
			return nil, fmt.Errorf("sensor pattern %q: not a glob: use * ? and [a-z], for example -disk* or +rapl", p)
		}
		if r.pattern == p && len(c) == 0 {
			c = append(c, rule{pattern: "*", used: true})
		}
		c = append(c, r)
	}
	return c, nil
}

// keeps decides whether a sensor is kept, and notes which patterns matched. A pattern may name the backend, the sensor, or
// any leading part of the sensor's id up to a slash.
func (c choice) keeps(backend, id string) bool {
	keep := true
	for i := range c {
		if c[i].matches(backend, id) {
			keep, c[i].used = c[i].add, true
		}
	}
	return keep
}

func (r rule) matches(backend, id string) bool {
	if ok, _ := path.Match(r.pattern, backend); ok || r.pattern == "*" {
		return true
	}
	for i := 0; i <= len(id); i++ {
		if i == len(id) || id[i] == '/' {
			if ok, _ := path.Match(r.pattern, id[:i]); ok {
				return true
			}
		}
	}
	return false
}

// excluded reports whether no sensor of the backend can be kept, so that the backend need not be opened. That is so if its
// name is switched off and no later pattern can switch a sensor on again.
func (c choice) excluded(backend string) bool {
	out := false
	for i := range c {
		switch ok, _ := path.Match(c[i].pattern, backend); {
		case ok || c[i].pattern == "*":
			out, c[i].used = !c[i].add, true
		case c[i].add:
			out = false
		}
	}
	return out
}

// check returns an error for each pattern that matched nothing. The names of backends and families are always known, because
// a script may be written for several machines.
func (c choice) check(backends []sensors.Backend, families ...string) error {
	var errs []error
	for _, r := range c {
		known := r.used
		for _, b := range backends {
			known = known || r.matches(b.Name, b.Name)
		}
		for _, f := range families {
			known = known || r.matches(f, f)
		}
		if !known {
			errs = append(errs, fmt.Errorf("unknown sensor %q: `ergon sensors` lists the sensors of this machine", r.pattern))
		}
	}
	return errors.Join(errs...)
}

// selected is a source without the sensors that were switched off.
type selected struct {
	sensors.Source
	list []sensors.Sensor
	keep []int
	all  []float64
}

// narrow returns the source with the chosen sensors only. It returns nil if none is left.
func (c choice) narrow(backend string, src sensors.Source) sensors.Source {
	list := src.Sensors()
	s := &selected{Source: src, all: make([]float64, len(list))}
	for i, sensor := range list {
		if c.keeps(backend, sensor.ID) {
			s.keep = append(s.keep, i)
			s.list = append(s.list, sensor)
		}
	}
	switch len(s.keep) {
	case 0:
		return nil
	case len(list):
		return src
	}
	return s
}

func (s *selected) Sensors() []sensors.Sensor { return s.list }

func (s *selected) Read(dst []float64) error {
	err := s.Source.Read(s.all)
	for i, k := range s.keep {
		dst[i] = s.all[k]
	}
	return err
}

// Processes passes on what the source knows of processes, if it lists them.
func (s *selected) Processes(yield func(sensors.Process)) time.Time {
	if l, ok := s.Source.(sensors.ProcessLister); ok {
		return l.Processes(yield)
	}
	return time.Time{}
}

// Follow passes on the target's process id, if the source needs it.
func (s *selected) Follow(pid int) error {
	if f, ok := s.Source.(sensors.Follower); ok {
		return f.Follow(pid)
	}
	return nil
}

// HandOver passes on what the source hands over, if it can.
func (s *selected) HandOver() sensors.Handover {
	if c, ok := s.Source.(sensors.Continuer); ok {
		return c.HandOver()
	}
	return sensors.Handover{}
}

// TakeOver passes the handover on, if the source takes one.
func (s *selected) TakeOver(h sensors.Handover) error {
	if c, ok := s.Source.(sensors.Continuer); ok {
		return c.TakeOver(h)
	}
	closeFiles(h.Files)
	return nil
}
