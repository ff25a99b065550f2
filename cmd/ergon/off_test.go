//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/internal/marks"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// TestOff switches ergon off. The command replaces ergon in the same process, and nothing is kept.
func TestOff(t *testing.T) {
	t.Parallel()
	for way, env := range ways {
		for name, switches := range map[string]struct {
			env   []string
			words []string
		}{
			"option":    {nil, []string{"--off"}},
			"run":       {nil, []string{"run", "-q", "--off=true"}},
			"variable":  {[]string{"ERGON=off"}, []string{"-q"}},
			"record":    {[]string{"ERGON=off"}, []string{"record", "--tape", "x.zip"}},
			"no option": {[]string{"ERGON=off"}, nil},
		} {
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				run := func(words ...string) (string, syscall.WaitStatus) {
					t.Helper()
					c := command(t, newMark(), append([]string{"sh", "-c", `echo $$; exec "$@"`, "sh", "ergon"}, words...)...)
					c.Env = append(c.Env, slices.Concat(env, switches.env)...)
					c.Dir = dir
					out, err := c.Output()
					return string(out), statusOf(t, err)
				}
				out, status := run(append(switches.words, "sh", "-c", "echo $$; exit 3")...)
				if lines := strings.Fields(out); status.ExitStatus() != 3 || len(lines) != 2 || lines[0] != lines[1] {
					t.Errorf("%q, code %d", out, status.ExitStatus())
				}
				if _, status := run(append(switches.words, "no-such-command-here")...); status.ExitStatus() != 127 {
					t.Errorf("a command that does not exist: code %d", status.ExitStatus())
				}
				if _, status := run(append(switches.words, dir)...); status.ExitStatus() != 126 {
					t.Errorf("a folder: code %d", status.ExitStatus())
				}
				if _, status := run(append(switches.words, "sh", "-c", "kill -TERM $$")...); status.Signal() != syscall.SIGTERM {
					t.Errorf("became %#x", status)
				}
				if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
					t.Errorf("left behind: %v, %v", left, err)
				}
			})
		}
	}
}

// TestOffAsAnotherUser is switched off, and the command still runs as the user that --user names.
func TestOffAsAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to become somebody else")
	}
	for way, env := range ways {
		c := command(t, newMark(), "ergon", "--user", "nobody", "sh", "-c", "id -u; exit 3")
		c.Env = append(c.Env, append(env, "ERGON=off")...)
		c.Dir = "/"
		out, err := c.Output()
		if status := statusOf(t, err); status.ExitStatus() != 3 || string(out) != "65534\n" {
			t.Errorf("%s: %q, %v", way, out, err)
		}
	}
}

// TestSurroundings sets what a Go program obeys before main. The command gets it, and ergon does not: it says nothing, and its
// memory does not grow.
func TestSurroundings(t *testing.T) {
	t.Parallel()
	set := []string{"GOGC=off", "GODEBUG=gctrace=1,inittrace=1", "GOMAXPROCS=7", "GOTRACEBACK=crash", "GOMEMLIMIT=1", "TZ=Asia/Tokyo", "LC_ALL=xx_YY"}
	for way, env := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			look := func(words ...string) (lines []string, stderr string) {
				t.Helper()
				c := command(t, same, words...)
				c.Env = append(c.Env, append(env, set...)...)
				var said strings.Builder
				c.Stderr = &said
				out, err := c.Output()
				if err != nil {
					t.Fatal(err, said.String())
				}
				lines = strings.Split(string(out), "\n")
				slices.Sort(lines)
				return lines, said.String()
			}
			bare, _ := look("env")
			if !slices.Contains(bare, "GOGC=off") {
				t.Fatalf("the probe itself fails: %q", bare)
			}
			// The command lives long enough for the sampler to join.
			got, said := look("ergon", "-q", "-o", dir, "sh", "-c", "sleep 0.3; exec env")
			bare = slices.DeleteFunc(bare, func(s string) bool { return strings.HasPrefix(s, "_=") || strings.HasPrefix(s, "PWD=") })
			got = slices.DeleteFunc(got, func(s string) bool {
				return strings.HasPrefix(s, "_=") || strings.HasPrefix(s, "PWD=") || strings.HasPrefix(s, marks.Variable+"=")
			})
			if !slices.Equal(got, bare) || said != "" {
				t.Errorf("%q, stderr %q; want %q", got, said, bare)
			}
			manifests, err := filepath.Glob(filepath.Join(dir, "project=*/date=*/run=*/manifest.json"))
			if err != nil || len(manifests) != 1 {
				t.Fatalf("%v, %v", manifests, err)
			}
			b, err := os.ReadFile(manifests[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{`"GOGC":"off"`, `"GOMAXPROCS":"7"`} { // they describe the command
				if !strings.Contains(string(b), want) {
					t.Errorf("no %s in the manifest", want)
				}
			}
			if strings.Contains(string(b), "+09:00") {
				t.Error("times are in the command's zone")
			}
		})
	}
}

