//go:build !unix

package runner

import "os"

// mayWrite cannot know here.
func mayWrite(string) error { return nil }

// lockFolder opens the folder; nothing is locked here.
func lockFolder(path string) (*os.File, error) { return os.Open(path) }
