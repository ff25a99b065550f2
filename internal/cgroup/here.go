package cgroup

// Place is the group this process is in, in one hierarchy that is of use.
type Place struct {
	// Version is that of the hierarchy, 1 or 2.
	Version int
	// Controller is that of a hierarchy of v1, "cpuacct" or "memory"; empty in v2.
	Controller string
	// Dir is the group's folder.
	Dir string
}

// Here lists the groups Make would make its own below, in the order of preference, and makes none. The error says that
// this system has no cgroups.
func Here() ([]Place, error) {
	found, err := located()
	places := make([]Place, len(found))
	for i, h := range found {
		places[i] = Place{h.version, h.controller, h.dir}
	}
	return places, err
}
