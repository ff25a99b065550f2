package account

import (
	_ "embed" // the table of rated powers
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
)

// ratedTable holds the rated powers of widely used processors. Each was looked up in its manufacturer's list, in the
// exports of these lists that CodeCarbon keeps for its own table. The table lacks mobile parts whose power the
// manufacturer gives only as a range. It also lacks parts that cloud providers made for themselves. AMD lists threads.
// For Intel, threads are twice the cores if the processor has Hyper-Threading.
//
// A line of two fields names a list and its date. The lines below it have the model, the power in W and the threads.
//
//go:embed rated.csv
var ratedTable string

// ratedList holds the rated powers that one manufacturer gives for its processors.
type ratedList struct {
	// source names the list. date is the newest entry in it when it was read.
	source, date string
	rows         []ratedCPU
}

// ratedCPU is the rated power of one processor package in W. It is the power that the manufacturer states for its base
// frequency under a high load (TDP, default TDP, processor base power). Peaks and turbo are higher.
type ratedCPU struct {
	// model is the name in /proc/cpuinfo as modelName shortens it.
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
