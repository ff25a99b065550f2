package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/launch"
)

// sudoWord stands for whoever called sudo.
const sudoWord = "sudo"

// person is a user with what the user database says.
type person struct {
	launch.User
	name, home, shell string
}

// surroundings are what decides who a caller may be: the effective user, and the environment.
type surroundings struct {
	uid    int
	lookup func(variable string) (string, bool)
}

// here returns the surroundings of this process.
func here() surroundings { return surroundings{os.Geteuid(), os.LookupEnv} }

// chosen returns the user whom --user names; nil if it names none.
func (s surroundings) chosen(name string) (*person, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // nobody was chosen
	}
	if s.uid != 0 {
		return nil, &usage{fmt.Errorf("--user: only root can run a command as another user (sudo ergon --user %s COMMAND)", name)}
	}
	if name == sudoWord {
		p, err := s.caller()
		if err == nil && p == nil {
			err = errors.New("ergon was not called by sudo: SUDO_UID is not set (name the user)")
		}
		if err != nil {
			return nil, &usage{fmt.Errorf("--user: %w", err)}
		}
		return p, nil
	}
	p, err := findUser(name)
	if err != nil {
		return nil, &usage{fmt.Errorf("--user: %w", err)}
	}
	return p, nil
}

// caller returns who called sudo; nil if nobody did. sudo tells by variables. Only root believes them: anybody else would
// believe their own words.
func (s surroundings) caller() (*person, error) {
	id, _ := s.lookup("SUDO_UID")
	if s.uid != 0 || id == "" {
		return nil, nil //nolint:nilnil // there is no such caller
	}
	if _, err := strconv.ParseUint(id, 10, 32); err != nil {
		return nil, fmt.Errorf("SUDO_UID: %q is not the number of a user", id)
	}
	// Several names may have one number.
	if name, _ := s.lookup("SUDO_USER"); name != "" {
		if u, err := user.Lookup(name); err == nil && u.Uid == id {
			return personOf(u)
		}
	}
	return findUser(id)
}

// findUser returns the user of that name, or of that number if there is no such name.
func findUser(name string) (*person, error) {
	u, err := user.Lookup(name)
	if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
		if _, notNumber := strconv.ParseUint(name, 10, 32); notNumber == nil {
			u, err = user.LookupId(name)
		}
	}
	switch {
	case isUnknown(err):
		return nil, fmt.Errorf("no user %q on this machine", name)
	case err != nil:
		return nil, err
	}
	return personOf(u)
}

// isUnknown reports whether the user database does not have the user.
func isUnknown(err error) bool {
	_, name := errors.AsType[user.UnknownUserError](err)
	_, id := errors.AsType[user.UnknownUserIdError](err)
	return name || id
}

// personOf adds what the kernel and the environment need.
func personOf(u *user.User) (*person, error) {
	p := &person{name: u.Username, home: u.HomeDir}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user %s: %w", u.Username, err)
	}
	for _, n := range []struct {
		text string
		to   *uint32
	}{{u.Uid, &p.UID}, {u.Gid, &p.GID}} {
		if *n.to, err = number32(n.text); err != nil {
			return nil, fmt.Errorf("user %s: %w", u.Username, err)
		}
	}
	for _, text := range groups {
		g, err := number32(text)
		if err != nil {
			return nil, fmt.Errorf("groups of user %s: %w", u.Username, err)
		}
		p.Groups = append(p.Groups, g)
	}
	p.shell = shellOf(u.Uid)
	return p, nil
}

func number32(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}

// shellOf returns a user's shell, which package user does not tell: from /etc/passwd, else from what else the system asks
// (nsswitch.conf(5)). A user without one has /bin/sh (passwd(5)).
func shellOf(uid string) string {
	text, _ := os.ReadFile("/etc/passwd")
	if shell, ok := shellIn(string(text), uid); ok {
		return shell
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	text, _ = exec.CommandContext(ctx, "/usr/bin/getent", "passwd", uid).Output()
	shell, _ := shellIn(string(text), uid)
	return shell
}

// shellIn finds a user in lines of passwd(5): nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin.
func shellIn(lines, uid string) (shell string, ok bool) {
	for line := range strings.Lines(lines) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) == 7 && f[2] == uid {
			if f[6] != "" {
				return f[6], true
			}
			return "/bin/sh", true
		}
	}
	return "/bin/sh", false
}

// environment returns the changes that sudo -u makes for the user: sudoers(5), env_reset. Everything else stays as the
// caller gave it, for the caller's sudo has already removed what its policy does not let through. Two variables name
// places that only root may enter.
func (p *person) environment() []string {
	return []string{
		"HOME=" + p.home, "LOGNAME=" + p.name, "MAIL=/var/mail/" + p.name, "SHELL=" + p.shell, "USER=" + p.name,
		"DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR",
	}
}

// account returns the user as numbers; nil for nobody.
func (p *person) account() *store.Owner {
	if p == nil {
		return nil
	}
	return &store.Owner{UID: int(p.UID), GID: int(p.GID)}
}

// become lets a command run as the user. For nil it does nothing.
func (p *person) become(c *exec.Cmd) {
	if p == nil {
		return
	}
	c.SysProcAttr = p.Attributes()
	for _, change := range p.environment() {
		if strings.Contains(change, "=") {
			c.Env = append(c.Env, change) // of two with a name, the last one counts
		}
	}
}

// owner returns who called sudo, if that user could have made these files or folders too. Then they are made for that user.
// It returns nil if they belong to the user of this process. An empty path counts as none.
func (s surroundings) owner(paths ...string) *person {
	p, err := s.caller()
	if err != nil || p == nil || p.UID == 0 {
		return nil
	}
	for _, path := range paths {
		if path != "" && !p.mayWrite(standing(path)) {
			return nil
		}
	}
	return p
}
