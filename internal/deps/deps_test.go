// Package deps has no code, only tests of the repository as a whole. The linter checks which package imports which. These
// tests check all packages that end up in the program, on each system.
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
	// tags are the build tags of the Makefile.
	tags = "urfave_cli_no_docs,urfave_cli_no_suggest,noasm"
)

// forbidden returns the packages that must not be linked into the program, with those below them, each with the reason.
func forbidden() [][2]string {
	return [][2]string{
		{"google.golang.org/grpc", "twice the binary and the start-up time"},
		{"google.golang.org/protobuf", "twice the binary and the start-up time"},
		{"github.com/golang/protobuf", "twice the binary and the start-up time"},
		{"github.com/apache/arrow/go/v15/parquet/pqarrow", "links gRPC; use parquet/file"},
		{"github.com/apache/arrow/go/v15/arrow/flight", "links gRPC"},
		{"github.com/apache/arrow/go/v15/arrow/compute", "5.5 MB of unused kernels, 0.8 ms of each start"},
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
		{module + "/internal/chromium", "for tests only"},
	}
}

// aids returns our packages for tests and benchmarks, which may import package testing.
func aids() []string {
	return []string{
		module + "/internal/bench", module + "/internal/fixture", module + "/internal/nvmlstub", module + "/internal/sensortest",
		module + "/internal/testenv", module + "/internal/chromium",
	}
}

// TestNothingHeavyIsLinked checks the program, and also datamodel/store by itself, because that package imports Arrow.
func TestNothingHeavyIsLinked(t *testing.T) {
	for _, root := range []string{module + "/cmd/ergon", module + "/datamodel/store"} {
		for _, system := range systems() {
			t.Run(strings.TrimPrefix(root, module+"/")+" "+system, func(t *testing.T) {
				t.Parallel()
				imports := list(t, system, "-deps", root)
				const wanted = "github.com/apache/arrow/go/v15/parquet/file"
				if _, ok := imports[wanted]; !ok {
					t.Errorf("%s is not among the %d listed packages, so the list is not the program's", wanted, len(imports))
				}
				for _, f := range forbidden() {
					for _, path := range slices.Sorted(maps.Keys(imports)) {
						if below(path, f[0]) {
							t.Errorf("%s: %s\n\t%s", path, f[1], strings.Join(chain(imports, root, path), "\n\t-> "))
							break // one is enough to find the cause
						}
					}
				}
			})
		}
	}
}

// TestNoTestingInTheProgram checks only our own packages, because Parquet needs thrift, which imports package testing.
func TestNoTestingInTheProgram(t *testing.T) {
	for _, system := range systems() {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			imports := list(t, system, module+"/...")
			if _, ok := imports[module+"/units"]; !ok {
				t.Errorf("%s/units is not among the %d listed packages, so the list is not the module's", module, len(imports))
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
			t.Errorf("below(%q, %q) = %t, want %t", path, parent, got, want)
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

// below tells whether an import path is parent, or a package below it.
func below(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }

// chain returns the shortest chain of imports from one package to another, both included. It is empty if there is none.
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

// watch lists every folder of the module, so that a change to one makes the go command run the test again. Otherwise it
// would repeat a cached result, because it does not know which files `go list` opens.
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

// list returns packages on a system, each with its imports outside tests, by import path. It asks the go command, which
// builds nothing and so needs no C compiler. The flag -e also lists packages whose module is missing in go.sum, as a
// forbidden module probably is: the chain of imports says more than the error of the go command.
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
