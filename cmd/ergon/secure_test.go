//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// spyLibrary compiles a library that makes a file as soon as it is loaded.
func spyLibrary(t *testing.T, dir string) (library, sign string) {
	t.Helper()
	library, sign = filepath.Join(dir, "libnvidia-ml.so.1"), filepath.Join(dir, "loaded")
	source := filepath.Join(dir, "spy.c")
	text := `#include <fcntl.h>
		__attribute__((constructor)) static void loaded(void) { open("` + sign + `", O_CREAT | O_WRONLY, 0666); }`
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "cc", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		testenv.Lacks(t, testenv.Compiler, string(out))
	}
	return library, sign
}

// giveCapabilities writes what setcap writes: version 2, effective (vfs_cap_data in linux/capability.h).
func giveCapabilities(t *testing.T, file string, set ...uint) {
	t.Helper()
	var all uint64
	for _, c := range set {
		all |= 1 << c
	}
	value := binary.LittleEndian.AppendUint32(nil, 0x02000001)
	for _, word := range []uint32{uint32(all), 0, uint32(all >> 32), 0} {
		value = binary.LittleEndian.AppendUint32(value, word)
	}
	if err := unix.Setxattr(file, "security.capability", value, 0); err != nil {
		t.Skipf("this file system keeps no capabilities: %v", err)
	}
}

// TestCapabilities gives ergon's file capabilities, as the advice of the doctor does and more than that, and calls it as a
// user without any. Nothing that the user names is loaded or read with them, and the command is as without them.
func TestCapabilities(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to give a file capabilities")
	}
	dir, program := openToAll(t)
	writable := filepath.Join(dir, "w")
	if err := errors.Join(os.Mkdir(writable, 0o700), os.Chown(writable, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	library, sign := spyLibrary(t, dir)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("hidden"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(stdin string, env []string, words ...string) (code int, out, said string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), program, words...)
		c.Dir, c.Stdin = writable, strings.NewReader(stdin)
		c.Env = append(os.Environ(), env...)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		var stdout, stderr strings.Builder
		c.Stdout, c.Stderr = &stdout, &stderr
		if err := c.Run(); errors.Is(err, os.ErrPermission) {
			t.Skipf("the test binary cannot be executed by an ordinary user: %v", err)
		}
		return c.ProcessState.ExitCode(), stdout.String(), stderr.String()
	}
	loaded := func() bool {
		_, err := os.Stat(sign)
		return err == nil
	}

	// Without capabilities the caller may choose, and the test would see that the library was loaded.
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	_, _, said := run("", nil, "sensors", "--sensors", "nvml", "--path.nvml", library)
	switch err := os.Remove(sign); {
	case errors.Is(err, os.ErrNotExist):
		t.Logf("this build loads no NVML: %s", said)
	case err != nil:
		t.Fatal(err)
	}

	giveCapabilities(t, program, unix.CAP_PERFMON, unix.CAP_DAC_READ_SEARCH, unix.CAP_DAC_OVERRIDE, unix.CAP_SETUID)
	const refused = "this ergon has capabilities that its caller lacks"
	for _, c := range []struct {
		name  string
		env   []string
		words []string
		place string
	}{
		{"the option", nil, []string{"--path.nvml", library}, "--path.nvml"},
		{"the variable", []string{"ERGON_NVML=" + library}, nil, "ERGON_NVML"},
		{"another tree", nil, []string{"--path.sysfs", dir}, "--path.sysfs"},
		{"another tree by variable", []string{"ERGON_PROCFS=" + dir}, nil, "ERGON_PROCFS"},
	} {
		for _, subcommand := range [][]string{{"run"}, {"sensors"}, {"doctor"}} {
			words := append(subcommand, c.words...)
			if subcommand[0] == "run" {
				words = append(words, "touch", filepath.Join(writable, "made"))
			}
			code, _, said := run("", c.env, words...)
			if code != 125 || !strings.HasPrefix(said, "ergon: "+c.place+": "+refused) {
				t.Errorf("%s of %s: code %d, %s", c.name, subcommand, code, said)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(writable, "made")); err == nil {
		t.Error("the command was started")
	}
	// The sampler, started by hand.
	orders := `{"op":"config","config":{"setup":{"proc":"/proc","sys":"/sys","nvml":"` + library + `"},"node":"x","interval":1000000000}}` + "\n" +
		`{"op":"subject","subject":{"pid":1}}` + "\n"
	if _, out, said := run(orders, nil, "sample"); !strings.Contains(out+said, "loads only the system's NVML") {
		t.Errorf("the sampler: %s%s", out, said)
	}
	if _, _, _ = run("", []string{"LD_LIBRARY_PATH=" + dir, "LD_PRELOAD=" + library}, "sensors"); loaded() {
		t.Error("the library was loaded")
	}
	// Only CAP_PERFMON is left, so a file that the user may not read stays closed.
	if code, out, said := run("", nil, "--replay", secret); code != 125 || !strings.Contains(said, "permission denied") {
		t.Errorf("a tape of others: code %d, %s%s", code, out, said)
	}

	// The command has no capability, and all its variables, which ld.so has taken from ergon.
	env := []string{"LD_LIBRARY_PATH=" + dir, "TMPDIR=" + writable, "MALLOC_ARENA_MAX=2"}
	const script = `grep -E '^Cap(Inh|Prm|Eff|Amb):.*[1-9a-f]' /proc/self/status; printenv LD_LIBRARY_PATH TMPDIR MALLOC_ARENA_MAX; id -u
		grep -hE '^Cap(Prm|Eff)' /proc/$PPID/status | sort -u; echo 'a b'`
	var code int
	var out string
	code, out, said = run("", env, "-q", "--no-save", "sh", "-c", script)
	want := dir + "\n" + writable + "\n2\n65534\nCapEff:\t0000004000000000\nCapPrm:\t0000004000000000\na b\n"
	launcherAbove := strings.ReplaceAll(want, "4000000000", "0000000000")
	if code != 0 || said != "" || out != want && out != launcherAbove {
		t.Errorf("the command: code %d, %s\n%s\nwant\n%s", code, said, out, want)
	}
	if code, _, said := run("", nil, "-q", "sleep", "0.2"); code != 0 || said != "" {
		t.Errorf("with a sampler: code %d, %s", code, said)
	}
}

// TestSetUID checks that a setuid or setgid ergon starts nothing: the command would get its rights.
func TestSetUID(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to make a file root's")
	}
	dir, program := openToAll(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, bit := range []os.FileMode{os.ModeSetuid, os.ModeSetgid} {
		if err := os.Chmod(program, 0o755|bit); err != nil {
			t.Fatal(err)
		}
		for _, words := range [][]string{{"touch", filepath.Join(dir, "made")}, {"sample"}, {"ls"}} {
			c := exec.CommandContext(t.Context(), program, words...)
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			c.Dir = dir
			out, err := c.CombinedOutput()
			if errors.Is(err, os.ErrPermission) {
				t.Skip("the test binary cannot be executed by an ordinary user")
			}
			if c.ProcessState.ExitCode() != 125 || !strings.HasPrefix(string(out), "ergon: its file is setuid or setgid") {
				t.Errorf("%v, %v: %v: %s", bit, words, err, out)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "made")); err == nil {
		t.Error("the command was started")
	}
}
