package backend

import "github.com/ergon-energy/ergon/internal/quick"

// openQuick opens a file below root as openBelow does. If the file belongs to procfs, readings do not tell the scheduler:
// they never wait. Any other file may hang, whatever its path, and would take the whole sampler with it.
func openQuick(root, path string) (*file, error) {
	f, err := openBelow(root, path)
	if err == nil {
		f.quick = quick.Kernel(f.handle.fd)
	}
	return f, err
}
