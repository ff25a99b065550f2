//go:build !linux

package backend

import (
	processors "github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"

	"github.com/ergon-energy/ergon/sensors"
)

func ask(m *sensors.Machine, _ sensors.Setup) {
	if kernel, err := host.KernelVersion(); err == nil {
		m.Kernel = kernel
	}
	if list, err := processors.Info(); err == nil && len(list) > 0 {
		m.CPU = list[0].ModelName
	}
	if memory, err := mem.VirtualMemory(); err == nil {
		m.Memory = memory.Total
	}
}
