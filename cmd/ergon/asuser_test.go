//go:build linux

package main

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
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
