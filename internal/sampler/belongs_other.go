//go:build !linux

package sampler

// belongs returns nil: this system has no marks.
func (e *Engine) belongs() func(pid int) (member, known bool) { return nil }
