package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Command is what to launch.
type Command struct {
	// Argv is the command and its arguments. The command is looked for in PATH if it has no slash.
	Argv []string
	// Env holds NAME=VALUE: variables that are added to the environment of ergon's caller, or replace one there. NAME
	// alone removes a variable.
	Env []string
	// User is who runs the command. If it is nil, the command runs as the user of this process. Only root can choose.
	User *User
	// Dir is the folder that the command works in. Input, Output and Errors are the files of its descriptors 0, 1 and 2;
	// files that are written to are made, or cut to 0 bytes. All are absolute. Empty is as this process has it.
	Dir, Input, Output, Errors string
	// Groups are the cgroups the command is put into, at most one of them of version 2. Direct cannot.
	Groups []Group
	// Processors are the numbers of the processors that the command may run on. Nil stands for all that are allowed. If the
	// command's process exists before Start, the caller calls Pin.
	Processors []int
}

// Places returns the folder and the three files, in the order of their fields. It returns nil if all are as given.
func (c Command) Places() []string {
	places := []string{c.Dir, c.Input, c.Output, c.Errors}
	if slices.Equal(places, make([]string, len(places))) {
		return nil
	}
	return places
}

// User is a user, as the kernel knows one.
type User struct {
	UID, GID uint32
	// Groups are the supplementary groups.
	Groups []uint32
}

// UserError says that the command's process could not become the user. Hold or Start has then made no process.
type UserError struct {
	User User
	Err  error
}

func (e *UserError) Error() string { return fmt.Sprintf("become user %d: %v", e.User.UID, e.Err) }

func (e *UserError) Unwrap() error { return e.Err }

// Group is a cgroup.
type Group struct {
	Dir     string
	Version int // 1 or 2
}

// GroupError says that the command could not be put into a cgroup. Hold has then made no process.
type GroupError struct {
	Group Group
	Err   error
}

func (e *GroupError) Error() string { return fmt.Sprintf("join cgroup %s: %v", e.Group.Dir, e.Err) }

func (e *GroupError) Unwrap() error { return e.Err }

// Target is the command to be measured, held back until Start.
type Target interface {
	// PID is the process id; 0 before Start if there is no process yet.
	PID() int
	// Start returns when the command executes. An *ExecError says why it cannot be executed.
	Start() error
	// Exited returns when the command has ended. On Linux it is then a zombie, whose files below /proc can be read.
	Exited() error
	// Reap returns how the ended command ended, and removes the zombie.
	Reap() (State, error)
	// Signal sends a signal to the command alone.
	Signal(os.Signal) error
	// Abandon ends a command that was not started. After Start it does nothing.
	Abandon()
}

// State is how a command ended, and what the kernel says it used, with the children that it waited for.
type State struct {
	// ExitCode is -1 if a signal ended the command. Signal is that signal's number, else 0.
	ExitCode, Signal int
	// Wall is the time from the order to execute the command until its end was seen. It is 0 if the launcher does not know it.
	Wall time.Duration
	// Rusage is false if the platform gives none of the following.
	Rusage       bool
	User, System time.Duration
	// MaxRSS is the most resident memory that any single process of the tree had, in bytes.
	MaxRSS                                 int64
	MinorFaults, MajorFaults               int64
	VoluntarySwitches, InvoluntarySwitches int64
	// IO and Own are nil if the platform does not report them.
	IO  *IO
	Own *Own
}

// Used is what processes used that have ended, with the children that they waited for.
type Used struct {
	User, System time.Duration
	// MaxRSS is the largest resident memory of a single process, in bytes.
	MaxRSS int64
}

// Own is what an ended process was and used, without its children.
type Own struct {
	PID int
	// Name is the name of the file it executed last, which the kernel cuts after 15 bytes.
	Name string
	// CPU is its CPU time since it was forked.
	CPU time.Duration
	// Childless says that it has waited for no child, and did not ignore the end of children.
	Childless bool
}

// IO is what a process and the children it waited for have read and written (proc_pid_io(5)).
type IO struct {
	// StorageOnly means that only Read and Written are known.
	StorageOnly bool
	// ReadChars and WriteChars are the bytes passed to and from system calls, ReadCalls and WriteCalls those calls.
	ReadChars, WriteChars, ReadCalls, WriteCalls uint64
	// Read and Written are the bytes fetched from and sent to storage.
	Read, Written uint64
	// Cancelled is the part of Written that never reaches storage, because the file was removed or cut before.
	Cancelled uint64
}

// Code is the exit status a shell would show: the command's own, or 128+n after signal n.
func (s State) Code() int {
	if s.Signal != 0 {
		return 128 + s.Signal
	}
	return s.ExitCode
}

