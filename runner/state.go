package runner

import "fmt"

// State is a stage of a run.
type State uint8

// The five stages. A failure is no stage: it is an outcome and the step to Closed.
const (
	Setup State = iota
	Ready
	Running
	Processing
	Closed
)

// next is the one table of the steps there are. Processing to Ready is the next round of several.
var next = [...][]State{
	Setup:      {Ready, Closed},
	Ready:      {Running, Closed},
	Running:    {Processing, Closed},
	Processing: {Ready, Closed},
	Closed:     nil,
}

func (s State) String() string {
	switch s {
	case Setup:
		return "setup"
	case Ready:
		return "ready"
	case Running:
		return "running"
	case Processing:
		return "processing"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// machine performs the steps and tells the observer.
type machine struct {
	state   State
	observe func(from, to State)
}

// become takes a step. One that is not in the table is a bug in this package, not an error of a user's.
func (m *machine) become(to State) {
	for _, s := range next[m.state] {
		if s == to {
			from := m.state
			m.state = to
			if m.observe != nil {
				m.observe(from, to)
			}
			return
		}
	}
	panic(fmt.Sprintf("runner: no step from %v to %v", m.state, to))
}
