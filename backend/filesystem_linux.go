package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/sensors"
)

// filesystemSource calls fstatfs(2) on folders that are kept open. So their file systems cannot be unmounted. That is no loss:
// ergon works in one and writes its results to the other.
type filesystemSource struct {
	dirs []int
	list []sensors.Sensor
	stat unix.Statfs_t
}

func openFilesystem(_ context.Context, setup sensors.Setup) (sensors.Source, []sensors.Absence, error) {
	f := &filesystemSource{}
	var absences []sensors.Absence
	seen := map[uint64]bool{}
	for _, dir := range setup.Dirs {
		fd, device, err := openDir(dir)
		if err != nil {
			absences = append(absences, absent(filesystemSensor(dir, ""), dir, err))
			continue
		}
		if seen[device] {
			_ = unix.Close(fd) // nothing was written
			continue
		}
		seen[device] = true
		f.dirs = append(f.dirs, fd)
		f.list = append(f.list, filesystemSensor(mountPoint(dir, device), "statfs "+dir))
	}
	switch {
	case len(f.dirs) > 0:
		return f, absences, nil
	case len(absences) > 0:
		return nil, absences, noneOf(absences)
	}
	return nil, nil, unavailable(sensors.NotPresent, "no folder was given")
}

// openDir opens a folder only to ask about it, which needs no read permission. It also returns the number of its device.
func openDir(dir string) (fd int, device uint64, err error) {
	fd, err = unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, 0, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, 0, errors.Join(&os.PathError{Op: "stat", Path: dir, Err: err}, unix.Close(fd))
	}
	return fd, st.Dev, nil
}

// mountPoint returns the highest folder above dir on the same device.
func mountPoint(dir string, device uint64) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if actual, err := filepath.EvalSymlinks(dir); err == nil {
		dir = actual
	}
	for {
		up := filepath.Dir(dir)
		var st unix.Stat_t
		if up == dir || unix.Stat(up, &st) != nil || st.Dev != device {
			return dir
		}
		dir = up
	}
}

func (f *filesystemSource) Sensors() []sensors.Sensor { return f.list }

func (f *filesystemSource) Read(dst []float64) error {
	missing(dst)
	if f.dirs == nil {
		return fmt.Errorf("statfs: %w", os.ErrClosed)
	}
	var first error
	read := 0
	for i, fd := range f.dirs {
		if err := unix.Fstatfs(fd, &f.stat); err != nil {
			if first == nil {
				first = fmt.Errorf("%s: %w", f.list[i].Source, err)
			}
			continue
		}
		read++
		if f.stat.Blocks > 0 { // a file system without blocks, such as procfs, has no free space
			dst[i] = float64(f.stat.Bavail) * float64(f.stat.Frsize)
		}
	}
	if read > 0 {
		return nil
	}
	return first
}

func (f *filesystemSource) Close() error {
	var errs error
	for _, fd := range f.dirs {
		errs = errors.Join(errs, unix.Close(fd))
	}
	f.dirs = nil
	return errs
}
