package main

import (
	"os/exec"
	"strconv"
)

// batchScript executes a command several times, one right after the other. Each execution reads the input from its beginning.
// A failure ends the batch, or is its exit code at the end if failures are ignored.
const batchScript = `n=$1 in=$2 ignore=$3 failed=0
shift 3
while [ "$n" -gt 0 ]; do
	"$@" <"$in" || { failed=$?; [ -n "$ignore" ] || exit "$failed"; }
	n=$((n - 1))
done
exit "$failed"`

// batched returns the words that execute a command as often as --batch says. The command has a path in them, because a shell has
// commands of its own, such as true. A command that is not found is returned as it is; its round then says so.
func (o BenchOptions) batched(argv []string, input string) []string {
	if o.Batch < 2 {
		return argv
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return argv
	}
	ignore := ""
	if o.IgnoreFailure {
		ignore = "yes"
	}
	return append([]string{"sh", "-c", batchScript, "sh", strconv.Itoa(o.Batch), input, ignore, path}, argv[1:]...)
}
