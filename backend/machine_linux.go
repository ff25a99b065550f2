package backend

import "github.com/ergon-energy/ergon/sensors"

func (m *Machine) ask(h sensors.Host) { m.fromFiles(h) }
