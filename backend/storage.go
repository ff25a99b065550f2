package backend

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ergon-energy/ergon/sensors"
)

// Storage lists what takes writes besides the disks. It reads /proc/self/mountinfo, /proc/swaps and /sys/block, which takes
// 0.1 ms and more.
func Storage(h sensors.Setup) (s sensors.Storage) {
	mounts, err := os.ReadFile(filepath.Join(h.Proc, "self/mountinfo"))
	if err != nil {
		return s
	}
	devices, err := os.ReadDir(filepath.Join(h.Sys, "block"))
	if err != nil {
		return s
	}
	s.Listed = true
	add := func(name string) {
		if !slices.Contains(s.Elsewhere, name) {
			s.Elsewhere = append(s.Elsewhere, name)
		}
	}
	for line := range strings.Lines(string(mounts)) {
		if kind, writable := mountedType(line); writable && !diskCounts(kind) {
			add(kind)
		}
	}
	swaps := text(h.Proc, "swaps")
	for _, d := range devices {
		name := d.Name()
		if !notADisk(name) || strings.Contains(swaps, "/dev/"+name+" ") || strings.Contains(swaps, "/dev/"+name+"\t") {
			continue
		}
		if size := text(h.Sys, "block/"+name+"/size"); size != "0" && text(h.Sys, "block/"+name+"/ro") == "0" {
			add(name)
		}
	}
	return s
}

// mountedType returns the type of a mounted file system, and whether it can be written, from a line of mountinfo
// (proc_pid_mountinfo(5)):
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
func mountedType(line string) (kind string, writable bool) {
	mount, system, found := strings.Cut(line, " - ")
	fields, of := strings.Fields(mount), strings.Fields(system)
	if !found || len(fields) < 6 || len(of) < 3 {
		return "", false
	}
	rw := func(options string) bool { first, _, _ := strings.Cut(options, ","); return first == "rw" }
	return of[0], rw(fields[5]) && rw(of[2])
}

// diskCounts reports whether each byte that a program writes to a file system of this type is counted at most once as
// written by the program, and then also by a disk. File systems in memory count nothing. An overlay writes to another
// file system. All that are not listed may be on a network, be served by a process, or compress.
func diskCounts(kind string) bool {
	return slices.Contains([]string{
		"ext2", "ext3", "ext4", "xfs", "vfat", "msdos", "exfat", "ntfs3", "jfs", "hfsplus", "overlay",
		"tmpfs", "ramfs", "devtmpfs", "hugetlbfs", "proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "debugfs", "tracefs",
		"securityfs", "pstore", "bpf", "configfs", "fusectl", "efivarfs", "binfmt_misc", "autofs", "rpc_pipefs", "nsfs", "selinuxfs",
		"smackfs", "resctrl", "fuse.gvfsd-fuse", "fuse.portal",
	}, kind)
}

// notADisk reports whether a block device has the name of one that is in memory, on a file or on a ZFS pool: loop3, zram0,
// ram1, zd16.
func notADisk(device string) bool {
	for _, prefix := range []string{"loop", "zd", "ram", "zram"} {
		digits, ok := strings.CutPrefix(device, prefix)
		if n, rest, number := number([]byte(digits)); ok && number && n < 1<<20 && len(rest) == 0 {
			return true
		}
	}
	return false
}
