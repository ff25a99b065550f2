package sampler

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ergon-energy/ergon/units"
)

// Limits are the time limits for the sampler.
type Limits struct {
	// Ready limits the opening of the sources. Answer limits the first and the last reading. After Close, a process that
	// has not ended is killed.
	Ready, Answer, Close time.Duration
}

// DefaultLimits returns limits that are longer than the sampler's own, so that the sampler can say what hangs.
func DefaultLimits() Limits {
	return Limits{Ready: 10 * time.Second, Answer: 5 * time.Second, Close: time.Second}
}

// ErrDied says that the sampler process has ended. The client's methods wrap it.
var ErrDied = errors.New("the sampler has died")

// Client controls the sampler process. Its methods must not be called at the same time.
type Client struct {
	// Limits are DefaultLimits unless set before the first call.
	Limits  Limits
	in      io.WriteCloser
	process *os.Process
	files   *os.File      // the socket for descriptors; nil if they cannot be handed over
	replies chan reply    // closed when the sampler's stdout ends
	died    chan struct{} // closed with replies
	exited  chan struct{}
	closing sync.Once
}

// Spawn starts the sampler process: the program executable with the argument "sample".
func Spawn(executable string, stderr *os.File) (*Client, error) {
	cmd := exec.Command(executable, "sample")
	cmd.Args[0] = os.Args[0]
	cmd.Env = environment(os.Environ())
	cmd.Stderr = stderr
	cmd.SysProcAttr = detached()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	ours, theirs, err := filesPair()
	if err != nil {
		return nil, err
	}
	if theirs != nil {
		cmd.ExtraFiles = []*os.File{theirs} // filesFD there
		defer func() { _ = theirs.Close() }()
	}
	if err := start(cmd); err != nil {
		if ours != nil {
			_ = ours.Close()
		}
		return nil, fmt.Errorf("start the sampler: %w", err)
	}
	c := hold(in, out, cmd.Process)
	c.files = ours
	return c, nil
}

// environment returns the sampler's environment. The variables that load libraries into every program are meant for the
// command.
func environment(ours []string) []string {
	preloads := func(variable string) bool {
		return strings.HasPrefix(variable, "LD_PRELOAD=") || strings.HasPrefix(variable, "LD_AUDIT=")
	}
	return append(slices.DeleteFunc(ours, preloads), "GOMAXPROCS=1")
}

func hold(in io.WriteCloser, out io.ReadCloser, p *os.Process) *Client {
	c := &Client{Limits: DefaultLimits(), in: in, process: p, replies: make(chan reply, 4), died: make(chan struct{}), exited: make(chan struct{})}
	go func() {
		defer close(c.died)
		defer close(c.replies)
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			var r reply
			if json.Unmarshal(line, &r) != nil {
				return // the process is not a sampler
			}
			c.replies <- r
		}
	}()
	return c
}

// Configure sends the configuration. The sampler then opens its sources.
func (c *Client) Configure(config Config) error {
	return c.send(request{Op: opConfig, Config: &config})
}

// Attach describes the held target, and names the folder for the spool.
func (c *Client) Attach(s Subject) error {
	if s.Spool != nil {
		s.SpoolPath, s.SpoolSent = s.Spool.Path(), c.files != nil
		if err := sendFolder(c.files, s.Spool); err != nil {
			return err
		}
	}
	if s.Marks != nil && c.files != nil {
		fd, err := s.Marks.FD()
		if err = errors.Join(err, sendFiles(c.files, []int{fd})); err != nil {
			return err
		}
		s.MarksSent = true
	}
	return c.send(request{Op: opSubject, Subject: &s})
}

// Ready waits for the answer to Attach.
func (c *Client) Ready(ctx context.Context) (Ready, error) {
	r, err := c.await(ctx, opReady, c.Limits.Ready)
	if err != nil || r.Ready == nil {
		return Ready{}, errors.Join(err, missingIn(r.Ready == nil && err == nil, opReady))
	}
	if r.Ready.Error != "" {
		return *r.Ready, &ConfigError{r.Ready.Error}
	}
	return *r.Ready, nil
}

