package store_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel/store"
)

// The test binary is its own helper process: these variables say what it is to be.
const (
	childVariable = "ERGON_STORE_TEST_CHILD"
	dirVariable   = "ERGON_STORE_TEST_DIR"
	childConvert  = "convert"
	childSpool    = "spool"
	childFull     = "full"
	childFullRun  = "full run"
	childTape     = "tape"
)

// closed ends a conversion to which nothing is appended.
func closed(c *store.Conversion, err error) (store.Converted, error) {
	if err != nil {
		return store.Converted{}, err
	}
	return c.Close()
}

func TestMain(m *testing.M) {
	dir := os.Getenv(dirVariable)
	var err error
	switch os.Getenv(childVariable) {
	case "":
		os.Exit(m.Run())
	case childConvert:
		err = convertChild(dir)
	case childSpool:
		err = spoolChild(dir)
	case childFull:
		err = fullChild(dir)
	case childFullRun:
		err = fullRunChild(dir)
	case childTape:
		err = tapeChild(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// spoolChild writes readings to a spool, telling on stdout what is flushed, until it is killed.
func spoolChild(dir string) error {
	s, err := store.CreateSpool(dir, header("cpu", 3))
	if err != nil {
		return err
	}
	values := make([]float64, 3)
	for tick := 0; ; tick++ {
		for i := range values {
			values[i] = reading(tick, i)
		}
		if !s.Append(tickTime(tick), values) {
			return fmt.Errorf("tick %d refused", tick)
		}
		if tick%10 == 9 {
			if err := s.Flush(); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(os.Stdout, tick+1); err != nil {
				return err
			}
		}
		time.Sleep(time.Microsecond) // a beat
	}
}
