package prelaunch

// again returns: no process becomes another program here. The runtime obeys what was meant for the command.
func again([]string) {}
