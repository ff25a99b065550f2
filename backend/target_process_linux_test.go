package backend

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/internal/cmdline"
	"github.com/ergon-energy/ergon/internal/testenv"
	"github.com/ergon-energy/ergon/sensors"
)

// otherFile is the environment variable with the file to be executed in the role "becomes".
const otherFile = "ERGON_TEST_OTHER"

// identity tells processes apart that have the same number one after the other.
type identity struct {
	pid   int
	start time.Time
}

// chronicle collects what a source reports of processes.
type chronicle map[identity]sensors.Process

// ask adds what the source reports now, and checks it against earlier reports.
func (c chronicle) ask(t *testing.T, f *followed) {
	t.Helper()
	lister, ok := f.Source.(sensors.ProcessLister)
	if !ok {
		t.Fatal("the source lists no processes")
	}
	looked := lister.Processes(func(p sensors.Process) {
		id := identity{p.PID, p.Start}
		before, known := c[id]
		switch {
		case known && !before.Gone.IsZero():
			t.Errorf("process %d had ended and is reported again", p.PID)
		case known && (p.CPU < before.CPU || p.FirstSeen != before.FirstSeen || p.Parent != before.Parent || p.LastSeen.Before(before.LastSeen)):
			t.Errorf("%+v is reported after %+v", p, before)
		case p.LastSeen.Before(p.FirstSeen), !p.Gone.IsZero() && p.Gone.Before(p.LastSeen), p.Start.After(p.FirstSeen.Add(clockTick)):
			t.Errorf("the times are out of order: %+v", p)
		}
		c[id] = p
	})
	if looked.IsZero() || looked.After(time.Now()) {
		t.Errorf("the time of the last look is %v", looked)
	}
}

// living returns the processes that have not ended, by process id.
func (c chronicle) living() map[int]sensors.Process {
	out := map[int]sensors.Process{}
	for _, p := range c {
		if p.Gone.IsZero() {
			out[p.PID] = p
		}
	}
	return out
}

