// Package nvmlstub builds testdata/nvml/stub.c, a library that answers as NVIDIA's driver does, for tests on machines without a
// GPU. The comment in the source says which variables describe the GPUs.
package nvmlstub

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// Build compiles the library into a folder of the test, without the named functions, and returns its path. It skips the test
// if there is no C compiler ($CC, or cc), or on other systems than Linux.
//
// A process that has called one such library keeps calling it, whatever it loads later. A test that needs another library
// needs another process.
func Build(t testing.TB, without ...string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("NVML is read on Linux only")
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	if _, err := exec.LookPath(cc); err != nil {
		testenv.Lacks(t, testenv.Compiler, err)
	}
	library := filepath.Join(t.TempDir(), "libnvidia-ml.so.1")
	args := []string{
		"-std=gnu11", "-Wall", "-Wextra", "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1", "-o", library,
		filepath.Join(fixture.Root(t), "testdata", "nvml", "stub.c"),
	}
	for _, function := range without {
		args = append(args, "-DNO_"+function)
	}
	args = append(args, "-lm")
	if out, err := exec.CommandContext(t.Context(), cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cc, err, out)
	}
	return library
}
