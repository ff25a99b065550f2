package backend

import "github.com/ergon-energy/ergon/sensors"

func ask(m *sensors.Machine, h sensors.Setup) { fromFiles(m, h) }
