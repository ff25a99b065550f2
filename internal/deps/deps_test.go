// Package deps holds no code, only the test of what the program may be made of. The linter knows who may import whom;
// this knows what all those imports drag in, on each system.
package deps

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/ergon-energy/ergon"
	// tags are those of the Makefile.
	tags = "urfave_cli_no_docs,urfave_cli_no_suggest,noasm"
)

// forbidden are the beginnings of import paths that must not be linked into the program, each with the reason.
func forbidden() [][2]string {
	return [][2]string{
		{"google.golang.org/grpc", "twice the binary and the start-up time"},
		{"google.golang.org/protobuf", "twice the binary and the start-up time"},
		{"github.com/golang/protobuf", "twice the binary and the start-up time"},
		{"github.com/apache/arrow/go/v15/parquet/pqarrow", "links gRPC; use parquet/file"},
		{"github.com/apache/arrow/go/v15/arrow/flight", "links gRPC"},
		{"github.com/apache/arrow/go/v15/arrow/compute", "5.5 MB of kernels that nobody calls, 0.8 ms of each start"},
		{"net/http/pprof", "registers handlers on the default mux"},
		{"expvar", "registers handlers on the default mux"},
		{"plugin", "forces dynamic linking"},
		{"github.com/russross/blackfriday", "0.5 ms of each start; the tag urfave_cli_no_docs leaves it out"},
		{"github.com/rogpeppe/go-internal", "for tests only"},
		{"github.com/santhosh-tekuri/jsonschema", "for tests only"},
		{"github.com/creack/pty", "for tests only"},
		{module + "/internal/bench", "for tests only"},
		{module + "/internal/fakerapl", "for tests only"},
		{module + "/internal/fixture", "for tests only"},
		{module + "/internal/nvmlstub", "for tests only"},
		{module + "/internal/sensortest", "for tests only"},
		{module + "/internal/testenv", "for tests only"},
	}
}

// aids are our own packages that exist for tests and benchmarks, so may import package testing.
func aids() []string {
	return []string{
		module + "/internal/bench", module + "/internal/fixture", module + "/internal/nvmlstub", module + "/internal/sensortest",
		module + "/internal/testenv",
	}
}

// TestNothingHeavyIsLinked also asks for datamodel/store by itself: it is the package through which Arrow comes in.
func TestNothingHeavyIsLinked(t *testing.T) {
	for _, root := range []string{module + "/cmd/ergon", module + "/datamodel/store"} {
		for _, system := range systems() {
			t.Run(strings.TrimPrefix(root, module+"/")+" "+system, func(t *testing.T) {
				t.Parallel()
				imports := list(t, system, "-deps", root)
				const wanted = "github.com/apache/arrow/go/v15/parquet/file"
				if _, ok := imports[wanted]; !ok {
					t.Errorf("%s is not among the %d packages listed: is this the list of the program?", wanted, len(imports))
				}
				for _, f := range forbidden() {
					for _, path := range slices.Sorted(maps.Keys(imports)) {
						if below(path, f[0]) {
							t.Errorf("%s: %s\n\t%s", path, f[1], strings.Join(chain(imports, root, path), "\n\t-> "))
							break // one of a family is enough to find the culprit
						}
					}
				}
			})
		}
	}
}

// TestNoTestingInTheProgram looks at our own packages only: thrift imports package testing, and Parquet needs thrift.
func TestNoTestingInTheProgram(t *testing.T) {
	for _, system := range systems() {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			imports := list(t, system, module+"/...")
			if _, ok := imports[module+"/units"]; !ok {
				t.Errorf("%s/units is not among the %d packages listed: is this the list of the module?", module, len(imports))
			}
			for path, of := range imports {
				if slices.Contains(aids(), path) {
					continue
				}
				for _, i := range of {
					if below(i, "testing") || slices.Contains(aids(), i) {
						t.Errorf("%s imports %s outside its tests", path, i)
					}
				}
			}
		})
	}
}

func TestBelow(t *testing.T) {
	f := func(path, parent string, want bool) {
		t.Helper()
		if got := below(path, parent); got != want {
			t.Errorf("below(%q, %q) = %t", path, parent, got)
		}
	}
	f("testing", "testing", true)
	f("testing/fstest", "testing", true)
	f("testingx", "testing", false)
	f("test", "testing", false)
}

func TestChain(t *testing.T) {
	imports := map[string][]string{"a": {"b", "c"}, "b": {"c", "d"}, "c": {"a"}, "d": nil, "e": nil}
	f := func(from, to string, want ...string) {
		t.Helper()
		if got := chain(imports, from, to); !slices.Equal(got, want) {
			t.Errorf("chain from %s to %s = %q, want %q", from, to, got, want)
		}
	}
	f("a", "a", "a")
	f("a", "c", "a", "c")
	f("a", "d", "a", "b", "d")
	f("a", "e")
}

func systems() []string {
	return []string{"linux", "linux without cgo", "darwin", "freebsd", "windows"}
}

// below tells whether an import path is parent or inside it.
func below(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }

// chain is the shortest way of imports from one package to another, both included; empty where there is none.
func chain(imports map[string][]string, from, to string) []string {
	importer := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == to {
			var way []string
			for p := to; p != ""; p = importer[p] {
				way = append(way, p)
			}
			slices.Reverse(way)
			return way
		}
		for _, i := range imports[queue[0]] {
			if _, seen := importer[i]; !seen {
				importer[i] = queue[0]
				queue = append(queue, i)
			}
		}
	}
	return nil
}

// watch lists every folder of the module. The go command repeats a cached result unless what the test itself has
// opened has changed, and of what `go list` opens it knows nothing.
func watch(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../..", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() != ".." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// list asks the go command for packages and what each imports outside its tests, on the system named. It needs no
// compiler: files are selected and their imports read, nothing is built. -e because a forbidden module is most likely
// not in go.sum either, and who imports it says more than that it is missing there.
func list(t *testing.T, system string, args ...string) map[string][]string {
	t.Helper()
	watch(t)
	goos, _, _ := strings.Cut(system, " ")
	cgo := "0"
	if system == "linux" {
		cgo = "1"
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-tags", tags, "-json=ImportPath,Imports"}, args...)...)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED="+cgo)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.Bytes())
	}
	imports := map[string][]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return imports
		} else if err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
		imports[p.ImportPath] = p.Imports
	}
}
