package runner_test

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/cgroup"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/sampler"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
)

// launcher is a launcher that records its commands. It refuses the first cgroup of each command.
type launcher struct {
	launch.Direct
	commands []launch.Command
	refused  map[string]bool
	closed   int
	// startedOpen counts the commands that were started before Close.
	startedOpen int
}

func (l *launcher) Hold(c launch.Command) (launch.Target, error) {
	l.commands = append(l.commands, c)
	for _, g := range c.Groups {
		if !l.refused[g.Dir] {
			l.refused[g.Dir] = true
			return nil, &launch.GroupError{Group: g, Err: syscall.EBUSY}
		}
	}
	target, err := l.Direct.Hold(c)
	return &watched{target, l}, err
}

func (l *launcher) Close() error {
	l.closed++
	return nil
}

// watched is a target that records whether its launcher is still open when it starts.
type watched struct {
	launch.Target
	by *launcher
}

func (w *watched) Start() error {
	if w.by.closed == 0 {
		w.by.startedOpen++
	}
	return w.Target.Start()
}

// TestLauncher checks that the runner does without a cgroup that cannot take the command. The launcher lives through a
// session, and is closed before the command of a single run starts.
func TestLauncher(t *testing.T) {
	options := func(l *launcher) runner.Options {
		return runner.Options{
			Project: "p", Launcher: l, Backends: joinable(),
			Config:  sampler.Config{Setup: sensors.Setup{Proc: "/proc", Sys: "/sys"}, Interval: time.Minute},
			Sampler: func() (*sampler.Client, error) { return nil, errors.New("no sampler is needed") },
		}
	}
	single := &launcher{refused: map[string]bool{}}
	rep, err := runner.Run(t.Context(), options(single), []string{"true"})
	if err != nil || rep.State.ExitCode != 0 {
		t.Fatal(err, rep.State)
	}
	if single.startedOpen != 0 || single.closed == 0 {
		t.Errorf("the command was started while its launcher was open; the launcher was closed %d times", single.closed)
	}
	first, last := single.commands[0], single.commands[len(single.commands)-1]
	if len(last.Groups) != 0 && len(first.Groups) == len(last.Groups) {
		t.Errorf("held in %v after %v refused", last.Groups, single.refused)
	}
	for _, c := range single.commands {
		if len(c.Argv) != 1 || c.Argv[0] != "true" {
			t.Errorf("held %q", c.Argv)
		}
	}

	many := &launcher{refused: map[string]bool{}}
	s, err := runner.Open(options(many))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := s.Round(t.Context(), launch.Command{Argv: []string{"true"}}, nil); err != nil {
			t.Error(err)
		}
	}
	if many.startedOpen != 3 || many.closed != 0 {
		t.Errorf("%d of 3 rounds had an open launcher, which was closed %d times", many.startedOpen, many.closed)
	}
	s.Close()
	if many.closed != 1 {
		t.Errorf("closed %d times", many.closed)
	}
}

// recorder is a launcher that records what becomes of its commands.
type recorder struct {
	launch.Direct
	mu  sync.Mutex
	did []string
}

func (r *recorder) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did = append(r.did, what)
}

func (r *recorder) Hold(c launch.Command) (launch.Target, error) {
	r.note("hold " + c.Argv[0])
	target, err := r.Direct.Hold(c)
	return &recorded{target, r, c.Argv[0]}, err
}

// recorded is a target of a recorder.
type recorded struct {
	launch.Target
	by   *recorder
	name string
}

func (r *recorded) Start() error {
	r.by.note("start " + r.name)
	return r.Target.Start()
}

func (r *recorded) Abandon() {
	r.by.note("abandon " + r.name)
	r.Target.Abandon()
}

// TestForeseen checks that the command of the next round is held ahead. It is started if it is the one that comes, and is
// abandoned if another one comes or none. After a command that fails, none is held ahead.
func TestForeseen(t *testing.T) {
	group, err := cgroup.Find().Make("foreseen-" + t.Name())
	if err != nil || len(group.Folders()) == 0 {
		t.Skip("no cgroup can be made here: without one, no command is held ahead")
	}
	if _, err := group.Leave(); err != nil {
		t.Fatal(err)
	}
	l := &recorder{}
	s, err := runner.Open(runner.Options{
		Project: "p", Launcher: l, Backends: joinable(),
		Config:  sampler.Config{Setup: sensors.Setup{Proc: "/proc", Sys: "/sys"}, Interval: time.Minute},
		Sampler: func() (*sampler.Client, error) { return nil, errors.New("no sampler is needed") },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, next string }{{"true", "true"}, {"true", "true"}, {"echo", ""}, {"false", "true"}, {"true", "true"}} {
		var next *launch.Command
		if c.next != "" {
			next = &launch.Command{Argv: []string{c.next}}
		}
		rep, err := s.Round(t.Context(), launch.Command{Argv: []string{c.name}}, next)
		if failed := rep.State.Code() != 0; err != nil || failed != (c.name == "false") {
			t.Errorf("%s: %v, exit code %d", c.name, err, rep.State.Code())
		}
		if w := rep.Run.WallTime; w == nil || *w <= 0 {
			t.Errorf("%s: wall time %v", c.name, w)
		}
	}
	s.Close()
	want := []string{
		"hold true", "start true", "hold true", "start true", "hold true", "abandon true", "hold echo", "start echo",
		"hold false", "start false", "hold true", "start true", "hold true", "abandon true",
	}
	if !slices.Equal(l.did, want) {
		t.Errorf("did  %q\nwant %q", l.did, want)
	}
}

// TestLauncherFails checks that a command that cannot be held is not started and leaves no run.
func TestLauncherFails(t *testing.T) {
	o := runner.Options{
		Launcher: broken{}, Results: t.TempDir(), Backends: joinable(), Project: "p",
		Config:  sampler.Config{Setup: sensors.Setup{Proc: "/proc", Sys: "/sys"}, Interval: time.Minute},
		Sampler: func() (*sampler.Client, error) { return nil, errors.New("no sampler is needed") },
	}
	rep, err := runner.Run(t.Context(), o, []string{"true"})
	if _, ok := errors.AsType[*runner.SetupError](err); !ok || rep.Run.Outcome != datamodel.Outcome("") {
		t.Errorf("%v, %+v", err, rep.Run.Outcome)
	}
}

// broken is a launcher that has died.
type broken struct{ launch.Direct }

func (broken) Hold(launch.Command) (launch.Target, error) { return nil, syscall.ESRCH }
