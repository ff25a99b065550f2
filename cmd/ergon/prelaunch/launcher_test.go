//go:build linux && cgo

package prelaunch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/internal/cgroup"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// patience is how long a test waits for what must happen. It is only used up if something is wrong.
const patience = 60 * time.Second

// role is the environment variable that makes this binary one of the programs below.
const role = "PRELAUNCH_ROLE"

// The programs that TestMain can be.
const (
	asRounds = "rounds" // rounds N COMMAND: launches the command that often, one after another
	asHolder = "holder" // holder COMMAND: holds it, says the process ids, and starts it when stdin says so
	asCloser = "closer" // closer: closes the launcher between Hold and Start
	asTeller = "teller" // teller COMMAND: runs it, and says which signals came
	asSlow   = "slow"   // slow COMMAND: a teller that says how far it is, and goes on when stdin says so
)

func TestMain(m *testing.M) {
	err := named()
	as := os.Getenv(role)
	switch {
	case err != nil:
	case as == "":
		exit(m.Run())
	case as == asRounds:
		err = roundsMain(os.Args[1:])
	case as == asHolder:
		err = holderMain(os.Args[1:])
	case as == asCloser:
		err = closerMain()
	case as == asTeller:
		err = tellerMain(os.Args[1:], func(...any) {})
	case as == asSlow:
		err = tellerMain(os.Args[1:], func(words ...any) {
			fmt.Fprintln(os.Stdout, words...)
			_, _ = fmt.Scanln()
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, as+":", err)
		exit(1)
	}
	exit(0)
}

// exit ends this process, and tells the launcher that this is meant.
func exit(code int) {
	if l := taken(); l != nil {
		l.Finish(code, 0)
	}
	os.Exit(code)
}

// named executes this binary again unless ERGON_EARLY says that it is one with a launcher.
func named() error {
	const variable = "ERGON_EARLY"
	name := filepath.Base(os.Args[0])
	if os.Getenv(variable) == name {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Setenv(variable, name); err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, os.Environ())
}

func roundsMain(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	l := taken()
	if l == nil {
		return errors.New("no launcher")
	}
	for i := range n {
		s, err := once(l, launch.Command{Argv: args[1:]})
		if err != nil || s.Code() != 0 {
			return fmt.Errorf("round %d: code %d, %w", i+1, s.Code(), err)
		}
	}
	return l.Close()
}

func holderMain(args []string) error {
	l := taken()
	t, err := l.Hold(launch.Command{Argv: args})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, l.PID(), os.Getpid(), t.PID())
	var word string
	if _, err := fmt.Scan(&word); err != nil {
		return err
	}
	if err := t.Start(); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "started")
	if err := t.Exited(); err != nil {
		return err
	}
	_, err = t.Reap()
	if word == "wait" {
		fmt.Fprintln(os.Stdout, "reaped")
		_, _ = fmt.Scan(&word)
	}
	return err
}

func tellerMain(args []string, stage func(...any)) error {
	l := taken()
	stage(l.PID(), os.Getpid(), 0)
	signals, err := l.Signals(len(args))
	if err != nil {
		return err
	}
	stage("watches")
	t, err := l.Hold(launch.Command{Argv: args})
	if err != nil {
		return err
	}
	stage("held")
	if err := t.Start(); err != nil {
		return err
	}
	ended := make(chan error)
	go func() { ended <- t.Exited() }()
	for {
		select {
		case s := <-signals:
			fmt.Fprintln(os.Stdout, s.Number, s.Typed)
		case err := <-ended:
			if state, reaped := t.Reap(); err == nil && reaped == nil {
				exit(state.ExitCode)
			}
			return err
		}
	}
}

func closerMain() error {
	l := taken()
	if Take() != nil {
		return errors.New("there is a second launcher")
	}
	h, err := l.Hold(launch.Command{Argv: []string{"true"}})
	if err != nil {
		return err
	}
	for range 2 {
		if err := l.Close(); err != nil {
			return err
		}
	}
	if _, err := l.Hold(launch.Command{Argv: []string{"true"}}); !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("hold after the close: %w", err)
	}
	s, err := finish(h)
	if s.Code() != 0 {
		return fmt.Errorf("code %d", s.Code())
	}
	return err
}

// program is a command that runs this binary in a role. It is killed if the test takes too long.
func program(t *testing.T, as string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), role+"="+as)
	return c
}

// taken is the launcher of this process.
var taken = sync.OnceValue(Take)

func launcher(t *testing.T) *Launcher {
	t.Helper()
	l := taken()
	if l == nil || l.orders == nil {
		t.Fatal("the constructor has forked no launcher")
	}
	return l
}