// ConfigError says what is wrong with the sampler's configuration.
type ConfigError struct{ text string }

func (e *ConfigError) Error() string { return e.text }

// Follow passes on the target's pid, if it was not known at Attach.
func (c *Client) Follow(pid int) error { return c.send(request{Op: opFollow, PID: pid}) }

// Begin asks for the first reading of every source. It need not wait for Ready.
func (c *Client) Begin() error { return c.send(request{Op: opBegin}) }

// TakeOver hands the runner's readings over to the sampler, which then goes on.
func (c *Client) TakeOver(t *Takeover) error {
	for _, h := range t.Sources {
		if err := sendFiles(c.files, h.files); err != nil {
			return err
		}
	}
	return c.send(request{Op: opBegin, Takeover: t})
}

// Begun waits for the answer to Begin or TakeOver: the sampler has read every source.
func (c *Client) Begun(ctx context.Context) (Begun, error) {
	r, err := c.await(ctx, opBegun, c.Limits.Answer)
	if err != nil || r.Begun == nil {
		return Begun{}, errors.Join(err, missingIn(r.Begun == nil && err == nil, opBegun))
	}
	return *r.Begun, nil
}

// Died is closed when the process has ended, or says what no sampler says.
func (c *Client) Died() <-chan struct{} { return c.died }

// End asks for the last readings. It returns when the sampler has taken them and closed the spools.
func (c *Client) End(ctx context.Context) (Ended, error) {
	if err := c.send(request{Op: opEnd}); err != nil {
		return Ended{}, err
	}
	r, err := c.await(ctx, opEnded, c.Limits.Answer)
	if err != nil || r.Ended == nil {
		return Ended{}, errors.Join(err, missingIn(r.Ended == nil && err == nil, opEnded))
	}
	return *r.Ended, nil
}

// Close tells the sampler to stop, and kills it after Limits.Close. Close returns at once; Wait returns when the process has
// ended. If a thread of it waits for a driver or a file system, the kernel does not end it. Then Wait returns Limits.Close
// after the kill, since a killed process writes nothing more. A second call does nothing.
func (c *Client) Close() {
	c.closing.Do(func() {
		_ = c.send(request{Op: opForget}) // it fails if the sampler has died
		_ = c.in.Close()
		if c.files != nil {
			_ = c.files.Close()
		}
		go func() {
			defer close(c.exited)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = c.process.Wait()
			}()
			if _, ok := received(ended, time.Now().Add(c.Limits.Close)); !ok {
				_ = c.process.Kill()
				_, _ = received(ended, time.Now().Add(c.Limits.Close))
			}
		}()
	})
}

// Wait returns when a closed sampler has ended.
func (c *Client) Wait() { <-c.exited }

// PID returns the sampler's process id.
func (c *Client) PID() int { return c.process.Pid }

// send writes one line. The pipe can hold far more than all the lines of a run, so a sampler that hangs does not block send.
func (c *Client) send(r request) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDied, r.Op, err)
	}
	return nil
}

// await returns the next reply named op. It drops all others.
func (c *Client) await(ctx context.Context, op string, limit time.Duration) (reply, error) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		select {
		case r, ok := <-c.replies:
			if !ok {
				return reply{}, fmt.Errorf("%w before it was %s", ErrDied, op)
			}
			if r.Op == op {
				return r, nil
			}
		case <-ctx.Done():
			return reply{}, ctx.Err()
		case <-deadline.C:
			return reply{}, fmt.Errorf("the sampler was not %s within %s", op, units.Brief(limit))
		}
	}
}

func missingIn(is bool, op string) error {
	if !is {
		return nil
	}
	return fmt.Errorf("the sampler's answer %s is empty", op)
}
