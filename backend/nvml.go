package backend

import (
	"os"
	"time"

	"github.com/ergon-energy/ergon/sensors"
)

// nvmlBackend reads NVIDIA GPUs through the driver's library NVML: energy, power, load, memory, temperature and clocks. It
// reads each GPU that the job may see (CUDA_VISIBLE_DEVICES), or all with Setup.AllGPUs. The family of the sensors is gpu,
// and the device is the UUID.
//
// A driver may take milliseconds to answer, and seconds if a GPU is in trouble. So the family reads alone. The driver updates
// its readings every 20 to 100 ms, depending on the GPU (Yang et al., Part-time Power Measurements, SC '24). So it is read
// more often only if asked for by name.
func nvmlBackend() sensors.Backend {
	return sensors.Backend{
		Name:     "nvml",
		Family:   "gpu",
		Energy:   true,
		Doc:      "NVIDIA GPUs: energy, power, load, memory, temperature, clocks (NVML)",
		Alone:    true,
		Baseline: true,
		Interval: 100 * time.Millisecond,
		There:    thereNVML,
		Open:     openNVML,
	}
}

// thereNVML returns nil if the file system shows an NVIDIA driver: its folder in procfs, its device nodes, or those of WSL 2
// and Tegra. Only openNVML loads the library.
func thereNVML(setup sensors.Setup) error {
	if setup.NVML != "" {
		return nil
	}
	for _, path := range []string{"/proc/driver/nvidia", "/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/nvmap"} {
		if _, err := os.Lstat(path); err == nil {
			return nil
		}
	}
	return unavailable(sensors.NoDriver, "no NVIDIA driver: neither /proc/driver/nvidia nor a device node exists")
}