// TestWall checks that the wall time begins when the command is told to start, and ends when the launcher has seen its end,
// however late the caller asks.
func TestWall(t *testing.T) {
	h, err := launcher(t).Hold(launch.Command{Argv: []string{"sleep", "0.05"}})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // it is held, and that is no time of the command
	began := time.Now()
	err = h.Start()
	if err == nil {
		err = h.Exited()
	}
	most := time.Since(began)
	time.Sleep(20 * time.Millisecond)
	s, reaped := h.Reap()
	if err != nil || reaped != nil || s.Wall < 50*time.Millisecond || s.Wall > most {
		t.Errorf("%v, want 50 ms to %v (%v, %v)", s.Wall, most, err, reaped)
	}
}

// finish starts a held command and waits for its end.
func finish(t launch.Target) (launch.State, error) {
	if err := t.Start(); err != nil {
		return launch.State{}, err
	}
	if err := t.Exited(); err != nil {
		return launch.State{}, err
	}
	return t.Reap()
}

// once launches a command and waits for its end.
func once(l *Launcher, c launch.Command) (launch.State, error) {
	t, err := l.Hold(c)
	if err != nil {
		return launch.State{}, err
	}
	return finish(t)
}

// gone reports whether the process is gone, even as a zombie.
func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		<-time.After(time.Millisecond)
	}
}

// descriptors lists what this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// children lists the launcher's children, zombies included. One of them is this process.
func children(t *testing.T) []string {
	t.Helper()
	launcher(t).Orphans() // before it answers, it has reaped what it was told to
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", launcher(t).PID()))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the thread has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, strings.Fields(string(b))...)
	}
	return list
}

// TestWords passes words and variables by value, and hands back how a command ended.
func TestWords(t *testing.T) {
	script := filepath.Join(t.TempDir(), "bare")
	if err := os.WriteFile(script, []byte(`[ "$#" = 2 ] && exit "$1"`+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 100_000) // one word can have 128 KiB
	for _, c := range []struct {
		name    string
		command launch.Command
		code    int
	}{
		{"nothing", launch.Command{Argv: []string{"true"}}, 0},
		{"code", launch.Command{Argv: []string{"sh", "-c", "exit 3"}}, 3},
		{"signal", launch.Command{Argv: []string{"sh", "-c", "kill -KILL $$"}}, 137},
		{"words", launch.Command{Argv: []string{"sh", "-c", `[ "$0,$*,$#" = ",--  a b|,4" ]`, "", "--", "", "a b|"}}, 1},
		{"empty and odd words", launch.Command{Argv: []string{"sh", "-c", `[ "$0$1$3" = "" ] && [ "$2" = "a b" ] && [ $# = 3 ]`, "", "", "a b", ""}}, 0},
		{"more than a socket holds", launch.Command{Argv: append([]string{"sh", "-c", `[ $# = 12 ] && [ ${#9} = 100000 ]`, "sh"}, slices.Repeat([]string{long}, 12)...)}, 0},
		{"a script without an interpreter line", launch.Command{Argv: []string{script, "4", ""}}, 4},
		{"a variable more", launch.Command{Argv: []string{"sh", "-c", `[ "$NEW" = "b=c" ] && [ "$PATH" ]`}, Env: []string{"NEW=b=c"}}, 0},
		{"another value", launch.Command{Argv: []string{"sh", "-c", `[ "$(env | grep -c ^PATH=)" = 1 ] && [ "$PATH" = /usr/bin:/bin:/x ]`}, Env: []string{"PATH=/usr/bin:/bin:/x"}}, 0},
		{"a name that begins alike", launch.Command{Argv: []string{"sh", "-c", `[ "$PATH" ] && [ "$PA" = x ]`}, Env: []string{"PA=x"}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := once(launcher(t), c.command)
			if err != nil || s.Code() != c.code {
				t.Errorf("code %d, %v; want %d", s.Code(), err, c.code)
			}
		})
	}
}

// TestRefused has commands that cannot be executed. No process is left of them.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	plain, noInterpreter := filepath.Join(dir, "plain"), filepath.Join(dir, "interpreter")
	for name, mode := range map[string]fs.FileMode{plain: 0o644, noInterpreter: 0o755} {
		if err := os.WriteFile(name, []byte("#!/no/such/interpreter\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	before := children(t)
	for _, c := range []struct {
		command  string
		notFound bool
		err      error
	}{
		{"no-such-command-here", true, syscall.ENOENT},
		{"./none", true, syscall.ENOENT},
		{noInterpreter, true, syscall.ENOENT},
		{plain, false, syscall.EACCES},
		{dir, false, syscall.EACCES},
		{plain + "/below", false, syscall.ENOTDIR},
	} {
		h, err := launcher(t).Hold(launch.Command{Argv: []string{c.command}})
		if err != nil {
			t.Fatal(err)
		}
		err = h.Start()
		var e *launch.ExecError
		if !errors.As(err, &e) || e.NotFound() != c.notFound || e.Command != c.command || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.command, err, c.err)
		}
		if err := h.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%s: signal after the end: %v", c.command, err)
		}
	}
	if now := children(t); !slices.Equal(now, before) {
		t.Errorf("children %v, before that %v", now, before)
	}
}

