//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ergon-energy/ergon/internal/testenv"
)

// from returns surroundings with these variables.
func from(uid int, variables ...string) surroundings {
	return surroundings{uid, func(name string) (string, bool) {
		for _, v := range variables {
			if n, value, _ := strings.Cut(v, "="); n == name {
				return value, true
			}
		}
		return "", false
	}}
}

// TestChosenUser checks whom --user means, and whom ergon believes about who called sudo.
func TestChosenUser(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skipf("this machine has no user nobody: %v", err)
	}
	id := nobody.Uid
	for _, c := range []struct {
		name  string
		where surroundings
		given string
		want  string // the user's name; empty if nobody was chosen
		err   string
	}{
		{"none", from(0), "", "", ""},
		{"a name", from(0), "nobody", "nobody", ""},
		{"a number", from(0), id, "nobody", ""},
		{"a name that is not there", from(0), "no-such-user", "", `no user "no-such-user"`},
		{"a number that is not there", from(0), "3999999999", "", `no user "3999999999"`},
		{"a number too large", from(0), "4294967297", "", `no user "4294967297"`},
		{"not root", from(1000), "nobody", "", "only root can run a command as another user (sudo ergon --user nobody COMMAND)"},
		{"not root, but it says so", from(1000, "SUDO_UID=0", "SUDO_USER=root"), "sudo", "", "only root"},
		{"who called sudo", from(0, "SUDO_UID="+id, "SUDO_USER=nobody"), "sudo", "nobody", ""},
		{"by number alone", from(0, "SUDO_UID="+id), "sudo", "nobody", ""},
		{"a name of another number", from(0, "SUDO_UID="+id, "SUDO_USER=root"), "sudo", "nobody", ""},
		{"no sudo", from(0, "SUDO_USER=nobody"), "sudo", "", "SUDO_UID is not set"},
		{"no number", from(0, "SUDO_UID=nobody"), "sudo", "", `"nobody" is not the number of a user`},
		{"a user that has gone", from(0, "SUDO_UID=3999999999"), "sudo", "", `no user "3999999999"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := c.where.chosen(c.given)
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.HasPrefix(err.Error(), "--user: ") {
					t.Errorf("%v, want %q", err, c.err)
				}
			case err != nil || (p == nil) != (c.want == "") || p != nil && p.name != c.want:
				t.Errorf("%+v, %v; want %q", p, err, c.want)
			}
		})
	}
	p, err := from(0).chosen("nobody")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"HOME=" + nobody.HomeDir, "USER=nobody", "LOGNAME=nobody", "MAIL=/var/mail/nobody", "XDG_RUNTIME_DIR"} {
		if !slices.Contains(p.environment(), v) {
			t.Errorf("%q lacks %s", p.environment(), v)
		}
	}
	if (p.UID == 0) || p.home != nobody.HomeDir || !slices.Contains(p.Groups, p.GID) {
		t.Errorf("%+v", p)
	}
}

// TestShell reads a user's shell from lines of passwd(5).
func TestShell(t *testing.T) {
	const lines = "root:x:0:0:root:/root:/bin/bash\nnone:x:7:7::/:\nshort:x:8:8\na:x:9:9:,:/home/a:/bin/fish"
	for uid, want := range map[string]string{"0": "/bin/bash", "7": "/bin/sh", "9": "/bin/fish"} {
		if shell, ok := shellIn(lines, uid); !ok || shell != want {
			t.Errorf("%s: %q, %t", uid, shell, ok)
		}
	}
	for _, uid := range []string{"8", "10", ""} {
		if shell, ok := shellIn(lines, uid); ok || shell != "/bin/sh" {
			t.Errorf("%s: %q, %t", uid, shell, ok)
		}
	}
}

// TestAsUser measures commands as another user, on both ways to start one. The command is that user entirely, also if the
// process keeps capabilities when its user changes, and ergon can still end it.
func TestAsUser(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to become somebody else")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skipf("this machine has no user nobody: %v", err)
	}
	dir, program := openToAll(t)
	keepsCapabilities := []string{"setpriv", "--securebits=+no_setuid_fixup"}
	if exec.CommandContext(t.Context(), keepsCapabilities[0], keepsCapabilities[1], "true").Run() != nil {
		keepsCapabilities = nil
	}
	for _, c := range []struct {
		name   string
		early  string
		before []string
	}{{"launcher", "", nil}, {"direct", "off", nil}, {"capabilities that stay", "", keepsCapabilities}} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "capabilities that stay" && c.before == nil {
				t.Skip("no setpriv here")
			}
			run := func(words ...string) (code int, out, said string) {
				words = slices.Concat(c.before, []string{program}, words)
				cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR=/run/user/0", "KEPT=x", "SUDO_UID="+nobody.Uid, "SUDO_USER=nobody")
				if c.early != "" {
					cmd.Env = append(cmd.Env, "ERGON_EARLY="+c.early)
				}
				var stdout, stderr strings.Builder
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				_ = cmd.Run()
				return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
			}
			const script = `id -u; id -g; echo "$HOME $USER $LOGNAME $MAIL $KEPT ${XDG_RUNTIME_DIR-none}"
				grep -E '^Cap(Inh|Prm|Eff|Amb):.*[1-9a-f]' /proc/self/status; cat /proc/self/limits | grep open; pwd`
			code, out, said := run("-q", "--no-save", "--user", "sudo", "sh", "-c", script)
			want := nobody.Uid + "\n" + nobody.Gid + "\n" + nobody.HomeDir + " nobody nobody /var/mail/nobody x none\nMax open files"
			if code != 0 || said != "" || !strings.HasPrefix(out, want) || !strings.HasSuffix(out, dir+"\n") {
				t.Errorf("code %d: %s\n%s, want %s", code, said, out, want)
			}
			// If ergon cannot run here, it never executes the command as root.
			tight := `ulimit -v 200000; exec "$0" "$@"`
			for _, words := range [][]string{{"--user", "nobody"}, {"--user=nobody"}, {"-q", "run", "--user", "nobody", "--"}} {
				cmd := exec.CommandContext(t.Context(), "sh", slices.Concat([]string{"-c", tight, program, "--no-save"}, words, []string{"id", "-u"})...)
				cmd.Dir = dir
				if out, err := cmd.Output(); err == nil || strings.Contains(string(out), "0\n") {
					t.Errorf("%q with little memory: %v: %s", words, err, out)
				}
			}
			if code, _, said := run("-q", "--no-save", "--timeout", "50ms", "--user", "nobody", "sleep", "60"); code != 124 || said != "" {
				t.Errorf("a time limit: code %d: %s", code, said)
			}
			if code, _, said := run("-q", "--no-save", "--user", "nobody", filepath.Join(dir, "nothing")); code != 127 {
				t.Errorf("not found: code %d: %s", code, said)
			}
		})
	}
	asNobody := exec.CommandContext(t.Context(), "setpriv", "--reuid="+nobody.Uid, "--clear-groups", program, "--user", "root", "touch", filepath.Join(dir, "made"))
	asNobody.Dir = dir
	out, err := asNobody.CombinedOutput()
	if asNobody.ProcessState == nil {
		t.Skipf("no setpriv here: %v", err)
	}
	if code := asNobody.ProcessState.ExitCode(); code != 125 || !strings.Contains(string(out), "--user: only root can run a command as another user") {
		t.Errorf("an ordinary user: code %d, %s", code, out)
	}
}

// TestResultsBelong checks whom the results of root's runs belong to: the command's user with --user, else who called sudo if
// that user could have made them. It looks during the run and after it, and at the tape.
func TestResultsBelong(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to give files away")
	}
	if _, err := user.Lookup("nobody"); err != nil {
		t.Skipf("this machine has no user nobody: %v", err)
	}
	dir, program := openToAll(t)
	sudo := []string{"SUDO_UID=65534", "SUDO_GID=65534", "SUDO_USER=nobody"}
	run := func(at string, env []string, words ...string) (out string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), program, words...)
		c.Dir, c.Env = at, append(os.Environ(), env...)
		var stderr strings.Builder
		c.Stderr = &stderr
		b, err := c.Output()
		if err != nil || stderr.Len() > 0 && words[0] != "recover" {
			t.Fatalf("%q: %v: %s", words, err, stderr.String())
		}
		return string(b)
	}
	// owners returns the owners and modes of all files below a folder, each once, and how many files there are.
	owners := func(at string) (list []string, n int) {
		t.Helper()
		err := filepath.WalkDir(at, func(_ string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			st, _ := info.Sys().(*syscall.Stat_t)
			if text := fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid); !slices.Contains(list, text) {
				list = append(list, text)
			}
			n++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(list)
		return list, n
	}
	// A file is root's for the moment between open and fchown, so the command looks until nothing moves any more.
	const during = `until [ -e ergon-results/project=*/date=*/run=*/spool/processes.table ]; do sleep 0.01; done
		for i in $(seq 100); do
			seen=$(find ergon-results/project=*/date=*/run=* -printf '%M %U:%G\n' | sort -u)
			[ "$seen" != "$WANT" ] || break
		done
		echo "$seen"`
	for _, c := range []struct {
		name  string
		owner int
		env   []string
		words []string
		want  string
	}{
		{"root", 0, nil, nil, "0:0"},
		{"sudo in a user's folder", 65534, sudo, nil, "65534:65534"},
		{"sudo in root's folder", 0, sudo, nil, "0:0"},
		{"sudo in another user's folder", 65533, sudo, nil, "0:0"},
		{"sudo by root", 65534, []string{"SUDO_UID=0", "SUDO_USER=root"}, nil, "0:0"},
		{"another user in root's folder", 0, nil, []string{"--user", "nobody"}, "65534:65534"},
		{"who called sudo", 65534, sudo, []string{"--user", "sudo"}, "65534:65534"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-"))
			if err := errors.Join(os.Mkdir(at, 0o755), os.Chown(at, c.owner, c.owner)); err != nil {
				t.Fatal(err)
			}
			want := []string{"-rw------- " + c.want, "drwx------ " + c.want}
			env := append(slices.Clone(c.env), "WANT="+strings.Join(want, "\n"))
			early := run(at, env, slices.Concat([]string{"record", "-q", "--tape", "run.zip", "--summary-to", "s.txt", "--export", "r.json", "--id-file", "id"}, c.words, []string{"sh", "-c", during})...)
			if got := strings.Fields(early); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("during the run: %q, want %q", early, want)
			}
			runs, err := filepath.Glob(filepath.Join(at, "ergon-results/project=*/date=*/run=*"))
			if err != nil || len(runs) != 1 {
				t.Fatal(runs, err)
			}
			if got, n := owners(runs[0]); !slices.Equal(got, want) || n < 6 {
				t.Errorf("afterwards: %q of %d files, want %q", got, n, want)
			}
			if got, n := owners(filepath.Join(at, "run.zip")); n != 1 || got[0] != want[0] {
				t.Errorf("the tape: %q, want %q", got, want[0])
			}
			for _, name := range []string{"s.txt", "r.json", "id"} {
				if got, _ := owners(filepath.Join(at, name)); got[0] != "-rw-r--r-- "+c.want {
					t.Errorf("%s: %q", name, got)
				}
			}
			if got, _ := owners(filepath.Join(at, "ergon-results")); !slices.Equal(got, []string{want[0], "-rw-r--r-- " + c.want, want[1], "drwxr-xr-x " + c.want}) {
				t.Errorf("the folders above: %q", got)
			}
		})
	}
}

// TestSharedFolder lets two users keep runs in one results folder. Each sees the own runs and those that the other one shares.
func TestSharedFolder(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to become somebody else")
	}
	dir, program := openToAll(t)
	results := filepath.Join(dir, "results")
	if err := errors.Join(os.Mkdir(results, 0o777), os.Chmod(results, 0o777|fs.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	defer syscall.Umask(syscall.Umask(0)) // as users who share a folder have it for their group
	run := func(uid uint32, words ...string) (code int, out string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), program, words...)
		c.Dir, c.Env = dir, append(os.Environ(), "ERGON_RESULTS="+results)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		b, err := c.CombinedOutput()
		if errors.Is(err, os.ErrPermission) {
			t.Skip("the test binary cannot be executed by an ordinary user")
		}
		return c.ProcessState.ExitCode(), string(b)
	}
	const alice, bob = 65534, 65533
	for _, words := range [][]string{{"--run-id", "open", "--share", "all"}, {"--run-id", "closed"}} {
		if code, out := run(alice, slices.Concat([]string{"-q", "--project", "p"}, words, []string{"true"})...); code != 0 || out != "" {
			t.Fatalf("code %d: %s", code, out)
		}
	}
	if code, out := run(bob, "-q", "--project", "p", "--run-id", "own", "true"); code != 0 || out != "" {
		t.Fatalf("code %d: %s", code, out)
	}
	for _, c := range []struct {
		uid        uint32
		sees, lost string
		words      []string
	}{
		{alice, "open closed", "own", []string{"ls"}},
		{bob, "open own", "closed", []string{"ls"}},
		{bob, "true exit ·", "", []string{"report", "open"}},
		{bob, "permission denied", "exit 0", []string{"report", "closed"}},
		{alice, "true exit ·", "", []string{"report", "last"}},
		{bob, "no unfinished run", "", []string{"recover"}},
	} {
		_, out := run(c.uid, c.words...)
		for word := range strings.FieldsSeq(c.sees) {
			if !strings.Contains(out, word) {
				t.Errorf("user %d, %q: no %q in\n%s", c.uid, c.words, word, out)
			}
		}
		if c.lost != "" && strings.Contains(strings.ReplaceAll(out, results, ""), c.lost) {
			t.Errorf("user %d, %q: %q in\n%s", c.uid, c.words, c.lost, out)
		}
		if c.words[0] == "ls" && !strings.Contains(out, "1 more in "+results+" may not be read by you") {
			t.Errorf("user %d: %s", c.uid, out)
		}
	}
}

// TestGitAsOwner measures under sudo in a repository whose settings name a program. git executes it as the user, never as root.
func TestGitAsOwner(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Lacks(t, testenv.Root, "it takes root to be called by sudo")
	}
	if _, err := exec.LookPath("git"); err != nil {
		testenv.Lacks(t, testenv.Git, err)
	}
	dir, program := openToAll(t)
	repository := filepath.Join(dir, "repository")
	if err := errors.Join(os.Mkdir(repository, 0o755), os.Chown(repository, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	sh := func(script string, c *exec.Cmd) {
		t.Helper()
		c.Dir = repository
		c.Env = append(os.Environ(), "HOME="+repository, "ERGON="+program, "SUDO_UID=65534", "SUDO_USER=nobody",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		c.Args = append(c.Args, "-euc", script)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", script, err, out)
		}
	}
	theirs := exec.CommandContext(t.Context(), "sh")
	theirs.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	sh(`git init -q; echo a >f; git add f; git commit -qm a; echo "f filter=theirs" >.gitattributes
		git config filter.theirs.clean "id -u >>ran; cat"; echo b >f`, theirs)
	sh(`"$ERGON" -q sleep 0.5`, exec.CommandContext(t.Context(), "sh"))
	ran, err := os.ReadFile(filepath.Join(repository, "ran"))
	if err != nil {
		t.Fatalf("git did not execute the filter, so this test proves nothing: %v", err)
	}
	for who := range strings.FieldsSeq(string(ran)) {
		if who != "65534" {
			t.Errorf("the filter ran as user %s", who)
		}
	}
}
