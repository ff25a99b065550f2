package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestVersion1 tests that the subcommands that read runs read those of version 1 as well, beside newer ones.
func TestVersion1(t *testing.T) {
	results := t.TempDir()
	if err := os.CopyFS(results, os.DirFS(filepath.Join("..", "..", "testdata", "v1"))); err != nil {
		t.Fatal(err)
	}
	runErgon(t, results, "-q", "true")
	var listed []struct {
		ID     string
		Energy *float64
	}
	if err := json.Unmarshal(runErgon(t, results, "ls", "--json"), &listed); err != nil || len(listed) != 3 {
		t.Fatalf("%+v, %v", listed, err)
	}
	const old = "20261129T011112"
	var page struct {
		Run     struct{ ID string }
		Summary map[string]struct {
			Value  *float64
			Unit   string
			Reason string
		}
		Tree *struct{ Metrics []any }
	}
	if err := json.Unmarshal(runErgon(t, results, "report", old, "-f", "json", "--all"), &page); err != nil {
		t.Fatal(err)
	}
	energy := page.Summary["energy"]
	if energy.Value == nil || *energy.Value < 249 || *energy.Value > 251 || energy.Unit != "J" || page.Tree == nil || len(page.Tree.Metrics) < 20 {
		t.Errorf("%+v", page)
	}
	if found := listed[2]; !strings.HasPrefix(found.ID, old) || found.Energy == nil || *found.Energy != *energy.Value {
		t.Errorf("ls shows %+v, the report %v", found, *energy.Value)
	}
	for _, format := range []string{"text", "csv", "markdown", "html"} {
		if out := runErgon(t, results, "report", old, "-f", format); !bytes.Contains(out, []byte("fakerapl")) && format != "csv" || len(out) < 300 {
			t.Errorf("%s: %s", format, out)
		}
	}
	if out := runErgon(t, results, "export", old); bytes.Count(out, []byte("\n")) < 1000 {
		t.Errorf("export: %d bytes", len(out))
	}
	c := command(t, newMark(), "ergon", "-o", results, "recover", old)
	if out, err := c.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("nothing to recover")) {
		t.Errorf("recover: %v: %s", err, out)
	}
}
