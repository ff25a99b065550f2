// Command ergon is a prefix command like time. `ergon ./train.sh` tells what a command cost in energy, CPU, memory, disk,
// network and GPU: for the whole machine, and the command's own share.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/backend"
	"github.com/ergon-energy/ergon/cmd/ergon/prelaunch"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/launch"
	"github.com/ergon-energy/ergon/internal/nearest"
	"github.com/ergon-energy/ergon/internal/screen"
	"github.com/ergon-energy/ergon/runner"
	"github.com/ergon-energy/ergon/sensors"
)

func main() {
	os.Exit(run(context.Background(), os.Args, stdio{os.Stdin, screen.New(os.Stdout), screen.New(prelaunch.Stderr())}, backend.All()))
}

// stdio holds what a command reads and writes. All text goes through a screen, which escapes what could control a terminal.
type stdio struct {
	in       *os.File
	out, err *screen.Screen
}

// program is what the subcommands share.
type program struct {
	stdio
	backends []sensors.Backend
	launcher runner.Launcher
	// memory sets the limit of muchMemory.
	memory *time.Timer
	// configFile is the settings file that --config or ERGON_CONFIG names.
	configFile string
	// held is the name that this ergon holds until it ends; nil without --exclusive.
	held *store.Exclusive
	// aside holds NAME=VALUE of variables that the caller has set for the command. This process does not have them.
	aside []string
}

// muchMemory is how much memory, in bytes, the Go runtime takes before it collects garbage more often than by default. With it,
// processing 40 s at 1 kHz takes about 140 MB instead of up to 185 MB. It is no hard limit.
const muchMemory = 128 << 20

// run is the whole program; it returns the exit code.
func run(ctx context.Context, argv []string, std stdio, backends []sensors.Backend) int {
	prelaunch.Restrict()
	if launch.SetUID() {
		fmt.Fprintln(std.err, "ergon: its file is setuid or setgid, so your command would get these rights (chmod u-s,g-s; `ergon doctor` names narrower ways)")
		return runner.ExitErgon
	}
	if len(argv) == 2 && argv[1] == sampleWord {
		if err := sample(std.in, std.out.File(), backends); err != nil {
			slog.New(slog.NewTextHandler(std.err, nil)).Error("sampler", "error", err)
			return runner.ExitErgon
		}
		return 0
	}
	if len(argv) == 4 && argv[1] == loadWord {
		if err := load(argv[2], argv[3]); err != nil {
			fmt.Fprintln(std.err, "ergon:", err)
			return runner.ExitErgon
		}
		return 0
	}
	aside := prelaunch.SetAside()
	p := &program{stdio: std, backends: backends, aside: aside, launcher: launch.Direct{Env: aside}}
	first := prelaunch.Take()
	if first != nil {
		p.launcher = first
	}
	// The heap of a long run is collected sooner. A start that takes some milliseconds does not pay for the call.
	p.memory = time.AfterFunc(time.Second, func() { debug.SetMemoryLimit(muchMemory) })
	defer p.memory.Stop()
	code, signal := p.exit(p.dispatch(ctx, argv))
	if p.held != nil {
		_ = p.held.Release() // if it stays, no lock is on it once this process and the launcher have ended
	}
	_ = p.launcher.Close()
	std.out.Flush()
	std.err.Flush()
	switch {
	case first != nil:
		first.Finish(code, signal)
	case signal != 0:
		launch.Die(signal)
	}
	return code
}

// commands lists the subcommands, in the order of the help.
func (p *program) commands() []*subcommand {
	list := []*subcommand{
		p.runCommand(), p.recordCommand(), p.benchCommand(), p.noiseCommand(), p.checkCommand(), p.compareCommand(), p.sensorsCommand(), p.doctorCommand(), p.reportCommand(), p.plotCommand(), p.trendCommand(), p.lsCommand("ls"), p.runsCommand(), p.exportCommand(), p.markCommand(),
		p.recoverCommand(), p.configCommand(), p.initCommand(), p.completionCommand(), p.versionCommand(),
		p.lsCommand("runs ls"), p.showCommand(), p.tagCommand(), p.rmCommand(), p.pruneCommand(), p.compactCommand(), p.importCommand(),
	}
	for _, c := range list {
		// Without an option of a file there is nothing to settle. config settles those of another subcommand.
		if c.name == configName || slices.ContainsFunc(c.options, func(o *option) bool { return o.scope != once }) {
			c.options = append(c.options, configOption(&p.configFile))
		}
	}
	return append(list, p.helpCommand()) // it needs no settings file
}

// dispatch parses the command line and runs the subcommand. A command is measured without cli, whose start takes 0.5 ms.
func (p *program) dispatch(ctx context.Context, argv []string) error {
	l, err := parse(argv, p.commands())
	switch {
	case err != nil:
		return err
	case l.help, l.version, !l.subcommand.prefix, len(argv) < 2:
		return p.cli(ctx, l)
	}
	if err := p.slip(l); err != nil {
		return err
	}
	if err := p.settle(l, os.LookupEnv); err != nil {
		return err
	}
	return l.subcommand.run(ctx, l.words)
}

// slip returns an error if the first word is no program and is close to the name of a subcommand. Then no run is kept.
func (p *program) slip(l line) error {
	if l.word != "" || len(l.words) == 0 {
		return nil
	}
	var names []string
	for _, c := range of(l.commands, "") {
		names = append(names, c.name)
	}
	word := nearest.Word(l.words[0], names)
	if word == "" {
		return nil
	}
	if _, err := exec.LookPath(l.words[0]); err == nil || !errors.Is(err, exec.ErrNotFound) {
		return nil
	}
	p.complain(fmt.Errorf("no program %q (did you mean `ergon %s`?)", l.words[0], strings.Join(append([]string{word}, l.words[1:]...), " ")))
	return status(runner.ExitNotFound)
}
