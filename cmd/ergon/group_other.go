//go:build !unix

package main

import "os/exec"

// asGroup does nothing: there are no process groups.
func asGroup(*exec.Cmd) (end func()) { return func() {} }
