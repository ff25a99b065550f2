//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/cmd/ergon/doctor"
	"github.com/ergon-energy/ergon/internal/fixture"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// openToAll returns a folder that every user can enter, with ergon in it.
func openToAll(t *testing.T) (dir, program string) {
	t.Helper()
	dir = t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // a test's folder is closed to other users
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program = filepath.Join(dir, "ergon") // under this name the test binary is ergon
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, program
}

// TestDoctorByUser checks a machine where only root may read energy_uj. Root reads it. An ordinary user learns how a group could.
func TestDoctorByUser(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to become somebody else")
	}
	dir, program := openToAll(t)
	sys := filepath.Join(dir, "sys")
	zone := filepath.Join(sys, "devices/virtual/powercap/intel-rapl/intel-rapl:0")
	if err := os.MkdirAll(zone, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"name": "package-0\n", "max_energy_range_uj": "262143328850\n", "energy_uj": "1\n"} {
		mode := os.FileMode(0o444)
		if name == "energy_uj" {
			mode = 0o400
		}
		if err := os.WriteFile(filepath.Join(zone, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(uid uint32) (code int, found doctor.Report) {
		c := exec.CommandContext(t.Context(), program, "doctor", "--json", "--path.sysfs", sys, "--sensors", "rapl")
		c.Dir = dir
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		var stderr strings.Builder
		c.Stderr = &stderr
		out, err := c.Output()
		var failed *exec.ExitError
		if errors.Is(err, os.ErrPermission) {
			t.Skip("the test binary cannot be executed by an ordinary user")
		} else if err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &found); err != nil {
			t.Fatalf("%v: %s%s", err, out, stderr.String())
		}
		return c.ProcessState.ExitCode(), found
	}
	rapl := func(r doctor.Report) (all []doctor.Finding) {
		for _, f := range r.Findings {
			if f.Family == "rapl" {
				all = append(all, f)
			}
		}
		return all
	}
	stop := tick(t, filepath.Join(zone, "energy_uj")) // a counter that never moves is no meter
	code, found := ask(0)
	stop()
	if all := rapl(found); code != 0 || len(all) != 1 || !all[0].Readable {
		t.Errorf("root: code %d, %+v", code, found)
	}
	code, found = ask(65534)
	all := rapl(found)
	if code != 1 || found.UID != 65534 || len(all) != 1 {
		t.Fatalf("an ordinary user: code %d, %+v", code, found)
	}
	f := all[0]
	if !f.Present || f.Readable || f.Fix == nil || f.Fix.ID != "powercap-group" || !strings.Contains(f.Fix.Risk, "CVE-2020-8694") ||
		len(f.Fix.Files) != 1 || len(f.Fix.Commands) == 0 {
		t.Errorf("%+v, fix %+v", f, f.Fix)
	}
	if info, err := os.Stat(filepath.Join(zone, "energy_uj")); err != nil || info.Mode() != 0o400 {
		t.Errorf("the doctor changed something: %v, %v", info, err)
	}
}

// tick moves a counter of one digit every millisecond, until stop is called.
func tick(t *testing.T, path string) (stop func()) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	ticker, ended, done := time.NewTicker(time.Millisecond), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := byte(0); ; n = (n + 1) % 10 {
			select {
			case <-ticker.C:
				_, _ = file.WriteAt([]byte{'0' + n}, 0) // the reader sees whether it moves
			case <-ended:
				return
			}
		}
	}()
	return func() {
		close(ended)
		<-done
		ticker.Stop()
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestDoctorRecorded checks what the doctor says about recorded machines, as far as their files decide. Perf events always come
// from the running kernel.
func TestDoctorRecorded(t *testing.T) {
	program := testProgram(t)
	for name, want := range map[string]int{"empty-vm": 0, "xeon-1s": 0, "unreadable-energy": 1, "container-masked": 1} {
		t.Run(name, func(t *testing.T) {
			host := fixture.Host(t, name)
			c := exec.CommandContext(t.Context(), program, "doctor", "--path.sysfs", host.Sys, "--path.procfs", host.Proc,
				"--sensors", "rapl,cpu,memory,disk,network,-perf*")
			out, err := c.CombinedOutput()
			var failed *exec.ExitError
			if err != nil && !errors.As(err, &failed) {
				t.Fatal(err)
			}
			if code := c.ProcessState.ExitCode(); code != want {
				t.Errorf("code %d, want %d\n%s", code, want, out)
			}
		})
	}
}

// testProgram returns the path of the test binary under the name ergon, so that it is ergon.
func testProgram(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "ergon")
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	return program
}