// TestOrphansReapedAtOnce has a command that waits until its daemons have gone, one after another. Without a cgroup ergon is
// the parent of such a daemon. Looking for dead ones once a second would take a second for each.
func TestOrphansReapedAtOnce(t *testing.T) {
	t.Parallel()
	dir, program := openToAll(t)
	const daemons = 20
	for way, env := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			c := command(t, newMark(), program, "-q", "--no-save", "sh", "-c", `for i in $(seq 20); do
p=$(sh -c 'sleep 0.01 >&- & echo $!'); while kill -0 $p 2>&-; do :; done; done`)
			c.Env = append(c.Env, env...)
			c.Dir = dir
			if os.Getuid() == 0 { // root gets a cgroup
				c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			}
			began := time.Now()
			if err := c.Run(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > daemons*time.Second/2 {
				t.Errorf("%v for %d daemons that live 10 ms each", took, daemons)
			}
		})
	}
}

// TestSurvivorsAreTold leaves a process behind, and then none. The number is told with and without a cgroup.
func TestSurvivorsAreTold(t *testing.T) {
	t.Parallel()
	dir, program := openToAll(t)
	for _, left := range []bool{true, false} {
		for _, grouped := range []bool{true, false} {
			out := filepath.Join(t.TempDir(), "out")
			script := "sleep 0.05 >&- 2>&- & wait"
			if left {
				script = "sleep 1000 >&- 2>&- & echo $! >&3"
			}
			c := command(t, newMark(), program, "-v", "--no-save", "sh", "-c", script)
			c.Dir = dir
			if !grouped && os.Getuid() == 0 { // root gets a cgroup
				c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			}
			pid, err := os.Create(out)
			if err != nil {
				t.Fatal(err)
			}
			var stderr strings.Builder
			c.ExtraFiles, c.Stderr = []*os.File{pid}, &stderr
			if err := c.Run(); err != nil {
				t.Fatal(err, stderr.String())
			}
			if told := strings.Contains(stderr.String(), "a process of the command still runs"); told != left {
				t.Errorf("left %v, a cgroup %v: told %v: %s", left, grouped, told, stderr.String())
			}
			b, err := os.ReadFile(out)
			if n, bad := strconv.Atoi(strings.TrimSpace(string(b))); left && err == nil && bad == nil {
				err = syscall.Kill(n, syscall.SIGKILL)
			}
			if err := errors.Join(err, pid.Close()); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestLineHasFaultsAndSwitches asks for the letters of GNU time that count faults and switches.
func TestLineHasFaultsAndSwitches(t *testing.T) {
	t.Parallel()
	out, err := command(t, newMark(), "ergon", "--no-save", "-f", "%F %R %w %c", "sleep", "0.01").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	var major, minor, voluntary, involuntary int
	if n, err := fmt.Sscan(string(out), &major, &minor, &voluntary, &involuntary); n != 4 || minor == 0 || voluntary == 0 {
		t.Errorf("%q: %v", out, err)
	}
}
