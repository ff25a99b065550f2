package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/report"
)

// This file is --export FILE of run, record and report.

// export is a file to write, and its format.
type export struct {
	format report.Format
	path   string
}

// fileFormats lists the formats of a file: those of a report, and its figures as a table for data frames. The table has the
// rows and the columns of the CSV.
func fileFormats() []report.Format {
	figures := func(write func(io.Writer, []datamodel.Row) error) func(io.Writer, datamodel.Result, report.Options) error {
		return func(w io.Writer, r datamodel.Result, o report.Options) error { return write(w, report.Figures(r, o)) }
	}
	return append(report.All(),
		report.Format{Name: "parquet", Extension: ".parquet", Doc: "the rows of the CSV as Parquet", Write: figures(store.WriteFiguresParquet)},
		report.Format{Name: "junit", Extension: ".xml", Doc: "JUnit XML: the exit code, and a test case for each budget", Write: report.WriteJUnit},
		report.Format{Name: "openmetrics", Extension: ".prom", Doc: "OpenMetrics text: the summary and the budgets, for GitLab's metrics report", Write: report.WriteOpenMetrics},
		report.Format{Name: "arrow", Extension: ".arrow", Doc: "the rows of the CSV as an Arrow IPC file", Write: figures(store.WriteFiguresArrow)},
	)
}

// exportOption collects the files of --export.
func exportOption(to *[]export, usage string, in scope) *option {
	return &option{
		name: "export", group: forSummary, scope: in, value: exports{to},
		usage: usage + " `FILE`: .txt, .json, .csv, .md, .html, .parquet, .arrow, .xml (JUnit) or .prom (OpenMetrics), or FORMAT=FILE; may be repeated",
	}
}

// exports collects the files of --export.
type exports struct{ to *[]export }

func (v exports) Set(given string) error {
	all := fileFormats()
	name, path, named := strings.Cut(given, "=")
	at := slices.IndexFunc(all, func(f report.Format) bool { return named && f.Name == name })
	if at < 0 {
		path = given
		at = slices.IndexFunc(all, func(f report.Format) bool { return f.Extension == filepath.Ext(given) })
	}
	switch {
	case path == "":
		return errors.New("no file given")
	case at < 0:
		var known, names []string
		for _, f := range all {
			known, names = append(known, f.Extension), append(names, f.Name)
		}
		return fmt.Errorf("cannot tell the format of %q (%s, or FORMAT=FILE with one of %s)", given, strings.Join(known, " "), strings.Join(names, ", "))
	}
	*v.to = append(*v.to, export{all[at], path})
	return nil
}

func (v exports) String() string { return "" }

func (v exports) Current() string {
	var list []string
	for _, e := range *v.to {
		list = append(list, e.format.Name+"="+e.path)
	}
	return strings.Join(list, ",")
}

// exportReport writes the report of runs to files. Only the page shows several.
func (p *program) exportReport(o ReportOptions, runs []report.Shown) error {
	for _, e := range o.Exports {
		if err := writable(e.path); err != nil {
			return &usage{fmt.Errorf("--export: %w", err)}
		}
	}
	options := report.Options{Unicode: true, Verbose: true, Processes: true, Setup: true, All: o.All, Results: runs[0].Results}
	for _, e := range o.Exports {
		err := store.WriteFile(e.path, here().owner(e.path).account(), func(w io.Writer) error {
			if e.format.Name == pageFormat {
				return report.WritePage(w, runs)
			}
			return e.format.Write(w, runs[0].Result, options)
		})
		if err != nil {
			return fmt.Errorf("--export: %w", err)
		}
	}
	return nil
}

// pages reports whether all files are pages.
func (v exports) pages() bool {
	return !slices.ContainsFunc(*v.to, func(e export) bool { return e.format.Name != pageFormat })
}

// page reports whether one of the files is a page.
func (v exports) page() bool {
	return slices.ContainsFunc(*v.to, func(e export) bool { return e.format.Name == pageFormat })
}
