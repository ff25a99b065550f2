//go:build !linux && (!darwin || cgo)

package backend

// startsPS tells whether gopsutil starts ps for each reading of a process. Here it asks the system.
const startsPS = false
