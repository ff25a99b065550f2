package account

import (
	_ "embed" // the table of rated powers
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
)

// ratedTable is the table of rated powers of processors that are in wide use. Each was looked up in its maker's list, in
// the exports of these lists that CodeCarbon keeps for its own table. It lacks mobile parts whose power the maker gives
// as a range only, and parts that cloud providers have made for themselves. AMD lists threads; Intel's are twice the
// cores if the processor has Hyper-Threading.
//
// A line of two fields names a list and its date. The lines below it have the model, the power in W and the threads.
//
//go:embed rated.csv
var ratedTable string

// ratedList is rated powers that one manufacturer gives for its processors.
type ratedList struct {
	// source names the list, date the newest entry in it when it was read.
	source, date string
	rows         []ratedCPU
}

// ratedCPU is the rated power of one processor package in W: what its maker says it takes at its base frequency under a
// high load (TDP, default TDP, processor base power). Peaks and turbo are above it.
type ratedCPU struct {
	// model is the name as modelName leaves it of that in /proc/cpuinfo.
	model   string
	power   float64
	threads int
}

// ratedLists reads the table.
func ratedLists() ([]ratedList, error) {
	r := csv.NewReader(strings.NewReader(ratedTable))
	r.FieldsPerRecord = -1
	records, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("rated powers: %w", err)
	}
	var out []ratedList
	for i, f := range records {
		switch {
		case len(f) == 2:
			out = append(out, ratedList{source: f[0], date: f[1]})
			continue
		case len(f) != 3 || len(out) == 0:
			return nil, fmt.Errorf("rated powers: record %d has %d fields", i+1, len(f))
		}
		power, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			return nil, fmt.Errorf("rated powers: record %d: %w", i+1, err)
		}
		threads, err := strconv.Atoi(f[2])
		if err != nil {
			return nil, fmt.Errorf("rated powers: record %d: %w", i+1, err)
		}
		list := &out[len(out)-1]
		list.rows = append(list.rows, ratedCPU{f[0], power, threads})
	}
	return out, nil
}
