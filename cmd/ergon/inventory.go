package main

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ergon-energy/ergon/internal/inventory"
	"github.com/ergon-energy/ergon/runner"
)

// InventoryOptions say which files are counted before the command and after it.
type InventoryOptions struct {
	Areas []inventory.Area
	// Once counts a file with several names once.
	Once bool
}

// table lists the options, bound to o.
func (o *InventoryOptions) table() table {
	return table{
		{
			name: "inventory", key: "areas", group: forReadings, scope: inTrusted, value: areas{&o.Areas},
			usage: "count the files in `DIR` by type, before and after the command; may be repeated; name=NAME,path=DIR,pattern=REGEXP too; none: no folder",
		},
		{
			name: "inventory-once", group: forReadings, value: toggle{&o.Once},
			usage: "--inventory counts a file with several names (hard links) once, as du does",
		},
	}
}

// areas collects folders: DIR, or name=NAME,path=DIR,pattern=REGEXP with any of the three left out but the path. none forgets
// the folders of the settings files.
type areas struct{ to *[]inventory.Area }

// noArea is the value that names no folder. A folder of that name is ./none.
const noArea = "none"

// The parts of an area: keys in a settings file, and words of the long form.
const (
	areaName    = "name"
	areaPath    = "path"
	areaPattern = "pattern"
)

func (v areas) Set(given string) error {
	if given == noArea {
		return nil
	}
	var a inventory.Area
	parts := areaParts(given)
	path := parts[areaPath]
	if path == "" {
		return errors.New("no folder given")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	a.Path, a.Name = abs, filepath.Base(abs)
	if abs == filepath.Dir(abs) {
		a.Name = "root"
	} else if strings.HasSuffix(path, "/") {
		a.Path += "/" // even root follows a link then
	}
	if name := parts[areaName]; name != "" {
		a.Name = name
	}
	if err := checkArea(a.Name); err != nil {
		return err
	}
	if text := parts[areaPattern]; text != "" {
		if a.Pattern, err = inventory.NewPattern(text); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(*v.to, func(b inventory.Area) bool { return b.Name == a.Name }) {
		return fmt.Errorf("two areas are called %s (name=OTHER,path=%s)", a.Name, path)
	}
	*v.to = append(*v.to, a)
	return nil
}

// checkArea checks the name of an area. It stands before a slash in labels.
func checkArea(name string) error {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || r == '/' || r == ',' }
	switch {
	case name == "all":
		return errors.New("an area cannot be called all, which is the sum (name=OTHER,path=DIR)")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, odd):
		return fmt.Errorf("%q cannot name an area: it has a slash, a comma or a character that cannot be printed (name=OTHER,path=DIR)", name)
	}
	return nil
}

// areaParts splits the long form. The pattern comes last, as it may have commas. Any other text is the path.
func areaParts(given string) map[string]string {
	rest, parts := given, map[string]string{}
	for {
		key, value, found := strings.Cut(rest, "=")
		if !found || key != areaName && key != areaPath && key != areaPattern || parts[key] != "" {
			return map[string]string{areaPath: given}
		}
		if key == areaPattern {
			parts[key] = value
			return parts
		}
		end := len(value)
		for _, next := range []string{areaName, areaPath, areaPattern} {
			if i := strings.Index(value, ","+next+"="); i >= 0 {
				end = min(end, i)
			}
		}
		parts[key] = value[:end]
		if end == len(value) {
			return parts
		}
		rest = value[end+1:]
	}
}

// areaText is the long form of parts.
func areaText(parts map[string]string) string {
	var list []string
	for _, key := range []string{areaName, areaPath, areaPattern} {
		if parts[key] != "" {
			list = append(list, key+"="+parts[key])
		}
	}
	return strings.Join(list, ",")
}

func (v areas) String() string { return "" }

func (v areas) Current() string { return strings.Join(v.list(), ",") }

// list returns each area in the long form.
func (v areas) list() []string {
	var out []string
	for _, a := range *v.to {
		out = append(out, areaText(map[string]string{areaName: a.Name, areaPath: a.Path, areaPattern: a.Pattern.String()}))
	}
	return out
}

// inventory converts the options to what the runner needs. The files that it remembers are no garbage, so they lift the limit
// of memory.
func (p *program) inventory(o InventoryOptions, show *progress) runner.Inventory {
	if len(o.Areas) > 0 && p.memory != nil && !p.memory.Stop() {
		debug.SetMemoryLimit(math.MaxInt64)
	}
	return runner.Inventory{Options: inventory.Options{Areas: o.Areas, Once: o.Once}, OnWait: show.counting}
}
