package runner

import (
	"fmt"
	"slices"
)

// State is a stage of a run.
type State uint8

// The five stages. A failure is not a stage: it is an outcome, and the step to Closed.
const (
	Setup State = iota
	Ready
	Running
	Processing
	Closed
)

// steps lists the states that may follow. Processing to Ready begins the next round of several.
func (s State) steps() []State {
	switch s {
	case Setup:
		return []State{Ready, Closed}
	case Ready:
		return []State{Running, Closed}
	case Running:
		return []State{Processing, Closed}
	case Processing:
		return []State{Ready, Closed}
	case Closed:
	}
	return nil
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

// machine has the state and checks each step.
type machine struct{ state State }

// become takes a step. A step that is not in the table is a bug in this package, so become panics.
func (m *machine) become(to State) {
	if !slices.Contains(m.state.steps(), to) {
		panic(fmt.Sprintf("runner: no step from %v to %v", m.state, to))
	}
	m.state = to
}
