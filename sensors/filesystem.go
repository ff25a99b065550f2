package sensors

import "strings"

// fileSystemPrefix tells a file system from a disk, since both are devices of the family disk.
const fileSystemPrefix = "fs:"

// FileSystem returns the device of the file system that is mounted on a folder.
func FileSystem(folder string) string { return fileSystemPrefix + folder }

// MountOf returns the folder that a file system is mounted on. device is what FileSystem returned, or the folder itself.
func MountOf(device string) string { return strings.TrimPrefix(device, fileSystemPrefix) }
