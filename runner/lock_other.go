//go:build !unix

package runner

import "os"

// lockFolder opens the folder; nothing is locked here.
func lockFolder(path string) (*os.File, error) { return os.Open(path) }
