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

// This file is --export FILE of run, record, report and bench.

// export is a file to write, and the name of its format.
type export struct{ format, path string }

// fileFormat is a format of a file: its name, and the end of a file's name that stands for it; "" if none does.
type fileFormat struct{ name, extension string }

// fileFormats lists the formats of a run: those of a report, and its figures as a table for data frames. The table has the
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

// ofRun are the formats of a run, ofBench those of a bench.
func ofRun() (list []fileFormat) {
	for _, f := range fileFormats() {
		list = append(list, fileFormat{f.Name, f.Extension})
	}
	return list
}

func ofBench() (list []fileFormat) {
	for _, f := range report.BenchFormats() {
		list = append(list, fileFormat{f.Name, f.Extension})
	}
	return list
}

// ofCompare are the formats of a comparison. CSV and JSON have the ends that they have everywhere.
func ofCompare() (list []fileFormat) {
	for _, name := range report.CompareFormats() {
		f := fileFormat{name: name}
		if i := slices.IndexFunc(ofEither(), func(e fileFormat) bool { return e.name == name }); i >= 0 {
			f = ofEither()[i]
		}
		list = append(list, f)
	}
	return list
}

// ofEither are the formats of a run and those that only a bench has.
func ofEither() []fileFormat {
	list := ofRun()
	for _, f := range ofBench() {
		if !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

// exportOption collects the files of --export.
func exportOption(to *[]export, of []fileFormat, usage string, in scope) *option {
	var ends, names []string
	for _, f := range of {
		if f.extension != "" {
			ends = append(ends, f.extension)
		} else {
			names = append(names, f.name)
		}
	}
	usage += " `FILE`: " + strings.Join(ends, ", ") + ", or FORMAT=FILE"
	if len(names) > 0 {
		usage += " (also " + strings.Join(names, ", ") + ")"
	}
	return &option{name: "export", group: forSummary, scope: in, value: exports{to, of}, usage: usage + "; may be repeated"}
}

// exports collects the files of --export.
type exports struct {
	to *[]export
	of []fileFormat
}

func (v exports) Set(given string) error {
	name, path, named := strings.Cut(given, "=")
	at := slices.IndexFunc(v.of, func(f fileFormat) bool { return named && f.name == name })
	if at < 0 {
		path = given
		at = slices.IndexFunc(v.of, func(f fileFormat) bool { return f.extension != "" && f.extension == filepath.Ext(given) })
	}
	switch {
	case path == "":
		return errors.New("no file given")
	case at < 0:
		var known, names []string
		for _, f := range v.of {
			names = append(names, f.name)
			if f.extension != "" {
				known = append(known, f.extension)
			}
		}
		return fmt.Errorf("cannot tell the format of %q (%s, or FORMAT=FILE with one of %s)", given, strings.Join(known, " "), strings.Join(names, ", "))
	}
	*v.to = append(*v.to, export{v.of[at].name, path})
	return nil
}

func (v exports) String() string { return "" }

func (v exports) Current() string {
	var list []string
	for _, e := range *v.to {
		list = append(list, e.format+"="+e.path)
	}
	return strings.Join(list, ",")
}

// ofRun returns the format of a run's file; ok is false if only a bench has it.
func (e export) ofRun() (f report.Format, ok bool) {
	all := fileFormats()
	at := slices.IndexFunc(all, func(f report.Format) bool { return f.Name == e.format })
	if at < 0 {
		return f, false
	}
	return all[at], true
}

// writeExports writes files, each by write.
func writeExports(list []export, write func(w io.Writer, e export) error) error {
	for _, e := range list {
		if err := writable(e.path); err != nil {
			return &usage{fmt.Errorf("--export: %w", err)}
		}
	}
	for _, e := range list {
		if err := store.WriteFile(e.path, here().owner(e.path).account(), func(w io.Writer) error { return write(w, e) }); err != nil {
			return fmt.Errorf("--export: %w", err)
		}
	}
	return nil
}

// exportReport writes the report of runs to files. Only the page shows several.
func (p *program) exportReport(o ReportOptions, runs []report.Shown) error {
	for _, e := range o.Exports {
		if _, ok := e.ofRun(); !ok {
			return &usage{fmt.Errorf("--export: %s is a format of a bench, and run %s is none", e.format, runs[0].Run.ID)}
		}
	}
	options := report.Options{Unicode: true, Verbose: true, Processes: true, Setup: true, All: o.All, Results: runs[0].Results}
	return writeExports(o.Exports, func(w io.Writer, e export) error {
		if e.format == pageFormat {
			return report.WritePage(w, runs)
		}
		f, _ := e.ofRun()
		return f.Write(w, runs[0].Result, options)
	})
}

// onlyPages reports whether all files are pages.
func onlyPages(list []export) bool {
	return !slices.ContainsFunc(list, func(e export) bool { return e.format != pageFormat })
}

// anyPage reports whether one of the files is a page.
func anyPage(list []export) bool {
	return slices.ContainsFunc(list, func(e export) bool { return e.format == pageFormat })
}
