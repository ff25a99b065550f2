package backend

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ergon-energy/ergon/sensors"
)

func TestStorage(t *testing.T) {
	const (
		root  = "25 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
		inRAM = "26 25 0:22 / /dev/shm rw - tmpfs tmpfs rw\n27 25 0:5 / /proc rw shared:1 - proc proc rw\n"
	)
	for _, c := range []struct {
		name, mounts, swaps string
		devices             map[string][2]string // size and ro
		want                []string
	}{
		{"a disk and memory", root + inRAM, "", map[string][2]string{"vda": {"100", "0"}}, nil},
		{"a container", "25 1 0:60 / / rw - overlay overlay rw,lowerdir=/l\n", "", nil, nil},
		{"a network", root + "30 25 0:50 / /home rw - nfs4 server:/home rw,vers=4.2\n", "", nil, []string{"nfs4"}},
		{"two of a kind", root + "30 25 0:50 / /a rw - virtiofs a rw\n31 25 0:51 / /b rw - virtiofs b rw\n", "", nil, []string{"virtiofs"}},
		{"a process", root + "30 25 0:50 / /mnt rw - fuse.sshfs host: rw\n", "", nil, []string{"fuse.sshfs"}},
		{"compression", "25 1 0:30 /root / rw - btrfs /dev/vda rw,compress=zstd:1\n", "", nil, []string{"btrfs"}},
		{"lxcfs", root + "30 25 0:50 / /proc/meminfo rw - fuse.lxcfs lxcfs rw\n", "", nil, []string{"fuse.lxcfs"}},
		{"mounted read-only", root + "30 25 0:50 / /home ro - nfs4 server:/home rw\n31 25 7:0 / /snap/x rw - squashfs /dev/loop0 ro\n", "", nil, nil},
		{"loops", root, "", map[string][2]string{"loop0": {"100", "1"}, "loop1": {"0", "0"}, "loop2": {"100", "0"}}, []string{"loop2"}},
		{"swap in memory", root, "Filename Type\n/dev/zram0 partition 100 0 100\n", map[string][2]string{"zram0": {"100", "0"}, "zram1": {"100", "0"}}, []string{"zram1"}},
	} {
		proc, sys := t.TempDir(), t.TempDir()
		put := func(path, text string) {
			t.Helper()
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		put(proc+"/self/mountinfo", c.mounts)
		put(proc+"/swaps", c.swaps)
		if err := os.Mkdir(sys+"/block", 0o700); err != nil {
			t.Fatal(err)
		}
		for name, d := range c.devices {
			put(sys+"/block/"+name+"/size", d[0]+"\n")
			put(sys+"/block/"+name+"/ro", d[1]+"\n")
		}
		got := Storage(sensors.Setup{Proc: proc, Sys: sys})
		if !got.Listed || !slices.Equal(got.Elsewhere, c.want) || got.AllOnDisks() != (len(c.want) == 0) {
			t.Errorf("%s: %+v, want %q", c.name, got, c.want)
		}
	}
	if got := Storage(sensors.Setup{Proc: t.TempDir(), Sys: t.TempDir()}); got.Listed || got.AllOnDisks() {
		t.Errorf("nothing to read: %+v", got)
	}
}
