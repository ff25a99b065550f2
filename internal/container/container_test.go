package container

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree writes files below a folder that stands for /proc, and returns the folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	proc := t.TempDir()
	for name, text := range files {
		path := filepath.Join(proc, "self", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return proc
}

func TestLook(t *testing.T) {
	const overlay = "600 500 0:60 / / rw,relatime - overlay overlay rw,lowerdir=/l\n"
	for _, c := range []struct{ file, text, variable, kind, sign string }{
		{"root/.dockerenv", "", "", "docker", "/.dockerenv exists"},
		{"root/run/.containerenv", "", "", "podman", "/run/.containerenv exists"},
		{"root/.dockerenv", "", "KUBERNETES_SERVICE_HOST", "kubernetes", "the variable KUBERNETES_SERVICE_HOST is set"},
		{"", "", "container", "x", "the variable container is set"},
		{"cgroup", "0::/kubepods.slice/pod1\n", "", "kubernetes", "the cgroup 0::/kubepods.slice/pod1"},
		{"cgroup", "0::/user.slice/my-docker-like\n", "", "", ""}, // the word is not at the start of a name
		{"mountinfo", overlay, "", "container", "the root file system is an overlay"},
		{"mountinfo", "600 500 8:1 / / rw - ext4 /dev/vda rw\n601 600 0:60 / /x rw - overlay o rw\n", "", "", ""},
		{"", "", "", "", ""},
	} {
		files := map[string]string{}
		if c.file != "" {
			files[c.file] = c.text
		}
		got := Look(tree(t, files), func(name string) string {
			if name == c.variable {
				return "x"
			}
			return ""
		})
		if got != (Seen{c.kind, c.sign}) {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// FuzzLook checks that nothing is found in files without any of the words.
func FuzzLook(f *testing.F) {
	f.Add("0::/docker/1\n", "1 2 0:1 / / rw - overlay overlay rw\n")
	f.Add("", "/ / / / /")
	f.Fuzz(func(t *testing.T, cgroup, mounts string) {
		got := Look(tree(t, map[string]string{"cgroup": cgroup, "mountinfo": mounts}), func(string) string { return "" })
		words := strings.Contains(mounts, "overlay")
		for _, word := range []string{"kubepods", "docker", "libpod", "lxc", "containerd"} {
			words = words || strings.Contains(cgroup, word)
		}
		if (got.Kind == "") != (got.Sign == "") || got.Kind != "" && !words {
			t.Fatalf("%+v", got)
		}
	})
}