// TestWrong has orders that no process can be made of.
func TestWrong(t *testing.T) {
	for name, c := range map[string]launch.Command{
		"no command":    {},
		"a zero byte":   {Argv: []string{"true", "a\x00b"}},
		"in a variable": {Argv: []string{"true"}, Env: []string{"A=\x00"}},
		"two v2 groups": {Argv: []string{"true"}, Groups: []launch.Group{{Dir: "/a", Version: 2}, {Dir: "/b", Version: 2}}},
	} {
		if h, err := launcher(t).Hold(c); err == nil {
			h.Abandon()
			t.Errorf("%s: held", name)
		}
	}
	s, err := once(launcher(t), launch.Command{Argv: []string{"true"}})
	if err != nil || s.Code() != 0 {
		t.Errorf("the next command: code %d, %v", s.Code(), err)
	}
}

// TestTooMuch gives more words than the kernel takes: that is an error of execve.
func TestTooMuch(t *testing.T) {
	err := func() error {
		_, err := once(launcher(t), launch.Command{Argv: []string{"true", strings.Repeat("x", 200_000)}})
		return err
	}()
	var e *launch.ExecError
	if !errors.As(err, &e) || !errors.Is(err, syscall.E2BIG) || e.NotFound() {
		t.Errorf("%v", err)
	}
}

// TestHeld looks at a command before its first instruction.
func TestHeld(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	h, err := launcher(t).Hold(launch.Command{Argv: []string{"sh", "-c", "echo $PPID >" + mark}})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", h.PID())); err != nil || exe != self {
		t.Errorf("it is %s already, %v", exe, err)
	}
	group, err := syscall.Getpgid(h.PID())
	if err != nil || group != syscall.Getpgrp() {
		t.Errorf("process group %d, %v; ours is %d", group, err, syscall.Getpgrp())
	}
	if !slices.Contains(children(t), strconv.Itoa(h.PID())) {
		t.Errorf("%d is not a child of the launcher", h.PID())
	}
	if _, err := os.Stat(mark); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it runs already: %v", err)
	}
	if s, err := finish(h); err != nil || s.Code() != 0 {
		t.Fatalf("code %d, %v", s.Code(), err)
	}
	if b, err := os.ReadFile(mark); err != nil || strings.TrimSpace(string(b)) != strconv.Itoa(launcher(t).PID()) {
		t.Errorf("its parent was %s, %v; the launcher is %d", b, err, launcher(t).PID())
	}
	if err := h.Start(); err == nil {
		t.Error("started twice")
	}
	h.Abandon() // does nothing
}

