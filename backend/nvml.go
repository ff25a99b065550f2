package backend

import (
	"time"

	"github.com/ergon-energy/ergon/sensors"
)

// nvmlBackend is what NVIDIA's GPUs say of themselves through the driver's library, NVML: energy, power, load, memory,
// temperature and clocks of each GPU that the job may see (CUDA_VISIBLE_DEVICES), by its UUID, or of all with
// Host.AllGPUs. The family of the sensors is gpu.
//
// A driver may take milliseconds to answer and, with a GPU in trouble, seconds: the family reads alone. It updates its
// readings every 20 to 100 ms, depending on the GPU (Yang et al., Part-time Power Measurements, SC '24), so that
// reading more often tells little, and is done only if asked for by name.
func nvmlBackend() sensors.Backend {
	return sensors.Backend{
		Name:     "nvml",
		Doc:      "NVIDIA GPUs: energy, power, load, memory, temperature, clocks (NVML)",
		Alone:    true,
		Interval: 100 * time.Millisecond,
		Open:     openNVML,
	}
}
