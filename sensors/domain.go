package sensors

// DomainKind is the kind of a part of a machine.
type DomainKind string

// The kinds. Package account decides which of them contain others and which are summed.
const (
	// NoDomain is the kind of a sensor that reads no energy or power.
	NoDomain DomainKind = ""
	// UnknownDomain has a name that ergon does not know. It may overlap any other domain.
	UnknownDomain DomainKind = "unknown"
	// PackageDomain is a processor package, or one die of it.
	PackageDomain DomainKind = "package"
	// DRAMDomain is memory outside the package.
	DRAMDomain DomainKind = "dram"
	// CoreDomain is the cores or the graphics of a package.
	CoreDomain DomainKind = "core"
	// PlatformDomain is psys, which contains the packages and, on some boards, much of the rest.
	PlatformDomain DomainKind = "platform"
	// GPUDomain is a GPU with its memory, GPUMemoryDomain its memory alone, and GPUModuleDomain a module that holds a GPU and
	// a processor.
	GPUDomain       DomainKind = "gpu"
	GPUMemoryDomain DomainKind = "gpu_memory"
	GPUModuleDomain DomainKind = "gpu_module"
	// SocketMeter is a power meter of a processor with its memory, and SocketPartMeter of a part of it. ModuleMeter is a
	// power meter of a whole module, including GPUs, and MachineMeter of the whole machine.
	SocketMeter     DomainKind = "socket_meter"
	SocketPartMeter DomainKind = "socket_part_meter"
	ModuleMeter     DomainKind = "module_meter"
	MachineMeter    DomainKind = "machine_meter"
	// BatteryDomain is everything that a battery supplies.
	BatteryDomain DomainKind = "battery"
)

// Domain is the part of a machine whose energy or power a sensor reads. A backend declares it from what the hardware or
// the kernel says. Two sensors measure the same thing if their domains differ only in Mirror or Wider.
type Domain struct {
	Kind DomainKind `json:"kind,omitempty"`
	// Socket is the number of the processor package, module or platform view, from 0.
	Socket int `json:"socket,omitempty"`
	// Die is the number of the die in its package, counted from 1. 0 is the whole package.
	Die int `json:"die,omitempty"`
	// GPU is the UUID of the GPU.
	GPU string `json:"gpu,omitempty"`
	// Part tells domains of the same kind and place apart: "uncore", "core-3", a meter's device, a battery's name.
	Part string `json:"part,omitempty"`
	// Mirror means that the sensor reads another sensor's counter in a different way: intel-rapl-mmio and intel-rapl.
	Mirror bool `json:"mirror,omitempty"`
	// Wider means that the job may use only a part of the domain: an instance of a GPU.
	Wider bool `json:"wider,omitempty"`
}

// Thing returns the domain without Mirror and Wider. It is equal for all sensors that measure the same thing.
func (d Domain) Thing() Domain {
	d.Mirror, d.Wider = false, false
	return d
}

// Package returns the domain of the processor package or die that holds d.
func (d Domain) Package() Domain {
	return Domain{Kind: PackageDomain, Socket: d.Socket, Die: d.Die}
}