// TestAbandon leaves nothing of a command that was not started.
func TestAbandon(t *testing.T) {
	open := descriptors(t)
	h, err := launcher(t).Hold(launch.Command{Argv: []string{"true"}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.Abandon()
		if !gone(h.PID()) {
			t.Errorf("process %d is left", h.PID())
		}
	}
	if err := h.Start(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("start: %v", err)
	}
	if now := descriptors(t); now != open {
		t.Errorf("%d descriptors, before that %d", now, open)
	}
}

// TestTwo holds two commands at a time, and starts the second first.
func TestTwo(t *testing.T) {
	var held [2]launch.Target
	for i := range held {
		var err error
		if held[i], err = launcher(t).Hold(launch.Command{Argv: []string{"sh", "-c", fmt.Sprint("exit ", i+5)}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{1, 0} {
		if s, err := finish(held[i]); err != nil || s.Code() != i+5 {
			t.Errorf("command %d: code %d, %v", i, s.Code(), err)
		}
	}
}

// TestKilledWhileHeld is a signal between Hold and Start: the command ends by it, as it would have a moment later.
func TestKilledWhileHeld(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGUSR1} {
		h, err := launcher(t).Hold(launch.Command{Argv: []string{"true"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Signal(s); err != nil {
			t.Fatal(err)
		}
		if err := h.Exited(); err != nil {
			t.Fatal(err)
		}
		state, err := finish(h)
		if err != nil || state.Signal != int(s) {
			t.Errorf("%v: %+v, %v", s, state, err)
		}
	}
}

// TestSignalsAreTold sends signals to the launcher. They end neither it nor the command, and the runner hears of them.
func TestSignalsAreTold(t *testing.T) {
	t.Parallel()
	c := program(t, asTeller, "sh", "-c", "echo up; read word; exit 6")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	expect := func(want string) {
		t.Helper()
		if line, err := lines.ReadString('\n'); err != nil || line != want+"\n" {
			t.Errorf("%q, %v; want %q", line, err, want)
		}
	}
	expect("up")
	for _, s := range []syscall.Signal{
		syscall.SIGPIPE, syscall.SIGALRM, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGCONT,
	} {
		if err := c.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if s != syscall.SIGPIPE && s != syscall.SIGALRM { // these are nobody's business
			expect(s.String() + " false")
		}
	}
	if _, err := fmt.Fprintln(in, "end"); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); c.ProcessState.ExitCode() != 6 {
		t.Error(err)
	}
}

// TestEarlySignal sends a signal before the runner has asked for signals: it ends ergon, and the held command.
func TestEarlySignal(t *testing.T) {
	t.Parallel()
	h := holder(t, "true")
	if err := h.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = h.Wait()
	if status, ok := h.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("became %v", h.ProcessState)
	}
	ends(t, "command", h.held)
	ends(t, "runner", h.runner)
}

// TestSignalBeforeWatch has a signal that comes before the launcher reads that the runner watches, and after the runner has
// said so. The runner has gone on, so the signal is the runner's.
func TestSignalBeforeWatch(t *testing.T) {
	t.Parallel()
	h := speaker(t, asSlow, "sh", "-c", "read word; exit 6")
	stop(t, h.Process.Pid)
	if err := h.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	h.hear(t, "", "watches")
	if err := h.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	h.hear(t, "", "held")
	h.hear(t, "", "terminated false")
	_, _ = fmt.Fprintln(h.in, "end")
	_ = h.Wait()
	if h.ProcessState.ExitCode() != 6 {
		t.Errorf("became %v", h.ProcessState)
	}
}

// TestSignalBeforeRunnerEnds has a runner that dies before it reads a signal. The command gets the signal; without a
// command, ergon ends by it.
func TestSignalBeforeRunnerEnds(t *testing.T) {
	t.Parallel()
	for _, started := range []bool{false, true} {
		t.Run(fmt.Sprint(started), func(t *testing.T) {
			t.Parallel()
			ran := filepath.Join(t.TempDir(), "ran")
			h := speaker(t, asSlow, "sh", "-c", "echo >>"+ran+"; sleep 1000 & trap 'kill -KILL $!; exit 9' TERM; echo up; wait")
			h.hear(t, "", "watches")
			h.hear(t, "", "held")
			if started {
				h.hear(t, "", "up")
			}
			stop(t, h.runner)
			if err := h.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the launcher has read the signal", func() bool {
				status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.Process.Pid))
				return err == nil && bytes.Contains(status, []byte("ShdPnd:\t0000000000000000\n"))
			})
			if err := syscall.Kill(h.runner, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = h.Wait()
			status, ok := h.ProcessState.Sys().(syscall.WaitStatus)
			if !ok || started && status.ExitStatus() != 9 || !started && status.Signal() != syscall.SIGTERM {
				t.Errorf("became %v: %s", h.ProcessState, h.errors.String())
			}
			if _, err := os.Stat(ran); errors.Is(err, fs.ErrNotExist) == started {
				t.Errorf("the command ran: %v", err)
			}
		})
	}
}

// TestFlood sends more signals than the launcher can tell a runner that does not read. The end of the command is told
// all the same, and the runner's end ends ergon.
func TestFlood(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprint(killed), func(t *testing.T) {
			t.Parallel()
			h := speaker(t, asSlow, "sh", "-c", "trap '' USR1; echo up $$; read word; exit 6")
			h.hear(t, "", "watches")
			h.hear(t, "", "held")
			if _, err := fmt.Fprintln(h.in); err != nil {
				t.Fatal(err)
			}
			var command int
			if _, err := fmt.Fscanf(h.out, "up %d\n", &command); err != nil {
				t.Fatal(err)
			}
			stop(t, h.runner)
			read := func() bool {
				status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.Process.Pid))
				return err == nil && bytes.Contains(status, []byte("ShdPnd:\t0000000000000000\n"))
			}
			for range 1500 {
				if err := h.Process.Signal(syscall.SIGUSR1); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the launcher has read the signal", read)
			}
			_, _ = fmt.Fprintln(h.in, "end")
			ends(t, "command", command)
			after := syscall.SIGCONT
			if killed {
				after = syscall.SIGKILL
			}
			if err := syscall.Kill(h.runner, after); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, h.out)
			_ = h.Wait()
			if h.ProcessState.ExitCode() != 6 {
				t.Errorf("became %v: %s", h.ProcessState, h.errors.String())
			}
		})
	}
}

