package backend

import (
	"os"
	"time"

	"github.com/ergon-energy/ergon/sensors"
)

// nvmlBackend is what NVIDIA's GPUs say of themselves through the driver's library, NVML: energy, power, load, memory,
// temperature and clocks of each GPU that the job may see (CUDA_VISIBLE_DEVICES), by its UUID, or of all with
// Setup.AllGPUs. The family of the sensors is gpu.
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
		There:    thereNVML,
		Open:     openNVML,
	}
}

// thereNVML says whether a driver of NVIDIA's is there, by what it shows in the file system: its folder in procfs, its
// devices, that of WSL 2 and that of Tegra. The library is only loaded by openNVML.
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
