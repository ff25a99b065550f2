// Package container reports whether this process runs in a container, and of what kind. No sign is certain. Docker and
// Podman leave a file. systemd's convention is the variable "container" (systemd.exec(5), CONTAINER_INTERFACE).
// Kubernetes sets its own variable. Cgroup paths and the root file system reveal others.
package container

import (
	"os"
	"path/filepath"
	"strings"
)

// Seen is the container that was found; the zero value means none.
type Seen struct {
	// Kind is "docker", "podman", "kubernetes", "lxc", the name that systemd-nspawn and others give, or "container".
	Kind string
	// Sign is the evidence: "/.dockerenv exists".
	Sign string
}

// Look looks for signs in the given root of procfs and in the environment.
func Look(proc string, getenv func(string) string) Seen {
	if getenv("KUBERNETES_SERVICE_HOST") != "" {
		return Seen{"kubernetes", "the variable KUBERNETES_SERVICE_HOST is set"}
	}
	for _, s := range []struct{ file, kind string }{{"/run/.containerenv", "podman"}, {"/.dockerenv", "docker"}} {
		if _, err := os.Stat(filepath.Join(proc, "self/root", s.file)); err == nil {
			return Seen{s.kind, s.file + " exists"}
		}
	}
	if kind := getenv("container"); kind != "" {
		return Seen{kind, "the variable container is set"}
	}
	if b, err := os.ReadFile(filepath.Join(proc, "self/cgroup")); err == nil {
		for _, s := range []struct{ word, kind string }{
			{"kubepods", "kubernetes"}, {"docker", "docker"}, {"libpod", "podman"}, {"lxc", "lxc"}, {"containerd", "container"},
		} {
			for line := range strings.Lines(string(b)) {
				if strings.Contains(line, "/"+s.word) {
					return Seen{s.kind, "the cgroup " + strings.TrimSpace(line)}
				}
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(proc, "self/mountinfo")); err == nil {
		for line := range strings.Lines(string(b)) {
			if fields := strings.Fields(line); len(fields) > 4 && fields[4] == "/" && strings.Contains(line, " - overlay ") {
				return Seen{"container", "the root file system is an overlay"}
			}
		}
	}
	return Seen{}
}
