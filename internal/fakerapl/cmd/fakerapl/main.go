// Fakerapl writes a tree of powercap files and moves its counters along a known power. See package fakerapl.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/ergon-energy/ergon/internal/fakerapl"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := fakerapl.Command(ctx, os.Args[1:], os.Stdin)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
