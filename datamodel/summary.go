package datamodel

// Summary is the run node's metrics in the order of the catalogue, missing ones included.
func (r Result) Summary() []Metric {
	var run *Node
	if r.Tree != nil {
		run = r.Tree.First(RunLevel)
	}
	fields := Summary()
	out := make([]Metric, len(fields))
	for i, f := range fields {
		out[i] = Missing(f.Name, f.Unit, "not measured")
		if run != nil {
			out[i] = run.Metric(f.Name)
			out[i].Unit = f.Unit
		}
	}
	return out
}
