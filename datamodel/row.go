package datamodel

// Row is a figure in a table of figures: CSV, Parquet, Arrow.
type Row struct {
	// Run is the id of the run.
	Run string
	// Path is the path of the node that has the figure; it is empty for the summary. Level is the node's level, or
	// "process".
	Path, Level string
	// Metric is the figure. If its value is missing, Reason says why.
	Metric
}
