package cgroup

// Place is the group of this process in one useful hierarchy.
type Place struct {
	// Version is the version of the hierarchy, 1 or 2.
	Version int
	// Controller is the controller of a v1 hierarchy, "cpuacct" or "memory"; empty in v2.
	Controller string
	// Dir is the group's folder.
	Dir string
}

// Here lists the groups below which Make would make groups, in order of preference. It makes none. The error says that
// this system has no cgroups.
func Here() ([]Place, error) {
	found, err := located()
	places := make([]Place, len(found))
	for i, h := range found {
		places[i] = Place{h.version, h.controller, h.dir}
	}
	return places, err
}
