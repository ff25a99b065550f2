package testenv

import (
	"os"
	"testing"
)

// Part is something that a test needs but not every machine has.
type Part string

// The parts. .ci/run installs the first six.
const (
	Compiler  Part = "C compiler"
	Readers   Part = "Python environment"
	Node      Part = "Node.js environment"
	Git       Part = "git"
	Bash      Part = "bash"
	Shells    Part = "bash, zsh and fish"
	Manual    Part = "groff and mandoc"
	Lint      Part = "shellcheck"
	Chromium  Part = "Chromium"
	Root      Part = "root"
	CgroupV1  Part = "cgroup v1 to write in"
	CgroupV2  Part = "cgroup v2 to write in"
	PerfEvent Part = "perf events"
	Quota     Part = "cgroup with a quota"
	// NetworkNamespaces needs ip, and a kernel with the kind of interface that the test makes.
	NetworkNamespaces Part = "network namespace with this kind of interface"
	// CrossCompiler, Emulator and Packagers are for `make dist-test`. .ci/run installs them, too.
	CrossCompiler Part = "C compiler for arm64"
	Emulator      Part = "QEMU for arm64"
	Packagers     Part = "tools for packages: rpm, lintian, podman and a static busybox"
	// Containers is the right to run one.
	Containers Part = "container that podman may run"
	// FUSE is a file system that a process serves, and the right to mount it.
	FUSE Part = "file system in user space (FUSE)"
)

// Lacks skips the test, because the machine lacks the part. reason tells how the test noticed. If the environment variable
// CI is set and the machine does have the part, Lacks fails the test, because a silent skip proves nothing.
func Lacks(t testing.TB, part Part, reason any) {
	t.Helper()
	Without(t, part, reason)
	t.Skipf("no %s here: %v", part, reason)
}

// Without is Lacks for a test that goes on without the part and so tests less.
func Without(t testing.TB, part Part, reason any) {
	t.Helper()
	lacks(t, part, reason, os.Getenv("CI") != "" && here(part))
}

func lacks(t testing.TB, part Part, reason any, wrong bool) {
	t.Helper()
	if wrong {
		t.Fatalf("this machine has %s, or CI should install it, but the test did not find it: %v", part, reason)
	}
	note(t, "no "+string(part), reason)
	t.Logf("no %s here: %v", part, reason)
}
