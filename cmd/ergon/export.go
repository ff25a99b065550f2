package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
)

// exportFormat is one way to write the readings of a run.
type exportFormat struct {
	name   string
	binary bool
	write  func(w io.Writer, dir string) error
}

// exportFormats lists them. The columns of all are those of samples.parquet: host, sensor, time, elapsed, value.
func exportFormats() []exportFormat {
	return []exportFormat{
		{"csv", false, exportCSV},
		{"json", false, exportJSON},
		{"arrow", true, store.ExportArrow},
		{"parquet", true, exportParquet},
	}
}

func exportNames() string {
	var names []string
	for _, f := range exportFormats() {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

func (p *program) exportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write all readings of a run to stdout or a file", ArgsUsage: "[RUN]",
		Flags: []cli.Flag{
			resultsFlag(),
			&cli.StringFlag{
				Name: "format", Aliases: []string{"f"}, Value: "csv", Usage: "the `FORMAT`: " + exportNames(),
			},
			&cli.StringFlag{Name: "to", Usage: "write to `FILE`, not to stdout"},
		},
		Action: p.export,
	}
}

// export writes all readings of a run in one format.
func (p *program) export(c *cli.Context) error {
	for _, f := range exportFormats() {
		if f.name == c.String("format") {
			return p.exportAs(c, f)
		}
	}
	return &usage{fmt.Errorf("-f: no format %q: there are %s", c.String("format"), exportNames())}
}

func (p *program) exportAs(c *cli.Context, f exportFormat) error {
	dir, err := resolve(c)
	if err != nil {
		return err
	}
	if err := measured(dir); err != nil {
		return err
	}
	to := c.String("to")
	switch {
	case to == "" && c.IsSet("to"):
		return &usage{errors.New("--to: no file given")}
	case to != "":
		err = store.WriteFile(to, func(w io.Writer) error { return f.write(w, dir) })
	case f.binary && isTerminal(p.out):
		return &usage{fmt.Errorf("export: %s is not for a terminal: give a file with --to FILE, or redirect stdout", f.name)}
	default:
		err = f.write(p.out, dir)
	}
	if err != nil {
		return fmt.Errorf("export run %s: %w%s", shortest(dir), err, wayOut(dir))
	}
	return nil
}

// measured says why a run has no readings and never had, where its command was not started.
func measured(dir string) error {
	run, err := store.LoadManifest(dir)
	if err == nil && run.WallTime == nil && run.Outcome != datamodel.Unfinished {
		if _, err := os.Stat(filepath.Join(dir, store.SamplesFile)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("export run %s: nothing was measured: %s: %s", run.ID, run.Outcome, run.Reason)
		}
	}
	return nil // or the readings tell what is wrong with them
}

func exportCSV(w io.Writer, dir string) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"host", "sensor", "time", "elapsed", "value"}); err != nil {
		return err
	}
	for b, err := range store.Samples(dir) {
		if err != nil {
			return err
		}
		for i, v := range b.Value {
			value := "" // no reading
			if !math.IsNaN(v) {
				value = strconv.FormatFloat(v, 'g', -1, 64)
			}
			err := out.Write([]string{
				b.Host[i], b.Sensor[i], time.UnixMicro(b.Time[i]).UTC().Format(time.RFC3339Nano),
				strconv.FormatFloat(b.Elapsed[i], 'g', -1, 64), value,
			})
			if err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

// exportJSON writes an array with an object a line.
func exportJSON(w io.Writer, dir string) error {
	type row struct {
		Host    string    `json:"host"`
		Sensor  string    `json:"sensor"`
		Time    time.Time `json:"time"`
		Elapsed float64   `json:"elapsed"`
		Value   *float64  `json:"value"`
	}
	out := bufio.NewWriter(w)
	before := "[\n"
	for b, err := range store.Samples(dir) {
		if err != nil {
			return err
		}
		for i, v := range b.Value {
			r := row{b.Host[i], b.Sensor[i], time.UnixMicro(b.Time[i]).UTC(), b.Elapsed[i], nil}
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				r.Value = &v
			}
			line, err := json.Marshal(r)
			if err != nil {
				return err
			}
			_, _ = out.WriteString(before) // Flush tells
			_, _ = out.Write(line)
			before = ",\n"
		}
	}
	if before == "[\n" {
		_, _ = out.WriteString("[")
	}
	_, _ = out.WriteString("\n]\n")
	return out.Flush()
}

// exportParquet copies the file, once it is seen to be one.
func exportParquet(w io.Writer, dir string) error {
	for _, err := range store.Samples(dir) {
		if err != nil {
			return err
		}
		break
	}
	f, err := os.Open(filepath.Join(dir, store.SamplesFile))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = io.Copy(w, f)
	return err
}
