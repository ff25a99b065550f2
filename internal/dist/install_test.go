package main

import (
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// needs skips the test if it is not for the files of `make dist`, or if this machine lacks root or one of the programs.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	made(t)
	if os.Geteuid() != 0 {
		testenv.Lacks(t, testenv.Root, "not root")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			testenv.Lacks(t, testenv.Packagers, err)
		}
	}
}

// inOverlay runs a script of testdata in a copy of this system that is thrown away.
func inOverlay(t *testing.T, script, pattern string, environ ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "testdata/overlay.sh", t.TempDir(), "testdata/"+script, "testdata/use.sh", one(t, pattern))
	cmd.Env = append(os.Environ(), append(environ, "VERSION="+version(t), "HOME=/root")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
}

// TestDeb installs the packages for Debian, uses them, and removes them.
func TestDeb(t *testing.T) {
	needs(t, "dpkg", "bash", "zsh", "fish")
	inOverlay(t, "deb.sh", "ergon_*_amd64.deb")
	inOverlay(t, "powercap.sh", "ergon-powercap_*_all.deb", "INSTALL=dpkg -i", "REMOVE=dpkg -r")
}

// TestRPM installs the packages for systems with RPM, uses them, and removes them.
func TestRPM(t *testing.T) {
	needs(t, "rpm", "bash", "fish")
	inOverlay(t, "rpm.sh", "ergon-[0-9]*.x86_64.rpm")
	inOverlay(t, "powercap.sh", "ergon-powercap-*.noarch.rpm", "INSTALL=rpm -i --nodeps", "REMOVE=rpm -e")
}

// TestLintian lets Debian's own checker look at the packages.
func TestLintian(t *testing.T) {
	needs(t, "lintian")
	debs, err := filepath.Glob(filepath.Join(made(t), "*.deb"))
	if err != nil || len(debs) == 0 {
		t.Fatalf("%v, %v", debs, err)
	}
	out, err := exec.CommandContext(t.Context(), "lintian", append([]string{"--allow-root", "--fail-on", "error,warning"}, debs...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAlone runs the program without cgo in a root folder that has no C library, as on a system with musl.
func TestAlone(t *testing.T) {
	needs(t, "busybox", "unshare")
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(busybox)
	if err != nil {
		t.Fatal(err)
	}
	dynamic := f.Section(".interp") != nil
	if err := f.Close(); err != nil || dynamic {
		testenv.Lacks(t, testenv.Packagers, busybox+" is not linked statically (apt-get install busybox-static)")
	}
	root := t.TempDir()
	for to, from := range map[string]string{"ergon": filepath.Join(unpacked(t, target{"linux", "amd64", false}), "ergon"), "bin/busybox": busybox} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		to = filepath.Join(root, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "testdata/alone.sh", root).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "exit 0") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestContainer builds the image with the static program, and runs it as root and as somebody else. Everything that podman makes
// is in a folder that goes away.
func TestContainer(t *testing.T) {
	needs(t, "podman")
	dir := t.TempDir()
	podman := func(words ...string) (string, error) {
		all := []string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs"}
		if path, err := exec.LookPath("runc"); err == nil { // crun refuses a machine with cgroups of both versions
			all = append(all, "--runtime", path)
		}
		out, err := exec.CommandContext(t.Context(), "podman", append(all, words...)...).CombinedOutput()
		return string(out), err
	}
	const image = "localhost/ergon:test"
	if out, err := podman("build", "--file", "../../packaging/Containerfile", "--target", "static", "--tag", image, made(t)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, user := range []string{"0", "65534"} {
		// The limits are lower than most machines have, because a machine may not allow to raise them.
		out, err := podman("run", "--rm", "--network", "none", "--tmpfs", "/tmp", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--user", user,
			image, "--no-save", "--", "/usr/bin/ergon", "version")
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && (exit.ExitCode() == 125 || exit.ExitCode() == 126) && !strings.Contains(out, "ergon:") {
			testenv.Lacks(t, testenv.Containers, out)
		}
		if err != nil || !strings.Contains(out, "ergon v"+version(t)+"\n") || !strings.Contains(out, "exit 0") {
			t.Errorf("as %s: %v: %s", user, err, out)
		}
	}
}
