//go:build !linux && (!darwin || cgo)

package backend

// startsPS: gopsutil asks the system itself.
const startsPS = false
