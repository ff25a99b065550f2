package launch

import "os"

// SetUID reports whether this program runs as another user or group than its caller, because its file is setuid or setgid.
func SetUID() bool { return os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() }