// TestGroups puts commands into cgroups, as far as this machine lets us make some.
func TestGroups(t *testing.T) {
	g, err := cgroup.Make(fmt.Sprintf("prelaunch-test-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n, err := g.Leave(); n > 0 || err != nil {
			t.Errorf("%d processes are left in the groups, %v", n, err)
		}
	})
	command := launch.Command{Argv: []string{"true"}}
	for _, f := range g.Folders() {
		command.Groups = append(command.Groups, launch.Group(f))
	}
	if len(command.Groups) == 0 {
		t.Skip("no cgroup can be made here: " + g.CPUReason)
	}
	h, err := launcher(t).Hold(command)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range command.Groups {
		b, err := os.ReadFile(filepath.Join(f.Dir, "cgroup.procs"))
		if err != nil || !slices.Contains(strings.Fields(string(b)), strconv.Itoa(h.PID())) {
			t.Errorf("%+v has %q, %v; want %d", f, b, err, h.PID())
		}
	}
	if s, err := finish(h); err != nil || s.Code() != 0 {
		t.Errorf("code %d, %v", s.Code(), err)
	}
	for _, f := range command.Groups { // the next round's
		one := launch.Command{Argv: command.Argv, Groups: []launch.Group{f}}
		if s, err := once(launcher(t), one); err != nil || s.Code() != 0 {
			t.Errorf("%+v: code %d, %v", f, s.Code(), err)
		}
	}
}

// TestNoSuchGroup names the group that refuses the command.
func TestNoSuchGroup(t *testing.T) {
	dir := t.TempDir()
	tasks := func(name string) launch.Group { // what takes a "0" like a v1 group
		g := launch.Group{Dir: filepath.Join(dir, name), Version: 1}
		if err := os.Mkdir(g.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(g.Dir, "tasks"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		return g
	}
	good, better := tasks("good"), tasks("better")
	none1, none2 := launch.Group{Dir: dir + "/none", Version: 1}, launch.Group{Dir: dir + "/none", Version: 2}
	long := launch.Group{Dir: "/" + strings.Repeat("long/", 1000), Version: 2}
	before := children(t)
	for _, c := range []struct {
		name   string
		groups []launch.Group
		which  launch.Group
		err    error
	}{
		{"v1", []launch.Group{none1}, none1, syscall.ENOENT},
		{"v2", []launch.Group{none2}, none2, syscall.ENOENT},
		{"v2 behind v1", []launch.Group{good, none2}, none2, syscall.ENOENT},
		{"the second of v1", []launch.Group{good, none1, better}, none1, syscall.ENOENT},
		{"a path too long", []launch.Group{long}, long, syscall.ENAMETOOLONG},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := launcher(t).Hold(launch.Command{Argv: []string{"true"}, Groups: c.groups})
			var e *launch.GroupError
			if !errors.As(err, &e) || e.Group != c.which || !errors.Is(err, c.err) {
				t.Errorf("%v, want %v of %v", err, c.err, c.which)
			}
		})
	}
	if now := children(t); !slices.Equal(now, before) {
		t.Errorf("children %v, before that %v", now, before)
	}
	if s, err := once(launcher(t), launch.Command{Argv: []string{"true"}, Groups: []launch.Group{good, better}}); err != nil || s.Code() != 0 {
		t.Errorf("code %d, %v", s.Code(), err)
	}
	if b, err := os.ReadFile(filepath.Join(better.Dir, "tasks")); err != nil || string(b) != "0" {
		t.Errorf("the group was told %q, %v", b, err)
	}
}

