package store

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// changes tells that something in a folder may have changed.
type changes struct {
	file *os.File // nil if the kernel doesn't tell
}

// watchFolder begins to notice changes in a folder, by inotify(7). If there are no inotify instances left (each user has
// 128), or there is no inotify, the folder is looked at in steps instead.
func watchFolder(dir string) (changes, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return changes{}, nil //nolint:nilerr // changes are noticed later, that is all
	}
	file := os.NewFile(uintptr(fd), "inotify")
	_, err = unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_MODIFY|unix.IN_DELETE_SELF|unix.IN_ONLYDIR)
	switch {
	case err == nil:
		return changes{file}, nil
	case errors.Is(err, unix.ENOSPC): // no watches are left
		_ = file.Close()
		return changes{}, nil
	}
	_ = file.Close()
	return changes{}, &os.PathError{Op: "watch", Path: dir, Err: err}
}

// wait returns nil when something has changed, at the latest after limit. It returns the error of ctx if that is done.
func (c changes) wait(ctx context.Context, limit time.Duration) error {
	if c.file == nil {
		return sleep(ctx, min(limit, followStep))
	}
	if err := c.file.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return sleep(ctx, followStep)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var events [4096]byte
	_, err := c.file.Read(events[:])
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	}
	return sleep(ctx, followPause) // several files are written one after another
}

// close releases what wait needs.
func (c changes) close() {
	if c.file != nil {
		_ = c.file.Close()
	}
}
