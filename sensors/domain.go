package sensors

// DomainKind is the kind of a part of a machine.
type DomainKind string

// The kinds. Which of them lie in one another and which are summed is decided in package account.
const (
	// NoDomain is that of a sensor that reads no energy or power.
	NoDomain DomainKind = ""
	// UnknownDomain has a name that is not known. Whether it overlaps another domain cannot be told.
	UnknownDomain DomainKind = "unknown"
	// PackageDomain is a processor package, or one die of it.
	PackageDomain DomainKind = "package"
	// DRAMDomain is memory outside the package.
	DRAMDomain DomainKind = "dram"
	// CoreDomain is cores or graphics, which the package contains.
	CoreDomain DomainKind = "core"
	// PlatformDomain is psys, which contains the packages and on some boards much of the rest.
	PlatformDomain DomainKind = "platform"
	// GPUDomain is a GPU with its memory, GPUMemoryDomain its memory alone, GPUModuleDomain a module with the GPU and its
	// processor on it.
	GPUDomain       DomainKind = "gpu"
	GPUMemoryDomain DomainKind = "gpu_memory"
	GPUModuleDomain DomainKind = "gpu_module"
	// SocketMeter is a power meter of a processor with its memory, SocketPartMeter one of a part of that, ModuleMeter one
	// of all that is on the module, GPUs too, and MachineMeter one of the whole machine.
	SocketMeter     DomainKind = "socket_meter"
	SocketPartMeter DomainKind = "socket_part_meter"
	ModuleMeter     DomainKind = "module_meter"
	MachineMeter    DomainKind = "machine_meter"
	// BatteryDomain is what a battery gives.
	BatteryDomain DomainKind = "battery"
)

// Domain is the part of a machine whose energy or power a sensor reads. A backend declares it from what the hardware or
// the kernel says. Two sensors read the same thing if their domains differ in nothing but Mirror.
type Domain struct {
	Kind DomainKind `json:"kind,omitempty"`
	// Socket is the number of the processor package, module or platform view, from 0.
	Socket int `json:"socket,omitempty"`
	// Die is the number of the die in its package, counted from 1; 0 is the whole package.
	Die int `json:"die,omitempty"`
	// GPU is the UUID of the GPU.
	GPU string `json:"gpu,omitempty"`
	// Part tells domains of one kind and place apart: "uncore", "core-3", a meter's device, a battery's name.
	Part string `json:"part,omitempty"`
	// Mirror says that the sensor reads the counter of another sensor in another way: intel-rapl-mmio beside intel-rapl.
	Mirror bool `json:"mirror,omitempty"`
	// Wider says that the job may use a part of it only: an instance of a GPU.
	Wider bool `json:"wider,omitempty"`
}

// Thing is the domain without the way in which it is read: equal for all sensors that read the same thing.
func (d Domain) Thing() Domain {
	d.Mirror, d.Wider = false, false
	return d
}

// Package is the domain of the processor package or die that holds d.
func (d Domain) Package() Domain {
	return Domain{Kind: PackageDomain, Socket: d.Socket, Die: d.Die}
}
