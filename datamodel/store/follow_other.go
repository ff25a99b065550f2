//go:build !linux

package store

import (
	"context"
	"os"
	"time"
)

// changes tells that something in a folder may have changed. Without inotify it is looked at in steps.
type changes struct{}

func watchFolder(dir string) (changes, error) {
	_, err := os.Stat(dir)
	return changes{}, err
}

// wait returns nil after a step, and the error of ctx if that is done.
func (changes) wait(ctx context.Context, limit time.Duration) error {
	return sleep(ctx, min(limit, followStep))
}

func (changes) close() {}
