package testenv

import (
	"bufio"
	"fmt"
	"os/exec"
	"testing"
)

// Parentage starts a shell with a child and an orphaned grandchild, and returns their process ids. The shell ends with its
// input.
func Parentage(t *testing.T) (shell, child, orphan int) {
	t.Helper()
	// Not with t.Context(), which ends before the cleanup: a killed shell would leave the other two processes behind.
	c := exec.Command("sh", "-c",
		`sleep 1000 & a=$!; b=$(sh -c 'sleep 1000 >/dev/null & echo $!'); echo $a $b; read -r end; kill $a $b`)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = c.Wait()
	})
	if _, err := fmt.Fscan(bufio.NewReader(out), &child, &orphan); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid, child, orphan
}
