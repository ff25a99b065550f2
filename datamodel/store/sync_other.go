//go:build !unix

package store

// unsupportedSync reports whether err is how a file system says that it cannot sync a folder.
func unsupportedSync(error) bool { return false }
