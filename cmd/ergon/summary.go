package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/report"
)

// SummaryOptions say what is printed after a run, and where to.
type SummaryOptions struct {
	// Quiet prints nothing.
	Quiet bool
	// Verbose prints the whole summary instead of a few lines.
	Verbose bool
	// Line is a format of GNU time. If it is set, a line in that format is printed instead of the summary.
	Line string
	// To is a file that is written instead of stderr. Append adds to the file.
	To     string
	Append bool
	// Exports are more files.
	Exports []export
	// IDFile is a file for the run's id; empty writes none.
	IDFile string
	// NoCI writes nothing to the job's page of GitHub Actions.
	NoCI bool
	// file is To after open. page is the job's page; empty if there is none.
	file *os.File
	page string
	// as is the user that --user names; nil if it names none.
	as *person
}

// owner returns whom a new file belongs to; nil is the user of this process.
func (o SummaryOptions) owner(path string) *store.Owner {
	if o.as != nil {
		return o.as.account()
	}
	return here().owner(path).account()
}

// unread reports whether nobody will read the result.
func (o SummaryOptions) unread() bool {
	return o.Quiet && len(o.Exports) == 0 && o.page == ""
}

// table lists the options, bound to o.
func (o *SummaryOptions) table() table {
	return table{
		{name: "quiet", group: forSummary, short: "q", usage: "print no summary", value: toggle{&o.Quiet}},
		verboseOption(&o.Verbose),
		{
			name: "format", short: "f", group: forSummary, value: lineFormat{&o.Line},
			usage: "print one line in a `FORMAT` of GNU time instead: %e %U %S %P %M …; also %J joules, %W watts, %G joules of GPUs",
		},
		{name: "posix", short: "p", group: forSummary, usage: "print the three lines of time -p instead", value: posix{&o.Line}},
		{name: "summary-to", group: forSummary, scope: inTrusted, usage: "write the summary to `FILE` instead of stderr", value: required{&o.To, "file"}},
		{name: "append", short: "a", group: forSummary, usage: "add to the file of --summary-to, do not replace it", value: toggle{&o.Append}},
		exportOption(&o.Exports, ofRun(), "also write the report to", inTrusted),
		{name: "id-file", group: forResults, scope: inTrusted, usage: "write the run's id to `FILE`", value: required{&o.IDFile, "file"}},
		noCIOption(&o.NoCI),
	}
}

// noCIOption keeps ergon from telling GitHub Actions anything.
func noCIOption(to *bool) *option {
	return &option{
		name: "no-ci", group: forSummary, value: toggle{to},
		usage: "in GitHub Actions: add nothing to the job's summary page, and no annotations about budgets",
	}
}

// writable returns an error if a file cannot be written. It changes nothing.
func writable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s: a folder, not a file", path)
	case err == nil && !info.Mode().IsRegular():
		return nil // opening a pipe would wait for its reader
	case err == nil:
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return f.Close()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".ergon-*.tmp")
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: "create", Path: path, Err: e.Err} // the user knows this name
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// open opens and checks the files before the command starts, so that a file that cannot be written costs no measurement.
func (o *SummaryOptions) open() (err error) {
	if !o.NoCI {
		o.page = jobPage()
	}
	for _, e := range o.Exports {
		if err := writable(e.path); err != nil {
			return &usage{fmt.Errorf("--export: %w", err)}
		}
	}
	if o.IDFile != "" {
		if err := writable(o.IDFile); err != nil {
			return &usage{fmt.Errorf("--id-file: %w", err)}
		}
	}
	switch {
	case o.To == "" && o.Append:
		return &usage{errors.New("--append: needs --summary-to FILE")}
	case o.To == "":
		return nil
	}
	how := os.O_WRONLY | os.O_TRUNC
	if o.Append {
		how = os.O_WRONLY | os.O_APPEND
	}
	if o.file, err = openFor(o.owner(o.To), o.To, how); err != nil {
		return &usage{fmt.Errorf("--summary-to: %w", err)}
	}
	return nil
}

// openFor opens a file. If it is new, it belongs to owner, unless nil. Only a file that this call has made is given away.
func openFor(owner *store.Owner, path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, how|os.O_CREATE|os.O_EXCL, 0o666) // the umask decides
	if errors.Is(err, fs.ErrExist) {
		return os.OpenFile(path, how|os.O_CREATE, 0o666) // O_CREATE for a link to a file that does not exist
	}
	if err == nil && owner != nil {
		_ = f.Chown(owner.UID, owner.GID) // a file system without owners is no error
	}
	return f, err
}

// summarize prints the summary of a run. dir is its folder; empty if the run was not kept. A file that cannot be written after the
// command has run is an error in a line: the command's verdict still counts.
func (p *program) summarize(o SummaryOptions, result datamodel.Result, dir string) {
	p.toFiles(o, result, dir)
	if o.file == nil {
		_ = write(p.err, o, result, dir) // if nobody listens, the target's verdict still counts
		return
	}
	to := screen.New(o.file)
	err := write(to, o, result, dir)
	to.Flush()
	if err := errors.Join(err, o.file.Close()); err != nil {
		p.complain(fmt.Errorf("--summary-to: %w", err))
	}
}

// write writes the summary, or the line that was asked for.
func write(to *screen.Screen, o SummaryOptions, result datamodel.Result, dir string) error {
	if o.Quiet || result.Tree == nil {
		return nil
	}
	if o.Line != "" {
		line, err := report.Line(result, o.Line)
		if err == nil {
			_, err = io.WriteString(to, line+"\n")
		}
		return err
	}
	options := reportOptions(to.File())
	options.Verbose = o.Verbose
	if dir != "" {
		options.Results, options.Again = shortest(dir), again(dir, result.Run)
	}
	return report.All()[0].Write(to.Styled(), result, options)
}

// toFiles writes what goes to files beside the summary.
func (p *program) toFiles(o SummaryOptions, result datamodel.Result, dir string) {
	options := report.Options{Unicode: true, Verbose: true, Processes: true, Setup: true}
	if dir != "" {
		options.Results = shortest(dir)
	}
	for _, e := range o.Exports {
		f, _ := e.ofRun() // the option takes no others
		err := store.WriteFile(e.path, o.owner(e.path), func(w io.Writer) error { return f.Write(w, result, options) })
		if err != nil {
			p.complain(fmt.Errorf("--export: %w", err))
		}
	}
	if o.IDFile != "" {
		f, err := openFor(o.owner(o.IDFile), o.IDFile, os.O_WRONLY|os.O_TRUNC)
		if err == nil {
			_, err = io.WriteString(f, result.Run.ID+"\n")
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			p.complain(fmt.Errorf("--id-file: %w", err))
		}
	}
	if o.page == "" || result.Tree == nil {
		return
	}
	p.toJobPage(func(w io.Writer) error { return format("markdown").Write(w, result, options) })
}

// format returns the format of that name.
func format(name string) report.Format {
	return report.All()[slices.Index(reportFormats(), name)]
}
