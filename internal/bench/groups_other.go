//go:build !linux

package main

import "os"

// linuxGroups returns nothing: these groups and their peers need Linux.
func linuxGroups() []group { return nil }

// recorded returns made-up readings: it starts a sampler on Linux only.
func recorded(*bench) ([]*readings, error) { return server(), nil }

// ownPeak returns 0: the value is unknown on this system.
func ownPeak() float64 { return 0 }

// peakOf returns 0: the unit of the peak differs from system to system.
func peakOf(*os.ProcessState) float64 { return 0 }
