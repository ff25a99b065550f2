//go:build !linux || !cgo

package backend

import (
	"context"
	"runtime"

	"github.com/ergon-energy/ergon/sensors"
)

// openNVML returns an error that says what this build lacks. go-nvml needs cgo, and dlopen as on Linux.
func openNVML(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	if runtime.GOOS != "linux" {
		return nil, nil, unavailable(sensors.Unsupported, "NVML is read on Linux only")
	}
	return nil, nil, unavailable(sensors.Unsupported, "this build has no NVML: it was built without cgo (CGO_ENABLED=0)")
}
