package backend

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
)

// sighting is what a role saw of the process that it followed.
type sighting struct {
	Sensors  []string
	Absences []sensors.Absence
	// Written are the readings of target/written, -1 for none.
	Written []float64
	Names   []string
	HasIO   []bool
}

// sight follows a process, and reads once before and once after change.
func sight(pid int, change func()) (f sighting) {
	source, absences, err := openTarget(sensors.Setup{Runner: os.Getpid()})
	if err != nil {
		f.Absences = append(f.Absences, sensors.AbsenceOf("target", err))
		return f
	}
	defer func() { _ = source.Close() }()
	f.Absences = absences
	_ = source.(sensors.Follower).Follow(pid)
	row := make([]float64, len(source.Sensors()))
	read := func() {
		if s, ok := source.(*targetSource); ok {
			s.looks.next = 0
		}
		_ = source.Read(row)
		for i, s := range source.Sensors() {
			if s.Use == sensors.TargetWritten {
				v := row[i]
				if math.IsNaN(v) {
					v = -1
				}
				f.Written = append(f.Written, v)
			}
		}
	}
	read()
	change()
	read()
	for _, s := range source.Sensors() {
		f.Sensors = append(f.Sensors, s.Name)
	}
	source.(sensors.ProcessLister).Processes(func(p sensors.Process) {
		f.Names, f.HasIO = append(f.Names, p.Name), append(f.HasIO, p.HasIO)
	})
	return f
}

// playSighting runs the roles of this file.
func playSighting(name string) {
	var f sighting
	switch name {
	case "undumpable": // after a byte from the gate it may not be dumped; then it waits for the end of the gate
		_, _ = os.Stdout.Write([]byte{1})
		_, _ = os.Stdin.Read(make([]byte, 1))
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
		_, _ = os.Stdout.Write([]byte{1})
		_, _ = os.Stdin.Read(make([]byte, 1))
		return
	case "refused":
		c := again("undumpable")
		c.ExtraFiles = nil
		gate, err := c.StdinPipe()
		out, err2 := c.StdoutPipe()
		if err = errors.Join(err, err2, c.Start()); err != nil {
			return
		}
		_, _ = out.Read(make([]byte, 1))
		f = sight(c.Process.Pid, func() {
			_, _ = gate.Write([]byte{1})
			_, _ = out.Read(make([]byte, 1))
		})
		_ = gate.Close()
	case "foreign":
		f = sight(os.Getpid(), func() {})
	}
	_ = json.NewEncoder(os.Stdout).Encode(f)
}

// played runs a role and returns what it saw.
func played(t *testing.T, name string, attr *syscall.SysProcAttr) (f sighting, err error) {
	t.Helper()
	binary, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = binary.Close() }()
	c := exec.Command(os.Args[0])
	c.Path = "/proc/self/fd/3" // other users cannot enter the folder of the test binary
	c.ExtraFiles = []*os.File{binary}
	c.Env = append(os.Environ(), noExitSleep, role+"="+name)
	c.SysProcAttr = attr
	out, err := c.Output()
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(out, &f); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	return f, nil
}

// TestBytesThatMayNotBeRead follows a process that the kernel hides from ordinary users at some point. Its bytes are not 0, they
// are unknown.
func TestBytesThatMayNotBeRead(t *testing.T) {
	var attr *syscall.SysProcAttr
	if os.Getuid() == 0 {
		attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	f, err := played(t, "refused", attr)
	if errors.Is(err, os.ErrPermission) {
		t.Skip("the test binary cannot be executed by an ordinary user")
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Written) != 2 || f.Written[0] < 0 || f.Written[1] >= 0 {
		t.Errorf("target/written before and after: %v, want a number and none", f.Written)
	}
	if len(f.HasIO) != 1 || f.HasIO[0] {
		t.Errorf("the process has bytes: %v", f.HasIO)
	}
}

// TestProcOfAnotherNamespace follows a process whose number belongs to a stranger in /proc.
func TestProcOfAnotherNamespace(t *testing.T) {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Getuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	f, err := played(t, "foreign", attr)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
		testenv.Lacks(t, testenv.Root, "no PID namespace can be made: "+err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Names) > 0 || len(f.Written) > 0 {
		t.Errorf("strangers: %v, bytes written %v", f.Names, f.Written)
	}
	for _, name := range f.Sensors {
		if name != "cpu_time" { // by perf, which follows the right process
			t.Errorf("target/%s has a reading, but needs a look at /proc", name)
		}
	}
	if len(f.Absences) == 0 {
		t.Error("nothing is absent")
	}
	for _, a := range f.Absences {
		if a.Cause != sensors.OtherNamespace || !strings.Contains(a.Reason, "PID namespace") {
			t.Errorf("%s: %s, %q", a.ID, a.Cause, a.Reason)
		}
	}
}
