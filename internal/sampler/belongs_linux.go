package sampler

import (
	"os"

	"github.com/ergon-energy/ergon/internal/lineage"
)

// belongs returns a function that tells whether a process belongs to the command. It believes all until the command's process
// is known.
func (e *Engine) belongs() func(pid int) (member, known bool) {
	var tree *lineage.Lineage
	return func(pid int) (member, known bool) {
		if tree == nil {
			target := e.followed.Load()
			if target == 0 {
				return false, false
			}
			tree = lineage.Of(int(target), e.config.Setup.Parent, os.Getpid(), e.config.Setup.Runner)
		}
		return tree.Has(pid)
	}
}