// TestJoinsByItself has a v2 group that no child can be born in, as on kernels before 5.7 and under a filter of system
// calls. The child joins it by itself.
func TestJoinsByItself(t *testing.T) {
	g := launch.Group{Dir: t.TempDir(), Version: 2} // no cgroup, so clone3 refuses it
	procs := filepath.Join(g.Dir, "cgroup.procs")
	if err := os.WriteFile(procs, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := once(launcher(t), launch.Command{Argv: []string{"sh", "-c", "exit 5"}, Groups: []launch.Group{g}})
	if err != nil || s.Code() != 5 {
		t.Errorf("code %d, %v", s.Code(), err)
	}
	if b, err := os.ReadFile(procs); err != nil || string(b) != "0" {
		t.Errorf("the group was told %q, %v", b, err)
	}
}

// TestRounds goes the same road a thousand times. Nothing is left behind, and the processes stay as small as the first.
func TestRounds(t *testing.T) {
	command := launch.Command{Argv: []string{"/bin/true"}}
	if _, err := once(launcher(t), command); err != nil { // what the Go runtime opens once is open now
		t.Fatal(err)
	}
	open, before, server := descriptors(t), children(t), resident(t, launcher(t).PID())
	sizes := make([]int64, 1000)
	for i := range sizes {
		s, err := once(launcher(t), command)
		if err != nil || s.Code() != 0 {
			t.Fatalf("round %d: code %d, %v", i+1, s.Code(), err)
		}
		sizes[i] = s.MaxRSS
	}
	if now := descriptors(t); now != open {
		t.Errorf("%d descriptors, before that %d", now, open)
	}
	if now := children(t); !slices.Equal(now, before) {
		t.Errorf("children %v, before that %v", now, before)
	}
	if now := resident(t, launcher(t).PID()); now > server+64<<10 {
		t.Errorf("the launcher has grown from %d to %d bytes", server, now)
	}
	if largest := slices.Max(sizes); largest > 2<<20 {
		t.Errorf("a round with %d bytes resident", largest)
	}
}

// resident is the resident memory of a process in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// TestMaxRSS holds the peak memory of a small program against GNU time's. What the process was before its execve counts
// as well, so it must be smaller than the smallest program.
func TestMaxRSS(t *testing.T) {
	gnu, err := exec.LookPath("time")
	if err != nil {
		t.Skip("GNU time is not there: apt-get install time")
	}
	var want []int64
	for range 5 {
		out, err := exec.Command(gnu, "-f", "%M", "sleep", "0").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, kib<<10)
	}
	// How many pages of a file the kernel maps around the one that is needed differs from start to start.
	const noise = 256 << 10
	for round := 1; round <= 100; round++ {
		s, err := once(launcher(t), launch.Command{Argv: []string{"sleep", "0"}})
		if err != nil {
			t.Fatal(err)
		}
		if round > 2 && round != 100 {
			continue
		}
		if s.MaxRSS < slices.Min(want)-noise || s.MaxRSS > slices.Max(want)+noise {
			t.Errorf("round %d: %d KiB, GNU time says %d to %d", round, s.MaxRSS>>10, slices.Min(want)>>10, slices.Max(want)>>10)
		}
	}
}

// TestTransparent holds what a command sees of itself in round 1 and 2 against what it sees without a launcher.
func TestTransparent(t *testing.T) {
	t.Parallel()
	probes := map[string]string{
		"signals": `grep -E "^(Umask|Sig(Blk|Ign|Pnd)|ShdPnd|Cap...|NoNewPrivs|Seccomp|Uid|Gid|Groups|Cpus_allowed):?" /proc/self/status`,
		// process group, session, terminal, its group; priority, nice; real-time priority, policy
		"stat":        `cut -d " " -f5-8,18,19,40,41 /proc/self/stat`,
		"limits":      `cat /proc/self/limits`,
		"descriptors": `find /proc/self/fd -printf "%f %l\n" | sed "s/[0-9]\{3,\}/N/g"`,
		"environment": `env`,
		"place":       `pwd; cat /proc/self/timerslack_ns /proc/self/oom_score_adj`,
	}
	prologues := map[string]string{
		"plain":   "",
		"ignored": "trap '' TERM USR1 USR2 PIPE HUP INT QUIT CHLD ALRM TSTP TTIN TTOU WINCH CONT",
		"limited": "umask 037; ulimit -Sn 333; ulimit -c 0; ulimit -Ss 4096; cd /; exec 7</dev/zero 5>&1; export X='a=b' Y=",
		"nice":    "exec nice -n 5 \"$@\"",
		"closed":  "exec <&- 2>&-",
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for probe, text := range probes {
		for prologue, setup := range prologues {
			t.Run(probe+"/"+prologue, func(t *testing.T) {
				t.Parallel()
				look := func(words ...string) string {
					file, err := os.Create(filepath.Join(t.TempDir(), "out"))
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = file.Close() }()
					c := exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", setup + "\n" + `exec "$@"`, "sh"}, words...)...)
					c.Env = append(os.Environ(), role+"="+asRounds)
					c.Stdout = file
					if err := c.Run(); err != nil {
						t.Fatal(err)
					}
					b, err := os.ReadFile(file.Name())
					if err != nil {
						t.Fatal(err)
					}
					return strings.ReplaceAll(string(b), filepath.Dir(file.Name()), "DIR")
				}
				text := text + " | grep -v ^_=" // the shell's own variable, which is another each time
				bare := look("sh", "-c", text)
				if bare == "" {
					t.Fatal("the probe itself says nothing")
				}
				if got := look(self, "2", "sh", "-c", text); got != bare+bare {
					t.Errorf("two rounds:\n%s\nwithout a launcher:\n%s", got, bare)
				}
			})
		}
	}
}

