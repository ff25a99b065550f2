package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/ergon-energy/ergon/cmd/ergon/prelaunch"
)

// release is the version of the source. A build of a tagged module has its own version.
const release = "v0.1.0-dev"

func (p *program) versionCommand() *subcommand {
	return &subcommand{
		name: "version", usage: "show the version, and what this build can do", example: "ergon -V",
		run: func(_ context.Context, words []string) error {
			if len(words) > 0 {
				return misused("version", "version: takes no argument, not %q", words[0])
			}
			p.version()
			return nil
		},
	}
}

// version prints the version of ergon and of Go, and the system. The build for Linux without cgo says what it cannot do.
func (p *program) version() {
	fmt.Fprintf(p.out, "ergon %s\n%s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if static() {
		fmt.Fprintln(p.out, "built without cgo: it reads no NVIDIA GPU, and where a limit is too small for Go, such as ulimit -v, the command does not run")
	}
}

// static tells whether this is the build for Linux without cgo, which links no C library. It lacks the launcher and NVML.
func static() bool {
	_, early := prelaunch.Aside()
	return runtime.GOOS == "linux" && !early
}

// version returns the module's version, as the Go toolchain recorded it. A source archive has no version, so there it is the
// release.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return release
	}
	return info.Main.Version
}
