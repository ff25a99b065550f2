//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/datamodel/account"
	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/sensors"
)

// TestEnergyOfRecordedMachines checks what users of these machines see. ERGON_UPDATE=1 rewrites the texts.
func TestEnergyOfRecordedMachines(t *testing.T) {
	for _, name := range []string{
		"xeon-1s", "epyc-2s-dies", "laptop-psys", "grace", "unreadable-energy", "container-masked", "empty-vm",
	} {
		t.Run(name, func(t *testing.T) {
			host := fixture.Host(t, name)
			list, missing := energySensors(t, host)
			var text, object bytes.Buffer
			if err := energyTree(&text, backend.All(), list, missing, false); err != nil {
				t.Fatal(err)
			}
			if err := energyTree(&object, backend.All(), list, missing, true); err != nil {
				t.Fatal(err)
			}
			got := strings.NewReplacer(host.Sys, "/sys",
				// Root may read any file, so the file is replaced by a folder.
				"unreadable: not a regular file",
				"unreadable: permission denied (root only since Linux 5.10, CVE-2020-8694)",
			).Replace(text.String())
			file := filepath.Join("testdata", "energy", name+".txt")
			if os.Getenv("ERGON_UPDATE") != "" {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s has changed:\n%s", file, got)
			}
			var doc struct {
				Schema  string
				Cover   *string
				Domains []energyRow
			}
			if err := json.Unmarshal(object.Bytes(), &doc); err != nil {
				t.Fatal(err)
			}
			if doc.Schema != "ergon.energy/1" || strings.Count(got, "\n") < len(doc.Domains)+1 {
				t.Errorf("%s: %s", doc.Schema, object.String())
			}
			summed := slices.ContainsFunc(doc.Domains, func(d energyRow) bool { return d.Summed })
			if (doc.Cover != nil) != summed {
				t.Errorf("the cover is %v: %s", doc.Cover, object.String())
			}
		})
	}
}

// energySensors lists the energy sensors of a recorded machine, each with a reading.
func energySensors(t *testing.T, host sensors.Setup) (list []sampler.Listed, missing []sensors.Absence) {
	t.Helper()
	for _, b := range backend.All() {
		if !slices.Contains([]string{"perf", "rapl", "hwmon", "battery"}, b.Name) {
			continue
		}
		source, absences, err := b.Open(t.Context(), host)
		missing = append(missing, absences...)
		if err != nil {
			missing = append(missing, sensors.AbsenceOf(b.Name, err))
			continue
		}
		t.Cleanup(func() {
			if err := source.Close(); err != nil {
				t.Error(err)
			}
		})
		row := make([]float64, len(source.Sensors()))
		if err := source.Read(row); err != nil {
			t.Fatal(err)
		}
		for i, s := range source.Sensors() {
			list = append(list, sampler.Listed{Sensor: s, Backend: b.Name, Interval: time.Second, Reading: &row[i]})
		}
	}
	return list, missing
}

// Whatever the tree, each domain has one line.
func TestEnergyLines(t *testing.T) {
	d := func(id, device, parent, same string) account.Domain {
		return account.Domain{Sensor: sensors.Sensor{ID: id, Device: device, Name: "energy"}, Parent: parent, Same: same}
	}
	var got []string
	for _, l := range energyLines([]account.Domain{
		d("core", "package-0/core", "package", ""), d("package", "package-0", "", ""), d("twin", "package-0", "", "package"),
		d("lost", "x", "nowhere", ""), d("circle", "y", "circle", ""), d("dram", "package-0/dram", "", ""),
		d("twin core", "mmio/package-0/core", "package", "core"),
	}) {
		got = append(got, strings.Repeat(" ", l.depth)+l.domain.Sensor.ID+"="+l.name)
	}
	want := "package=package-0, core=core, twin core=mmio/package-0/core,twin=package-0,dram=package-0/dram,lost=x,circle=y"
	if s := strings.Join(got, ","); s != want {
		t.Errorf("%s, want %s", s, want)
	}
}
