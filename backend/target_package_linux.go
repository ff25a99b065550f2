package backend

import (
	"fmt"
	"strconv"
	"time"

	"github.com/ergon-energy/ergon/internal/cgroup"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// packageMeter reads the target's CPU time on each processor package, from which the accounting computes the target's
// share of each package's energy. Only version 1 of cgroups counts it.
type packageMeter struct {
	meter *cgroup.PerCPUMeter
	cpus  [][]int
	list  []sensors.Sensor
}

// openPackages returns nil if the machine has only one package, or if the cgroup does not count time by processor.
func openPackages(sys, group string) *packageMeter {
	meter, err := cgroup.OpenPerCPU(group)
	if err != nil { // version 2, for example
		return nil
	}
	p := &packageMeter{meter: meter}
	if !p.find(sys) {
		_ = meter.Close() // nothing was written
		return nil
	}
	return p
}

// find lists the packages. It returns false if there is only one, or if the topology is unknown.
func (p *packageMeter) find(sys string) bool {
	online := members(text(sys, cpus+"/online"))
	seen := make(map[int]bool)
	for _, n := range online {
		if seen[n] {
			continue
		}
		topology := fmt.Sprintf("%s/cpu%d/topology/", cpus, n)
		list := text(sys, topology+"core_siblings_list")
		of := members(list)
		if len(of) == 0 || len(of) == len(online) { // unknown, or a single package
			return false
		}
		for _, sibling := range of {
			seen[sibling] = true
		}
		socket, err := strconv.Atoi(text(sys, topology+"physical_package_id"))
		if err != nil || socket < 0 {
			return false
		}
		device := "package-" + strconv.Itoa(socket)
		p.cpus = append(p.cpus, of)
		s := placed("target", device, "cpu_time", sensors.Sensor{
			Unit: units.Second, Kind: sensors.Counter, Use: sensors.TargetPackageCPU, Method: sensors.ByCgroup,
			OfTarget: true, Sparse: true, CPUs: list,
			Domain: sensors.Domain{Kind: sensors.PackageDomain, Socket: socket}, Source: "cgroup v1 cpuacct.usage_percpu",
			Doc: "CPU time on this package of everything that ran in the target's cgroup",
		})
		p.list = append(p.list, s)
	}
	return len(p.list) > 1
}

// read sets dst[i] to the CPU time in s on the package of list[i]. If it cannot be read, dst stays as it is.
func (p *packageMeter) read(dst []float64) {
	used, err := p.meter.Read()
	if err != nil {
		return
	}
	for i, of := range p.cpus {
		var sum time.Duration
		for _, n := range of {
			if n >= len(used) {
				return
			}
			sum += used[n]
		}
		dst[i] = sum.Seconds()
	}
}