// awaitEnd waits until the processes have ended, whether or not their parents have waited for them. A process closes its
// files a little before it ends, so the end of its pipes is not enough.
func (c chronicle) awaitEnd(t *testing.T) {
	t.Helper()
	for pid := range c.living() {
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		_ = unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestProcessesTruth checks the reports of single processes: together they never have more CPU time than the processes
// used, and every process is reported as ended.
func TestProcessesTruth(t *testing.T) {
	testenv.Long(t)
	exact(t)
	for _, as := range []string{"burn 300", "waits 40", "ignores 10", "daemons 10"} {
		t.Run(as, func(t *testing.T) {
			machine := testenv.Begin(t)
			s := start(t, as)
			told := map[string]chronicle{}
			for name := range s.sources {
				told[name] = chronicle{}
			}
			done := make(chan error, 1)
			go func() { done <- s.Wait() }()
			ticker := time.NewTicker(20 * time.Millisecond)
			defer ticker.Stop()
			for over := false; !over; {
				select {
				case <-ticker.C:
				case err := <-done:
					if err != nil {
						t.Error(err)
					}
					over = true
				}
				s.readAll()
				for name, f := range s.sources {
					told[name].ask(t, f)
				}
			}
			// A daemon may outlive the command for a moment. After it has ended, the next reading says so.
			for _, c := range told {
				c.awaitEnd(t)
			}
			s.readAll()
			for name, f := range s.sources {
				told[name].ask(t, f)
			}
			truth, n := s.truth()
			for name, c := range told {
				cpu := time.Duration(0)
				for _, p := range c {
					cpu += p.CPU
				}
				if left := c.living(); len(left) > 0 {
					t.Errorf("%s: still reported as living: %v", name, left)
				}
				// A process reports what it used a little before it ends.
				if got := cpu.Seconds(); got > 1.05*truth+0.005*float64(n) || got == 0 || len(c) > 2*n+1 {
					machine.Errorf("%s: %d processes with %.3f s, want %d with %.3f s", name, len(c), got, n, truth)
				}
				t.Logf("%s: %d of %d processes, %.3f of %.3f s", name, len(c), n, cpu.Seconds(), truth)
			}
		})
	}
}

func TestProcessesDeep(t *testing.T) {
	const depth = 12
	s := start(t, fmt.Sprint("deep ", depth))
	s.awaitReports(depth)
	s.lookAll()
	for name, f := range s.sources {
		c := chronicle{}
		c.ask(t, f)
		above, all := map[int]int{}, c.living()
		for pid, p := range all {
			above[pid] = p.Parent
			if p.PeakMemory == 0 || p.Name == "" {
				t.Errorf("%s: %+v", name, p)
			}
		}
		longest := 0
		for pid := range all {
			steps := 0
			for ; pid != s.Process.Pid && all[pid].PID != 0; steps++ {
				pid = above[pid]
			}
			longest = max(longest, steps)
		}
		if len(all) != depth || longest != depth-1 {
			t.Errorf("%s: %d processes, the lowest %d levels below the command; want %d and %d", name, len(all), longest, depth, depth-1)
		}
		again := 0
		f.Source.(sensors.ProcessLister).Processes(func(sensors.Process) { again++ })
		if again > 0 {
			t.Errorf("%s: %d processes are reported again although nothing has changed", name, again)
		}
	}
}

// TestProcessesOrphan checks that a process keeps its first parent in the report after the parent has ended.
func TestProcessesOrphan(t *testing.T) {
	s := start(t, "family 1")
	s.awaitReports(1)
	s.lookAll()
	told := map[string]chronicle{}
	for name, f := range s.sources {
		told[name] = chronicle{}
		told[name].ask(t, f)
	}
	if err := s.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err == nil {
		t.Fatal("no error, although the command was killed")
	}
	s.checkLeft(1)
	for name, f := range s.sources {
		told[name].ask(t, f)
		left := told[name].living()
		for _, p := range left {
			if p.Parent != s.Process.Pid {
				t.Errorf("%s: %+v, want the parent %d", name, p, s.Process.Pid)
			}
		}
		if len(left) != 1 || len(told[name]) != 2 {
			t.Errorf("%s: %d of %d processes live, want 1 of 2", name, len(left), len(told[name]))
		}
	}
}

// TestProcessesExec checks that a process which executes another file stays the same process under a new name. The name
// is reported unchanged and whole, although the kernel cuts it. Arguments are read only if the user asked for them.
func TestProcessesExec(t *testing.T) {
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	hostile := "a\x1b[31m\n\xff) S 1 (\u202e<b>|`x`-and-more-than-the-kernel-keeps"
	file := filepath.Join(t.TempDir(), hostile)
	if err := os.Symlink(self, file); err != nil {
		t.Skip("the file system does not allow the name:", err)
	}
	t.Setenv(otherFile, file)
	s := start(t, "becomes")
	s.awaitReports(1)
	s.lookAll()
	told := map[string]chronicle{}
	for name, f := range s.sources {
		told[name] = chronicle{}
		told[name].ask(t, f)
		f.Source.(*targetSource).tree.arguments = name == "walk"
	}
	if _, err := s.gate.Write([]byte{'x'}); err != nil {
		t.Fatal(err)
	}
	s.awaitReports(1)
	s.lookAll()
	for name, f := range s.sources {
		told[name].ask(t, f)
		for _, p := range told[name] {
			if p.Name != hostile {
				t.Errorf("%s: name %q, want %q", name, p.Name, hostile)
			}
			if asked := name == "walk"; asked && !strings.HasPrefix(p.CommandLine, cmdline.Line([]string{file, "--password"})) ||
				!asked && p.CommandLine != "" || len(p.CommandLine) > mostLine {
				t.Errorf("%s: command line %.200q of %d bytes", name, p.CommandLine, len(p.CommandLine))
			}
		}
		if len(told[name]) != 1 {
			t.Errorf("%s: %d processes, want 1", name, len(told[name]))
		}
	}
}

// TestCommandLine checks that all bytes come back, that secrets do not, and that what is cut off is no part of a secret.
func TestCommandLine(t *testing.T) {
	long := strings.Repeat("x", mostLine)
	for _, c := range []struct {
		words string
		cut   bool
		want  []string
	}{
		{"sh\x00-c\x00echo a  b\x00", false, []string{"sh", "-c", "echo a  b"}},
		{"x\x00\xff\n'\x00", false, []string{"x", "\xff\n'"}},
		{"x\x00--token\x00abc\x00https://u:p@h/\x00", false, []string{"x", "--token", "***", "https://***@h/"}},
		{"x\x00https://u:secr", true, []string{"x", "…"}},
		{"x\x00--token\x00secr", true, []string{"x", "--token", "…"}},
		{"x\x00" + long, false, []string{"x", "…"}},
		{"x\x00" + strings.Repeat("\xff", mostLine/2) + "\x00y", false, []string{"x", "…"}},
	} {
		got, err := cmdline.Split(commandLine([]byte(c.words), c.cut))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%.50q: %.200q, %v, want %q", c.words, got, err, c.want)
		}
	}
}

// TestProcessesThreads checks that a process with threads is reported as one process.
func TestProcessesThreads(t *testing.T) {
	s := start(t, "threads 9")
	s.awaitReports(1)
	s.lookAll()
	for name, f := range s.sources {
		c := chronicle{}
		c.ask(t, f)
		if len(c) != 1 {
			t.Errorf("%s: %d processes, want one with its threads", name, len(c))
		}
	}
}

// TestProcessesReuse checks that a process id which is used again is another process. A test cannot have an id used again
// at will. So it changes the start of the known process, as if that had been an earlier one.
func TestProcessesReuse(t *testing.T) {
	s := start(t, "family 1")
	s.awaitReports(1)
	s.lookAll()
	f := s.sources["walk"]
	c := chronicle{}
	tree := f.Source.(*targetSource).tree
	for pid, p := range tree.known {
		if pid != s.Process.Pid {
			p.start--
		}
	}
	c.ask(t, f)
	s.lookAll() // misses the earlier process
	s.lookAll() // meets the later one
	c.ask(t, f)
	gone, children := 0, 0
	for id, p := range c {
		if id.pid != s.Process.Pid {
			children++
			if !p.Gone.IsZero() {
				gone++
			}
		}
	}
	if children != 2 || gone != 1 {
		t.Errorf("%d processes have the id, %d of them gone: %+v", children, gone, c)
	}
}

// TestProcessesOwn checks that what a seen child has read is not counted for its parent, but what an unseen child has
// read is.
func TestProcessesOwn(t *testing.T) {
	tree := newTree("", 0)
	var retired, sum counts
	p := process{
		hasIO: true, count: counts{countRead: 100, countWritten: 50}, risen: counts{countRead: 70, countWritten: 5, countMinor: 1},
		fresh: counts{countRead: 60, countWritten: 20},
	}
	p.settle(&retired, &sum)
	if r := tree.record(&p); r.Read != 40 || r.Written != 45 {
		t.Errorf("%+v", r)
	}
}

func TestWholeName(t *testing.T) {
	f := func(cut, words, want string) {
		t.Helper()
		if got := wholeName(cut, []byte(words)); got != want {
			t.Errorf("%q of %q: %q, want %q", cut, words, got, want)
		}
	}
	f("train_resnet_50", "/srv/train_resnet_50_on_all.py\x00--key\x00k\x00", "train_resnet_50_on_all.py")
	f("train_resnet_50", "/bin/sh\x00./train_resnet_50_on_all.sh\x00k\x00", "train_resnet_50_on_all.sh")
	f("train_resnet_50", "/bin/sh\x00-x\x00train_resnet_50_secret\x00", "train_resnet_50")
	f("postgres-worker", "postgres: user password", "postgres-worker")
	f("train_resnet_50", "", "train_resnet_50")
	f("train_resnet_50", "train_resnet_50"+strings.Repeat("x", 300), "train_resnet_50")
}

// FuzzWholeName checks that a name is completed only by characters that a file name may hold.
func FuzzWholeName(f *testing.F) {
	f.Add("train_resnet_50", []byte("/bin/sh\x00./train_resnet_50_on_all.sh\x00"))
	f.Add("", []byte("\x00"))
	f.Fuzz(func(t *testing.T, cut string, words []byte) {
		got := wholeName(cut, words)
		if !strings.HasPrefix(got, cut) || got != cut && (strings.ContainsAny(got[len(cut):], "/\x00") || !bytes.Contains(words, []byte(got))) {
			t.Errorf("%q of %q: %q", cut, words, got)
		}
	})
}
