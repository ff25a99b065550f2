//go:build darwin && !cgo

package backend

// startsPS: what gopsutil knows of a process it has from ps, which it starts for each question.
const startsPS = true
