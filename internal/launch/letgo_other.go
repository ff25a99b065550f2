//go:build !linux

package launch

import "os"

// LetGo puts /dev/null in place of a file on Linux.
func LetGo(*os.File) {}
