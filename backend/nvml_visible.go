//go:build linux && cgo

package backend

import (
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
)

// gpuIdentity is a GPU as CUDA_VISIBLE_DEVICES may mean it; both are empty for one that gave no answer.
type gpuIdentity struct{ uuid, model string }

var (
	errNotVisible = &absenceError{sensors.Hidden, "not visible to this job (CUDA_VISIBLE_DEVICES)"}
	// errUnknownOrder is why no GPU is read if it would be a guess which ones the job has.
	errUnknownOrder = &absenceError{
		sensors.UnknownOrder, "CUDA_VISIBLE_DEVICES has numbers, and CUDA numbers GPUs of different models by speed: " +
			"set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name the GPUs by UUID",
	}
)

// visibleGPUs tells which of the GPUs, in the order of NVML, CUDA_VISIBLE_DEVICES leaves to a program, and why not the
// others. It reads the setting as CUDA does (CUDA Programming Guide, CUDA environment variables): numbers, UUIDs or
// unambiguous beginnings of one, and MIG instances, up to the first entry that is none of these, such as -1; an empty
// setting leaves nothing.
//
// NVML counts GPUs by their place on the bus. So does CUDA with CUDA_DEVICE_ORDER=PCI_BUS_ID; without, it counts the fastest
// first, by a measure that it does not tell. GPUs of one model stay in the order of the bus. Where they differ a
// number means a GPU that cannot be known here, and none is shown, unless the setting shows all.
//
// An instance of MIG shows its whole GPU: power and energy are not measured for a part of one.
func visibleGPUs(gpus []gpuIdentity, setting string, busOrder bool, parent func(mig string) string) (shown []bool, why error) {
	shown = make([]bool, len(gpus))
	numbers := false
	for entry := range strings.SplitSeq(setting, ",") {
		at, number := visibleGPU(gpus, strings.TrimSpace(entry), parent)
		if at < 0 {
			break
		}
		shown[at] = true
		numbers = numbers || number
	}
	if !numbers || busOrder {
		return shown, errNotVisible
	}
	all, same := true, true
	for i, g := range gpus {
		all = all && shown[i]
		same = same && g.model == gpus[0].model && (g.model != "" || len(gpus) == 1)
	}
	if all || same {
		return shown, errNotVisible
	}
	return make([]bool, len(gpus)), errUnknownOrder
}

// visibleGPU is the GPU an entry means, less than 0 for none, and whether it does so by number.
func visibleGPU(gpus []gpuIdentity, entry string, parent func(mig string) string) (at int, number bool) {
	if n, err := strconv.ParseUint(entry, 10, 31); err == nil {
		if n < uint64(len(gpus)) {
			return int(n), true
		}
		return -1, true
	}
	uuid := entry
	if mig, ok := strings.CutPrefix(entry, "MIG-"); ok {
		if strings.HasPrefix(mig, "GPU-") { // before driver 470: MIG-GPU-<uuid>/<GPU instance>/<compute instance>
			uuid, _, _ = strings.Cut(mig, "/")
		} else {
			uuid = parent(entry)
		}
	}
	at = -1
	if !strings.HasPrefix(uuid, "GPU-") {
		return at, false
	}
	for i, g := range gpus {
		if strings.HasPrefix(g.uuid, uuid) {
			if at >= 0 {
				return -1, false
			}
			at = i
		}
	}
	return at, false
}
