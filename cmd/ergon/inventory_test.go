package main

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/internal/inventory"
)

func TestAreaParts(t *testing.T) {
	for given, want := range map[string]map[string]string{
		"data":                           {"path": "data"},
		"a=b":                            {"path": "a=b"},
		"/x,pattern=y":                   {"path": "/x,pattern=y"},
		"path=/x":                        {"path": "/x"},
		"name=n,path=/x, y=z":            {"name": "n", "path": "/x, y=z"},
		"path=/x,name=n":                 {"path": "/x", "name": "n"},
		"path=/x,pattern=a,name=b,(?P<c": {"path": "/x", "pattern": "a,name=b,(?P<c"},
		"path=/x,path=/y":                {"path": "path=/x,path=/y"},
	} {
		if got := areaParts(given); !maps.Equal(got, want) {
			t.Errorf("%q: %v, want %v", given, got, want)
		}
	}
}

// FuzzAreas checks that what an area is printed as in a settings file is the same area.
func FuzzAreas(f *testing.F) {
	f.Add("data")
	f.Add(`name=n,path=/x/y/,pattern=(?P<a>[a,b]+)_(?P<b>.*)`)
	f.Add("path=/,name=a b")
	f.Fuzz(func(t *testing.T, given string) {
		var list, again []inventory.Area
		if (areas{&list}).Set(given) != nil || len(list) == 0 {
			return
		}
		a := list[0]
		if !filepath.IsAbs(a.Path) || a.Name == "" || strings.ContainsAny(a.Name, "/,") {
			t.Fatalf("%q: %+v", given, a)
		}
		if strings.Contains(a.Path, ",name=") || strings.Contains(a.Path, ",path=") || strings.Contains(a.Path, ",pattern=") {
			return // a settings file cannot name it
		}
		if err := (areas{&again}).Set(areas{&list}.list()[0]); err != nil || len(again) != 1 {
			t.Fatalf("%q: %v", given, err)
		}
		if b := again[0]; a.Name != b.Name || a.Path != b.Path || a.Pattern.String() != b.Pattern.String() {
			t.Errorf("%q: %+v, then %+v", given, a, b)
		}
	})
}
