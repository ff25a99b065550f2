package sampler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/sensors"
	"github.com/ergon-energy/ergon/units"
)

// counting is a fake source that counts its readings.
type counting struct{ n float64 }

func (c *counting) Sensors() []sensors.Sensor {
	return []sensors.Sensor{{
		ID: "fake/ticks", Family: "fake", Name: "ticks", Unit: units.Operations, Kind: sensors.Counter, Source: "a fake",
	}}
}

func (c *counting) Read(dst []float64) error {
	c.n++
	dst[0] = c.n
	return nil
}

func (c *counting) Close() error { return nil }

func fakes() []sensors.Backend {
	return []sensors.Backend{{
		Name: "fake", Doc: "a fake",
		Open: func(context.Context, sensors.Setup) (sensors.Source, []sensors.Absence, error) {
			return &counting{}, nil, nil
		},
	}}
}

// talk sends the orders like the runner, and waits for the answer to each order that has one.
func talk(t *testing.T, config Config, subject Subject, between func()) (replies []reply) {
	t.Helper()
	toChild, in := io.Pipe()
	out, fromChild := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Serve(toChild, fromChild, fakes()) }()
	orders, answers := json.NewEncoder(in), json.NewDecoder(out)
	for _, r := range []request{{Op: opConfig, Config: &config}, {Op: opSubject, Subject: &subject}, {Op: opFollow, PID: 1}, {Op: opBegin}, {Op: opEnd}} {
		if r.Op == opEnd {
			between()
		}
		if err := orders.Encode(r); err != nil {
			t.Fatal(err)
		}
		if r.Op == opConfig || r.Op == opFollow {
			continue
		}
		var answer reply
		if err := answers.Decode(&answer); err != nil {
			t.Fatalf("%s: %v", r.Op, err)
		}
		replies = append(replies, answer)
	}
	_ = in.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return replies
}

func TestServe(t *testing.T) {
	dir := t.TempDir()
	config := Config{Setup: sensors.Setup{Proc: "/proc", Sys: "/sys"}, Node: "here", Interval: 2 * time.Millisecond}
	replies := talk(t, config, Subject{SpoolPath: dir}, func() { time.Sleep(50 * time.Millisecond) }) // the length of the run
	var ops []string
	for _, r := range replies {
		ops = append(ops, r.Op)
	}
	if got := strings.Join(ops, " "); got != "ready begun ended" {
		t.Fatalf("answers %q", got)
	}
	ended := replies[2].Ended
	if len(ended.Sources) != 1 || len(ended.Warnings) != 0 {
		t.Fatalf("ended: %+v", ended)
	}
	stats := ended.Sources[0]
	if stats.Readings < 3 || stats.ReadTime <= 0 || stats.Worst > stats.ReadTime {
		t.Errorf("stats %+v", stats)
	}
	spool, err := store.OpenSpool(filepath.Join(dir, "fake.arrows"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = spool.Close() }()
	rows, last := int64(0), time.Duration(-1)
	for {
		at, values, err := spool.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range at {
			rows++
			if at[i] <= last || values[i] != float64(rows) {
				t.Fatalf("row %d at %v after %v is %v", rows, at[i], last, values[i])
			}
			last = at[i]
		}
	}
	if rows != stats.Readings || !spool.Complete() {
		t.Errorf("%d rows of %d readings in the spool, complete: %v", rows, stats.Readings, spool.Complete())
	}
	// Every beat was either read or counted as missed: the first and the last reading are not beats.
	beats := float64(stats.Readings - 2 + stats.Missed)
	if due := last.Seconds() / config.Interval.Seconds(); math.Abs(beats-due) > 2 {
		t.Errorf("%v beats read or missed, %v were due", beats, due)
	}
}

// TestServeOrphan checks that a sampler removes the spool of a run that is not kept, if its runner ends without an order.
func TestServeOrphan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ergon-readings")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var orders bytes.Buffer
	enc := json.NewEncoder(&orders)
	for _, r := range []request{
		{Op: opConfig, Config: &Config{Setup: sensors.Setup{Proc: "/proc", Sys: "/sys"}, Interval: time.Millisecond}},
		{Op: opSubject, Subject: &Subject{SpoolPath: dir, Ephemeral: true}},
		{Op: opBegin},
	} {
		if err := enc.Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := Serve(&orders, io.Discard, fakes()); err != nil {
		t.Fatal(err)
	}
	if found, _ := filepath.Glob(dir); found != nil {
		t.Errorf("left behind: %v", found)
	}
}

// TestServeForgotten checks that a sampler leaves the spool to a runner that lives, since the runner may put its own readings
// there.
func TestServeForgotten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ergon-readings")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	orders, runner := io.Pipe()
	c := &Client{in: runner, process: &os.Process{Pid: -1}, exited: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- Serve(orders, io.Discard, fakes()) }()
	for _, r := range []request{
		{Op: opConfig, Config: &Config{Setup: sensors.Setup{Proc: "/proc", Sys: "/sys"}, Interval: time.Millisecond}},
		{Op: opSubject, Subject: &Subject{SpoolPath: dir, Ephemeral: true}},
		{Op: opBegin},
	} {
		if err := c.send(r); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the spool of a runner that lives: %v", err)
	}
}

// FuzzServe checks that no line makes the sampler panic or hang.
func FuzzServe(f *testing.F) {
	f.Add([]byte(`{"op":"config","config":{"setup":{"proc":"/proc","sys":"/sys"},"interval":1000000000,"select":["-fake"]}}` + "\n" + `{"op":"status"}` + "\n"))
	f.Add([]byte(`{"op":"begin"}` + "\n" + `{"op":"begin"}` + "\n" + `{"op":"end"}` + "\n" + `{"op":"end"}`))
	f.Add([]byte(`{"op":"config"}`))
	f.Add([]byte(`{"op":"config","config":{"interval":1000000,"select":["["]}}` + "\n" + `{"op":"subject","subject":{}}` + "\n" + `{"op":"begin"}` + "\n" + `{"op":"end"}`))
	f.Add([]byte(`{"op":"config","config":{"interval":1000000}}` + "\n" + `{"op":"subject","subject":{"pid":1}}` + "\n" + `{"op":"begin"}`))
	f.Add([]byte("\x00{}"))
	f.Fuzz(func(_ *testing.T, lines []byte) {
		if bytes.Contains(lines, []byte("spool")) || bytes.Contains(lines, []byte("\\u")) {
			return // the sampler would write to the folder that the input names
		}
		_ = Serve(bytes.NewReader(lines), io.Discard, fakes())
	})
}