// TestNested has a launcher within a launcher's command.
func TestNested(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := program(t, asRounds, "2", self, "2", self, "1", "echo", "x").Output()
	if err != nil || string(out) != "x\nx\nx\nx\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestEndOfFile has a reader of the command's output who waits for its end, and does not care about anybody else's.
func TestEndOfFile(t *testing.T) {
	t.Parallel()
	c := program(t, asRounds, "3", "echo", "x")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(out); err != nil || string(b) != "x\nx\nx\n" {
		t.Errorf("%q, %v", b, err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// held is the program of that role, with the process ids of the runner and of the command it holds.
type held struct {
	*exec.Cmd
	in           io.Writer
	out          *bufio.Reader
	errors       bytes.Buffer
	runner, held int
}

// holder starts the program that holds a command.
func holder(t *testing.T, command ...string) *held {
	t.Helper()
	return speaker(t, asHolder, command...)
}

// speaker starts a program that begins with its process ids.
func speaker(t *testing.T, as string, command ...string) *held {
	t.Helper()
	h := &held{Cmd: program(t, as, command...)}
	h.Env = append(h.Env, "ERGON_TRACE=") // the line as users see it
	h.Stderr = &h.errors
	var err error
	if h.in, err = h.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := h.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.out = bufio.NewReader(out)
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	var launcher int
	if _, err := fmt.Fscanln(h.out, &launcher, &h.runner, &h.held); err != nil || launcher != h.Process.Pid {
		t.Fatalf("the launcher is %d, %v", launcher, err)
	}
	return h
}

// say gives the program a word, and waits for its answer.
func (h *held) say(t *testing.T, word string) {
	t.Helper()
	h.hear(t, word, "started")
}

// hear gives the program a word, and waits until it answers what is wanted.
func (h *held) hear(t *testing.T, word, want string) {
	t.Helper()
	if _, err := fmt.Fprintln(h.in, word); err != nil {
		t.Fatal(err)
	}
	if line, err := h.out.ReadString('\n'); err != nil || line != want+"\n" {
		t.Fatalf("%q, %v; want %q; %v", line, err, want, h.errors.String())
	}
}

// stop stops a process, and returns when it stands.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "stopped", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err == nil && bytes.Contains(stat, []byte(") T "))
	})
}

// ends waits until a process has ended.
func ends(t *testing.T, name string, pid int) {
	t.Helper()
	eventually(t, name+" ended", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(stat, []byte(") Z ")) // the process that adopts orphans may reap late, or never
	})
}

// TestLauncherKilled leaves neither runner nor held command.
func TestLauncherKilled(t *testing.T) {
	t.Parallel()
	h := holder(t, "true")
	if gone(h.runner) || gone(h.held) {
		t.Fatalf("runner %d, command %d: gone before their time", h.runner, h.held)
	}
	if err := h.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = h.Wait() // killed, as it should be
	ends(t, "runner", h.runner)
	ends(t, "command", h.held)
}

