package datamodel

import "github.com/ergon-energy/ergon/units"

// gpuTargetEnergy is the target's share of the GPUs' energy, which needs to know who used them.
func (b *builder) gpuTargetEnergy(gpu Metric) Metric {
	const name = "gpu_target_energy"
	if gpu.Reason != "" {
		return Missing(name, units.Joule, gpu.Reason)
	}
	return Missing(name, units.Joule, "which processes used the GPUs was not read")
}
