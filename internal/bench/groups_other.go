//go:build !linux

package main

// linuxGroups returns nothing: these groups and their peers need Linux.
func linuxGroups() []group { return nil }

// recorded returns made-up readings: it starts a sampler on Linux only.
func recorded(*bench) ([]*readings, error) { return server(), nil }

// ownPeak returns 0: the value is unknown on this system.
func ownPeak() float64 { return 0 }
