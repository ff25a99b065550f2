//go:build darwin && !cgo

package backend

// startsPS tells whether gopsutil starts ps for each reading of a process. Without cgo it has no other way.
const startsPS = true
