package marks_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/internal/lineage"
	"github.com/ergon-energy/ergon/internal/marks"
)

// receiving is a receiver at work.
type receiving struct {
	t      *testing.T
	socket *marks.Socket
	marks.Receiver
	began time.Time
	got   []datamodel.Mark
	done  chan error
}

// receive starts to receive. end ends it.
func receive(t *testing.T, has func(int) (bool, bool)) *receiving {
	t.Helper()
	socket, err := marks.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	r := &receiving{t: t, socket: socket, began: time.Now(), done: make(chan error, 1)}
	r.Has = has
	r.Take = func(list []datamodel.Mark) { r.got = append(r.got, list...) }
	go func() { r.done <- r.Receive(socket, r.began) }()
	return r
}

func (r *receiving) end() []datamodel.Mark {
	r.t.Helper()
	r.socket.Stop()
	if err := <-r.done; err != nil {
		r.t.Fatal(err)
	}
	return r.got
}

func (r *receiving) send(text string) {
	r.t.Helper()
	for {
		err := marks.Send(r.socket.Path(), []byte(text))
		if errors.Is(err, marks.ErrFull) {
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		return
	}
}

func TestReceive(t *testing.T) {
	r := receive(t, nil)
	before := marks.Monotonic()
	r.send("ERGON_BEGIN=train\nERGON_ID=1")
	r.send("ERGON_END=train\nERGON_ID=1\nERGON_PID=7")
	r.send(fmt.Sprintf("ERGON_EVENT=earlier\nERGON_TIME=%d", before))
	r.send("ERGON_BEGIN=")
	r.send("READY=1")
	r.send(strings.Repeat("x", 10_000))
	got := r.end()
	if len(got) != 3 || r.Bad != 2 || r.Foreign != 0 || r.Fault == nil {
		t.Fatalf("%+v, %d bad (%v), %d foreign", got, r.Bad, r.Fault, r.Foreign)
	}
	if got[0].Name != "train" || got[0].PID != os.Getpid() || got[1].PID != 7 || got[0].At <= 0 || got[1].At < got[0].At || got[2].At > got[0].At {
		t.Errorf("%+v", got)
	}
}

// TestPrivate checks that nobody else can reach the socket, that it goes, and that what arrived before Stop is taken.
func TestPrivate(t *testing.T) {
	socket, err := marks.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(socket.Path())
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	for range 5 {
		if err := marks.Send(socket.Path(), []byte("ERGON_EVENT=x")); err != nil {
			t.Fatal(err)
		}
	}
	socket.Stop()
	n := 0
	r := marks.Receiver{Take: func(list []datamodel.Mark) { n += len(list) }}
	if err := r.Receive(socket, time.Now()); err != nil || n != 5 {
		t.Errorf("%d of 5 marks arrived: %v", n, err)
	}
	if err := socket.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// TestFull checks that nobody waits for a receiver that takes nothing.
func TestFull(t *testing.T) {
	socket, err := marks.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	sent := 0
	for range 5000 {
		switch err := marks.Send(socket.Path(), []byte("ERGON_EVENT=x")); {
		case err == nil:
			sent++
		case !errors.Is(err, marks.ErrFull):
			t.Fatal(err)
		}
	}
	if sent == 0 || sent == 5000 {
		t.Errorf("%d of 5000 fit into the queue", sent)
	}
}

// TestTwo checks that two holders of a socket receive each datagram once.
func TestTwo(t *testing.T) {
	r := receive(t, nil)
	fd, err := r.socket.FD()
	if err != nil {
		t.Fatal(err)
	}
	again, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	other := marks.Over(again)
	var mine []datamodel.Mark
	second := marks.Receiver{Take: func(list []datamodel.Mark) { mine = append(mine, list...) }}
	done := make(chan error, 1)
	go func() { done <- second.Receive(other, r.began) }()
	const n = 2000
	for i := range n {
		r.send(fmt.Sprintf("ERGON_EVENT=%d", i))
	}
	first := r.end()
	other.Stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, m := range slices.Concat(first, mine) {
		seen[m.Name]++
	}
	if len(first)+len(mine) != n || len(seen) != n {
		t.Errorf("%d and %d marks of %d, %d of them different", len(first), len(mine), n, len(seen))
	}
}

// TestMain lets the test's program be the sender of another process: it sends its argument and ends with its input.
func TestMain(m *testing.M) {
	if path := os.Getenv("SEND_TO"); path != "" {
		if err := marks.Send(path, []byte("ERGON_EVENT=sent")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		_, _ = fmt.Fprintln(os.Stdout, "sent")
		_, _ = os.Stdin.Read(make([]byte, 1))
		return
	}
	os.Exit(m.Run())
}

// TestForeign checks that a living process outside the command's tree is refused, and one inside or one that has ended is
// believed.
func TestForeign(t *testing.T) {
	f := func(of func(child int) *lineage.Lineage, ended bool, taken int, foreign int64) {
		t.Helper()
		var tree *lineage.Lineage
		known := make(chan struct{})
		r := receive(t, func(pid int) (bool, bool) { <-known; return tree.Has(pid) })
		c := exec.CommandContext(t.Context(), os.Args[0])
		c.Env = append(os.Environ(), "SEND_TO="+r.socket.Path())
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
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		tree = of(c.Process.Pid)
		end := func() {
			_ = in.Close()
			_ = c.Wait()
		}
		if ended {
			end()
		}
		close(known)
		if got := r.end(); len(got) != taken || r.Foreign != foreign {
			t.Errorf("%+v, %d foreign; want %d marks, %d foreign", got, r.Foreign, taken, foreign)
		}
		if !ended {
			end()
		}
	}
	inside := func(child int) *lineage.Lineage { return lineage.New(child, 0) }
	outside := func(int) *lineage.Lineage { return lineage.New(1<<30, 0) }
	f(inside, false, 1, 0)
	f(outside, false, 0, 1)
	f(outside, true, 1, 0)
}

// TestNotify checks that systemd-notify does not hang: it waits until the descriptor that it sends is closed.
func TestNotify(t *testing.T) {
	program, err := exec.LookPath("systemd-notify")
	if err != nil {
		t.Skip("no systemd-notify (apt-get install systemd)")
	}
	r := receive(t, nil)
	c := exec.CommandContext(t.Context(), program, "ERGON_BEGIN=train")
	c.Env = append(os.Environ(), "NOTIFY_SOCKET="+r.socket.Path())
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := r.end()
	if len(got) != 1 || got[0].Name != "train" || got[0].Kind != datamodel.BeginMark {
		t.Errorf("%+v", got)
	}
}

// TestReceiveLate checks that a mark has the time at which it was sent, although the receiver comes late.
func TestReceiveLate(t *testing.T) {
	socket, err := marks.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	began := time.Now()
	if err := marks.Send(socket.Path(), []byte("ERGON_EVENT=e")); err != nil {
		t.Fatal(err)
	}
	sent := time.Since(began)
	for time.Since(began) < sent+50*time.Millisecond { // it is this late
		time.Sleep(time.Millisecond)
	}
	var got []datamodel.Mark
	r := marks.Receiver{Take: func(list []datamodel.Mark) { got = append(got, list...) }}
	done := make(chan error, 1)
	go func() { done <- r.Receive(socket, began) }()
	socket.Stop()
	if err := <-done; err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].At > sent+5*time.Millisecond { // the kernel's clock may be as coarse
		t.Errorf("sent within %v, but it has %v", sent, got[0].At)
	}
}

// TestForward checks that marks arrive with their process, their thread and their time.
func TestForward(t *testing.T) {
	r := receive(t, nil)
	began := r.began.Add(-time.Hour) // the clock of the marks is another one
	f, err := marks.Forward(r.socket.Path(), began)
	if err != nil {
		t.Fatal(err)
	}
	want := []datamodel.Mark{
		{Kind: datamodel.BeginMark, Name: "train", PID: 41, Thread: 42, ID: "i", Rank: 3, At: time.Hour},
		{Kind: datamodel.MetricMark, Name: "loss", Value: 0.3, PID: 41, Rank: -1, At: time.Hour},
	}
	f.Put(want)
	if lost := f.Close(); lost != 0 {
		t.Errorf("%d marks were lost", lost)
	}
	got := r.end()
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range got {
		if got[i].At > time.Millisecond { // the difference of two clocks, which are read one after the other
			t.Errorf("mark %d came at %v", i, got[i].At)
		}
		got[i].At = want[i].At
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestForwardNeverWaits hands marks on to a receiver that takes none, and to one that has ended.
func TestForwardNeverWaits(t *testing.T) {
	socket, err := marks.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	const many = 10_000
	list := make([]datamodel.Mark, many)
	for i := range list {
		list[i] = datamodel.Mark{Kind: datamodel.EventMark, Name: "e", Rank: -1}
	}
	stands, err := marks.Forward(socket.Path(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	stands.Put(list) // it would stand here for ever
	if lost := stands.Close(); lost < many-100 || lost >= many {
		t.Errorf("%d of %d marks were lost to a receiver that takes none", lost, many)
	}
	ended, err := marks.Forward(socket.Path(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	path := socket.Path()
	if err := socket.Close(); err != nil {
		t.Fatal(err)
	}
	ended.Put(list)
	if lost := ended.Close(); lost != many {
		t.Errorf("%d of %d marks were lost to a receiver that has ended", lost, many)
	}
	if f, err := marks.Forward(path, time.Now()); err == nil {
		t.Errorf("no error about a socket that is gone: %+v", f)
	}
	var none *marks.Forwarder
	none.Put(list)
	if none.Close() != 0 {
		t.Error("nil has lost marks")
	}
}
