//go:build linux && cgo

package backend

import (
	"strconv"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
)

// gpuIdentity identifies a GPU for CUDA_VISIBLE_DEVICES. Both fields are empty if the GPU gave no answer.
type gpuIdentity struct{ uuid, model string }

var (
	errNotVisible = &absenceError{sensors.Hidden, "not visible to this job (CUDA_VISIBLE_DEVICES)"}
	// errUnknownOrder is the reason if it is unknown which GPUs belong to the job.
	errUnknownOrder = &absenceError{
		sensors.UnknownOrder, "CUDA_VISIBLE_DEVICES has numbers, and CUDA numbers GPUs of different models by speed: " +
			"set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name the GPUs by UUID",
	}
)

// visibleGPUs returns which GPUs, in the order of NVML, CUDA_VISIBLE_DEVICES shows to a program, and why not the others. It
// parses the setting as CUDA does (CUDA Programming Guide, CUDA environment variables). Entries are numbers, UUIDs or
// unambiguous prefixes of UUIDs, and MIG instances. The first other entry, such as -1, ends the list. An empty setting
// shows nothing.
//
// NVML numbers GPUs by their place on the bus. So does CUDA with CUDA_DEVICE_ORDER=PCI_BUS_ID. Otherwise CUDA puts the fastest
// GPU first, by an undocumented measure; GPUs of one model stay in the order of the bus. If the models differ, a number
// means an unknown GPU. Then no GPU is shown, unless the setting shows all.
//
// A MIG instance shows its whole GPU, because power and energy are not measured for a part of a GPU.
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

// visibleGPU returns the index of the GPU that an entry selects, negative for none, and whether the entry is a number.
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
