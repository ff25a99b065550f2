package cgroup

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	const (
		hybrid = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:1 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
		unified = "29 23 0:25 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
		docker  = "29 23 0:25 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
		blank   = `29 23 0:25 / /mnt/a\040b rw - cgroup2 cgroup2 rw` + "\n"
	)
	for _, c := range []struct{ name, in, mounts, want string }{
		{"unified", "0::/user.slice/s.scope\n", unified, "2:/sys/fs/cgroup/user.slice/s.scope"},
		{"unified, namespace", "0::/\n", unified, "2:/sys/fs/cgroup"},
		{"outside the namespace", "0::/../other\n", unified, ""},
		{
			"hybrid, controllers together", "3:cpu,cpuacct:/x\n2:memory:/y\n0::/z\n", hybrid,
			"2:/sys/fs/cgroup/unified/z 1cpuacct:/sys/fs/cgroup/cpu,cpuacct/x 1memory:/sys/fs/cgroup/memory/y",
		},
		{"container, own part mounted", "2:memory:/docker/ab\n", docker, "1memory:/sys/fs/cgroup/memory"},
		{"container, a group below", "2:memory:/docker/ab/c\n", docker, "1memory:/sys/fs/cgroup/memory/c"},
		{"container, other part mounted", "2:memory:/docker/abc\n", docker, ""},
		{"blank in the path", "0::/x\n", blank, "2:/mnt/a b/x"},
		{"colon in the path", "0::/a:b\n", unified, "2:/sys/fs/cgroup/a:b"},
		{"nothing mounted", "0::/\n", "", ""},
		{"nothing", "", unified, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, h := range match(parseMemberships(c.in), parseMounts(c.mounts)) {
				got = append(got, string(rune('0'+h.version))+h.controller+":"+filepath.ToSlash(h.dir))
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

// FuzzMatch checks that every folder found is below a mount point, whatever the two files contain.
func FuzzMatch(f *testing.F) {
	f.Add("0::/a\n4:memory:/b\n", "29 23 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n30 23 0:2 /b /m rw - cgroup c rw,memory\n")
	f.Add("0::/../a", `1 1 1:1 / /\0400 rw - cgroup2 c c`)
	f.Fuzz(func(t *testing.T, in, mounts string) {
		at := parseMounts(mounts)
	found:
		for _, h := range match(parseMemberships(in), at) {
			for _, m := range at {
				if rel, err := filepath.Rel(m.dir, h.dir); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
					continue found
				}
			}
			t.Errorf("%q is not below any of the mounts %+v", h.dir, at)
		}
	})
}
