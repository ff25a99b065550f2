//go:build !unix

package store_test

import "errors"

// The tests that start these roles limit the size of a file, which only Unix can.

func fullChild(string) error { return errors.ErrUnsupported }

func fullRunChild(string) error { return errors.ErrUnsupported }

func tapeChild(string) error { return errors.ErrUnsupported }