// TestRunnerEnds kills the runner at every stage. The command runs once, and its exit code is ergon's.
func TestRunnerEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stage string
		until func(t *testing.T, h *held)
		says  string
	}{
		{"held", func(*testing.T, *held) {}, "the command is not measured"},
		{"started", func(t *testing.T, h *held) { h.say(t, "go") }, "the measurement is incomplete"},
		{"reaped", func(t *testing.T, h *held) {
			h.say(t, "wait")
			if line, err := h.out.ReadString('\n'); err != nil || line != "reaped\n" {
				t.Errorf("%q, %v", line, err)
			}
		}, "the measurement is incomplete"},
	} {
		for name, end := range map[string]string{"code": "exit 9", "signal": "kill -KILL $$"} {
			t.Run(c.stage+"/"+name, func(t *testing.T) {
				t.Parallel()
				ran := filepath.Join(t.TempDir(), "ran")
				wait := ""
				if c.stage == "started" {
					wait = "while kill -0 $RUNNER 2>/dev/null; do :; done; "
				}
				// RUNNER is known to the command only after it was held
				pid := filepath.Join(t.TempDir(), "pid")
				h := holder(t, "sh", "-c", "read -r RUNNER <"+pid+"; "+wait+"echo >>"+ran+"; "+end)
				if err := os.WriteFile(pid, []byte(strconv.Itoa(h.runner)+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				c.until(t, h)
				if err := syscall.Kill(h.runner, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				_ = h.Wait()
				status, ok := h.ProcessState.Sys().(syscall.WaitStatus)
				if !ok || name == "signal" && status.Signal() != syscall.SIGKILL || name == "code" && status.ExitStatus() != 9 {
					t.Errorf("became %v", h.ProcessState)
				}
				if b, err := os.ReadFile(ran); err != nil || string(b) != "\n" {
					t.Errorf("it ran %d times, %v", len(b), err)
				}
				if text := h.errors.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, c.says) {
					t.Errorf("stderr has %q", text)
				}
			})
		}
	}
}

// TestIgnored notes signals that the caller has ignored.
func TestIgnored(t *testing.T) {
	if Ignored(syscall.SIGSEGV) || Ignored(os.Signal(nil)) {
		t.Error("a signal counts as ignored that was not ignored")
	}
}

// TestClose takes no further commands. A command that was held before can still be started.
func TestClose(t *testing.T) {
	t.Parallel()
	if out, err := program(t, asCloser, "as said").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// BenchmarkRound is the time that one round of `true` takes from Hold to Reap.
func BenchmarkRound(b *testing.B) {
	l := taken()
	for b.Loop() {
		if s, err := once(l, launch.Command{Argv: []string{"/bin/true"}}); err != nil || s.Code() != 0 {
			b.Fatalf("code %d, %v", s.Code(), err)
		}
	}
}

// TestUser runs commands as another user. Its numbers are exactly those asked for, and no capability is left.
func TestUser(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to become somebody else")
	}
	const check = `[ "$(id -u):$(id -G)" = "$0" ] || exit 1; [ "$NEW" = x ] && [ -z "${OLD+x}" ] || exit 2
		[ "$(id -u)" = 0 ] || ! grep -E '^Cap(Inh|Prm|Eff|Amb):.*[1-9a-f]' /proc/self/status || exit 3`
	t.Setenv("OLD", "x")
	for want, u := range map[string]*launch.User{
		"65534:4711 1 2 3":   {UID: 65534, GID: 4711, Groups: []uint32{1, 2, 3}},
		"4294967294:4711":    {UID: 1<<32 - 2, GID: 4711},
		"0:7":                {GID: 7},
		"1000:1000 99999999": {UID: 1000, GID: 1000, Groups: []uint32{99999999}},
	} {
		// OLD was set after the launcher was forked, so only Direct removes it.
		c := launch.Command{Argv: []string{"sh", "-c", check, want}, User: u, Env: []string{"NEW=x", "OLD"}}
		for name, hold := range map[string]func(launch.Command) (launch.Target, error){"launcher": launcher(t).Hold, "direct": launch.Direct{}.Hold} {
			target, err := hold(c)
			if err != nil {
				t.Fatal(err)
			}
			if s, err := finish(target); err != nil || s.Code() != 0 {
				t.Errorf("%s by %s: code %d, %v", want, name, s.Code(), err)
			}
		}
	}
	// An unset variable of the launcher's own environment.
	s, err := once(launcher(t), launch.Command{Argv: []string{"sh", "-c", `[ -z "${ERGON_EARLY+x}" ] && [ "$PATH" ]`}, Env: []string{"ERGON_EARLY"}})
	if err != nil || s.Code() != 0 {
		t.Errorf("a removed variable: code %d, %v", s.Code(), err)
	}

	// What the kernel refuses is an error before anything starts.
	before := children(t)
	_, err = launcher(t).Hold(launch.Command{Argv: []string{"true"}, User: &launch.User{UID: 1, GID: 1, Groups: make([]uint32, 70_000)}})
	refused, ok := errors.AsType[*launch.UserError](err)
	if !ok || refused.User.UID != 1 || !errors.Is(err, syscall.EINVAL) || len(children(t)) != len(before) {
		t.Errorf("too many groups: %v", err)
	}
}

// TestPlaces checks that a command gets its own folder and its own files, and that the next one has the caller's again.
func TestPlaces(t *testing.T) {
	l := launcher(t)
	dir := t.TempDir()
	in, out, errs := filepath.Join(dir, "in"), filepath.Join(dir, "out"), filepath.Join(dir, "errors")
	if err := os.WriteFile(in, []byte("given\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, []byte("a longer text of before"), 0o600); err != nil {
		t.Fatal(err)
	}
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(sub, "tell")
	if err := os.WriteFile(script, []byte("#!/bin/sh\npwd; cat; echo wrong >&2\n"), 0o700); err != nil { //nolint:gosec // it is executed
		t.Fatal(err)
	}
	s, err := once(l, launch.Command{Argv: []string{"./tell"}, Dir: sub, Input: in, Output: out, Errors: errs})
	if err != nil || s.ExitCode != 0 {
		t.Fatal(s, err)
	}
	said, _ := os.ReadFile(out)
	wrong, _ := os.ReadFile(errs)
	if string(said) != sub+"\ngiven\n" || string(wrong) != "wrong\n" {
		t.Errorf("got %q and %q", said, wrong)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if s, err := once(l, launch.Command{Argv: []string{"sh", "-c", "test \"$(pwd -P)\" = \"$1\"", "sh", here}, Output: out}); err != nil || s.ExitCode != 0 {
		t.Error(s, err)
	}
	none := filepath.Join(dir, "none")
	for _, c := range []launch.Command{{Dir: none}, {Input: none}, {Output: filepath.Join(none, "a")}, {Errors: filepath.Join(none, "a")}} {
		c.Argv = []string{"true"}
		e, ok := errors.AsType[*fs.PathError](second(l.Hold(c)))
		if !ok || !errors.Is(e, fs.ErrNotExist) || !strings.HasPrefix(e.Path, none) {
			t.Errorf("%+v: %v", c, e)
		}
	}
}

func second(_ launch.Target, err error) error { return err }
