package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
)

// The requests of a file in user space (include/uapi/linux/fuse.h) that a file without a folder gets.
const (
	fuseForget      = 2
	fuseGetattr     = 3
	fuseOpen        = 14
	fuseRead        = 15
	fuseRelease     = 18
	fuseFlush       = 25
	fuseInit        = 26
	fuseInterrupt   = 36
	fuseBatchForget = 42

	fuseDirectIO = 1
	inHeader     = 40
)

// served is one file that the test serves, as lxcfs does.
type served struct {
	device *os.File
	text   string
	// opens and reads are how often each is answered. The next one never is.
	opens, reads int64
	asked        atomic.Int64 // the reads so far
}

// serve answers until the device is closed or the file system unmounted.
func (s *served) serve() {
	request := make([]byte, 1<<20)
	for {
		n, err := s.device.Read(request)
		if errors.Is(err, syscall.EINTR) || errors.Is(err, syscall.ENOENT) { // the asker has given up
			continue
		}
		if err != nil || n < inHeader {
			return
		}
		body := request[inHeader:n]
		var answer []byte
		var failed int32
		switch binary.NativeEndian.Uint32(request[4:]) {
		case fuseInit:
			answer = make([]byte, 64)
			binary.NativeEndian.PutUint32(answer[0:], 7)
			binary.NativeEndian.PutUint32(answer[4:], 31)
			binary.NativeEndian.PutUint32(answer[20:], 1<<16) // the most that is written
		case fuseGetattr:
			answer = make([]byte, 104)
			binary.NativeEndian.PutUint64(answer[16:], 1) // its number
			binary.NativeEndian.PutUint32(answer[16+60:], syscall.S_IFREG|0o444)
			binary.NativeEndian.PutUint32(answer[16+64:], 1) // one name
		case fuseOpen:
			if s.opens--; s.opens < 0 {
				continue
			}
			answer = make([]byte, 16)
			binary.NativeEndian.PutUint32(answer[8:], fuseDirectIO)
		case fuseRead:
			if s.asked.Add(1) > s.reads {
				continue
			}
			from := min(binary.NativeEndian.Uint64(body[8:]), uint64(len(s.text)))
			answer = []byte(s.text)[from:]
		case fuseRelease, fuseFlush:
		case fuseForget, fuseBatchForget, fuseInterrupt:
			continue // no answer is wanted
		default:
			failed = -int32(syscall.ENOSYS)
		}
		var out bytes.Buffer
		_ = binary.Write(&out, binary.NativeEndian, []uint32{uint32(16 + len(answer)), uint32(failed)})
		_, _ = out.Write(request[8:16]) // which request
		_, _ = out.Write(answer)
		_, _ = s.device.Write(out.Bytes())
	}
}

// TestCoveredFile covers /proc/meminfo by a file that a process serves, as lxcfs does. If it hangs, its family is missing and
// says why. The command, the rest and the time are as ever.
func TestCoveredFile(t *testing.T) {
	testenv.Long(t)
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "only root mounts")
	}
	const text = "MemTotal: 4096 kB\nMemFree: 1024 kB\nMemAvailable: 1024 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
	const all = math.MaxInt32
	for _, c := range []struct {
		name         string
		opens, reads int64
		script       string
		hangs        bool
		covers       string
	}{
		{"answers, a short command", all, all, "exit 3", false, "meminfo"},
		{"answers, a longer command", all, all, "sleep 0.4; exit 3", false, "meminfo"},
		{"hangs when it is opened, a short command", 0, 0, "exit 3", true, "meminfo"},
		{"hangs when it is opened, a longer command", 0, 0, "sleep 0.4; exit 3", true, "meminfo"},
		{"hangs at the first reading", all, 0, "sleep 0.4; exit 3", true, "meminfo"},
		{"hangs in the middle", all, 5, "sleep 1; exit 3", true, "meminfo"},
		{"hangs at the description of the machine", 0, 0, "exit 3", false, "cpuinfo"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err != nil {
				testenv.Lacks(t, testenv.FUSE, err)
			}
			device := os.NewFile(uintptr(fd), "fuse")
			mounted, tell, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			run := command(t, newMark(), "sh", "-c", `mount -i -t fuse -o fd=3,rootmode=100444,user_id=0,group_id=0 served /proc/$1 || exit 77
echo >&4; shift; exec "$@" 3>&- 4>&-`, "sh", c.covers, "ergon", "-q", "-o", dir, "sh", "-c", c.script)
			run.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			run.ExtraFiles = []*os.File{device, tell}
			var said bytes.Buffer
			run.Stderr = &said
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			_ = tell.Close()
			if n, _ := mounted.Read(make([]byte, 1)); n != 1 {
				_ = run.Wait()
				testenv.Lacks(t, testenv.FUSE, said.String())
			}
			// Closing a descriptor that does not block ends the reading. The poller takes it only once it is mounted.
			again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			if err = errors.Join(err, unix.SetNonblock(again, true), device.Close()); err != nil {
				t.Fatal(err)
			}
			s := &served{device: os.NewFile(uintptr(again), "fuse"), text: text, opens: c.opens, reads: c.reads}
			began := time.Now()
			go s.serve()
			_ = run.Wait()
			took := time.Since(began)

			_ = s.device.Close()
			if code := run.ProcessState.ExitCode(); code != 3 || took > 10*time.Second {
				t.Errorf("exit code %d after %v; %s", code, took, said.String())
			}
			r := onlyRun(t, dir)
			absent := slices.ContainsFunc(r.Missing, func(a sensors.Absence) bool { return a.Family == "memory" && a.Cause == sensors.TimedOut })
			hung := false
			for _, source := range r.Sources {
				hung = hung || source.Name == "memory" && source.Hung
			}
			if (absent || hung) != c.hangs {
				t.Errorf("memory is absent: %t, hung: %t; %+v", absent, hung, r.Missing)
			}
			sum := summaryOf(t, dir)
			for _, name := range []string{"cpu_time", "cpu_utilization", "disk_read"} {
				if sum[name].Value == nil && name != "cpu_utilization" {
					t.Errorf("%s is missing: %v", name, *sum[name].Reason)
				}
			}
			t.Logf("took %v, %d reads, absent %t, hung %t", took, s.asked.Load(), absent, hung)
		})
	}
}
