package fakerapl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Usage explains the arguments of Command.
const Usage = `usage: fakerapl create DIR                write a tree for --path.sysfs DIR
       fakerapl drive DIR CURVE DURATION [FAULT...]  move its counters along the curve, exactly, then end
       fakerapl serve DIR CURVE           move them until the standard input ends
CURVE is const:WATTS, ramp:WATTS:WATTS:DURATION or square:WATTS:WATTS:PERIOD
FAULT is failed, junk or stuck:FROM:UNTIL, or reset, vanished or locked:FROM`

// Command runs the program fakerapl with its arguments, the verb first. The verb serve runs until in ends, so that it
// does not outlive the process that started it. If ctx ends early, drive returns an error, and serve does not.
func Command(ctx context.Context, args []string, in io.Reader) error {
	switch {
	case len(args) == 2 && args[0] == "create":
		return Create(args[1])
	case len(args) >= 4 && args[0] == "drive":
		d, err := time.ParseDuration(args[3])
		if err != nil || d <= 0 {
			return fmt.Errorf("duration %q: want one such as 2s", args[3])
		}
		var faults []Fault
		for _, text := range args[4:] {
			f, err := ParseFault(text)
			if err != nil {
				return err
			}
			faults = append(faults, f)
		}
		return drive(ctx, args[1], args[2], d, faults...)
	case len(args) == 3 && args[0] == "serve":
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			_, _ = io.Copy(io.Discard, in) // an error ends the input too
			stop()
		}()
		if err := drive(ctx, args[1], args[2], math.MaxInt64); !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}
	return errors.New(Usage)
}

func drive(ctx context.Context, dir, text string, d time.Duration, faults ...Fault) error {
	curve, err := ParseCurve(text)
	if err != nil {
		return err
	}
	tree, err := Open(dir, faults...)
	if err != nil {
		return err
	}
	return errors.Join(tree.Drive(ctx, curve, d), tree.Close())
}