// ExecError says that a command could not be executed.
type ExecError struct {
	Command string
	Err     error
}

func (e *ExecError) Error() string { return e.Command + ": " + e.Err.Error() }

func (e *ExecError) Unwrap() error { return e.Err }

// NotFound reports whether the command was not found (exit code 127) or not executable (126).
func (e *ExecError) NotFound() bool {
	return errors.Is(e.Err, fs.ErrNotExist) || errors.Is(e.Err, exec.ErrNotFound)
}

// Direct launches commands by os.StartProcess. Compared with a process that was made before the Go runtime started, a
// command's process id is not known before Start; it joins no cgroup by itself; signals that were ignored are at their
// default (without cgo all but SIGHUP and SIGINT; with cgo those that ergon does not pass on); descriptors 0 to 2 that
// were closed are /dev/null; and SIGUSR1 and SIGUSR2 in ergon's first milliseconds are lost.
type Direct struct {
	// Env holds NAME=VALUE of variables that ergon's caller has set, and that this process no longer has.
	Env []string
}

// Hold keeps the command for Start. There is no process yet.
func (d Direct) Hold(c Command) (Target, error) {
	if len(c.Argv) == 0 {
		return nil, errors.New("hold: no command")
	}
	c.Env = append(slices.Clone(d.Env), c.Env...)
	t := &direct{command: c, files: []*os.File{os.Stdin, os.Stdout, os.Stderr}}
	for i, path := range []string{c.Input, c.Output, c.Errors} {
		if path == "" {
			continue
		}
		how := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
		if i == 0 {
			how = os.O_RDONLY
		}
		f, err := os.OpenFile(path, how, 0o666)
		if err != nil {
			t.Abandon()
			return nil, err
		}
		t.files[i] = f
		t.opened = append(t.opened, f)
	}
	return t, nil
}

// Close does nothing.
func (Direct) Close() error { return nil }

// PID returns 0: Direct has no process of its own.
func (Direct) PID() int { return 0 }

type direct struct {
	command Command
	process *os.Process
	ended   Ended
	files   []*os.File // descriptors 0 to 2 of the command
	opened  []*os.File // those that Hold has opened
}

func (d *direct) PID() int {
	if d.process == nil {
		return 0
	}
	return d.process.Pid
}

func (d *direct) Start() error {
	argv := d.command.Argv
	defer d.Abandon() // the command has its files, or nobody needs them
	path := argv[0]
	if d.command.Dir == "" || filepath.Base(path) == path { // any other path begins in Dir
		var err error
		if path, err = lookPath(argv[0]); err != nil {
			return err
		}
	}
	attr := &os.ProcAttr{Dir: d.command.Dir, Files: d.files, Env: d.environment(), Sys: d.command.User.Attributes()}
	err := pinned(d.command.Processors, func() (err error) {
		d.process, err = os.StartProcess(path, argv, attr)
		if errors.Is(err, syscall.ENOEXEC) { // a script without #!, which execvp gives to the shell
			d.process, err = os.StartProcess("/bin/sh", append([]string{"/bin/sh", path}, argv[1:]...), attr)
		}
		return err
	})
	if err != nil {
		if p, ok := errors.AsType[*fs.PathError](err); ok {
			err = p.Err
		}
		return &ExecError{argv[0], err}
	}
	d.ended = Watch(d.process.Pid)
	return nil
}

// lookPath finds a program as execvp does. Its error is an *ExecError.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		if lookup, ok := errors.AsType[*exec.Error](err); ok {
			err = lookup.Err
		}
		return "", &ExecError{name, err}
	}
	return path, nil
}

// environment returns our environment with the changes. Without changes it returns nil, which means our environment.
func (d *direct) environment() []string {
	if len(d.command.Env) == 0 {
		return nil
	}
	env := os.Environ()
	for _, change := range d.command.Env {
		if name, _, set := strings.Cut(change, "="); set {
			env = append(env, change)
		} else {
			env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
		}
	}
	return (&exec.Cmd{Env: env}).Environ()
}

func (d *direct) Exited() error { return d.ended.await(d.process.Pid) }

func (d *direct) Reap() (State, error) {
	own := d.ended.Before(os.Getpid())
	ps, err := d.process.Wait()
	if err != nil {
		return State{ExitCode: -1}, err
	}
	s := stateOf(ps)
	d.ended.Enter(&s, os.Getpid(), own)
	return s, nil
}

func (d *direct) Signal(s os.Signal) error {
	if d.process == nil {
		return os.ErrProcessDone
	}
	return d.process.Signal(s)
}

func (d *direct) Abandon() {
	for _, f := range d.opened {
		_ = f.Close()
	}
	d.opened = nil
}
