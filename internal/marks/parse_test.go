package marks

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
)

func TestParse(t *testing.T) {
	f := func(datagram string, at int64, want ...datamodel.Mark) {
		t.Helper()
		m, err := parse([]byte(datagram))
		if err != nil || m.at != at || !slices.Equal(m.marks, want) {
			t.Errorf("%q: %+v, %d, %v; want %+v, %d", datagram, m.marks, m.at, err, want, at)
		}
	}
	const none = -1
	f("ERGON_BEGIN=train", 0, datamodel.Mark{Kind: datamodel.BeginMark, Name: "train", Rank: none})
	f("ERGON_END=a=b\n", 0, datamodel.Mark{Kind: datamodel.EndMark, Name: "a=b", Rank: none})
	f("ERGON_EVENT=check point é", 0, datamodel.Mark{Kind: datamodel.EventMark, Name: "check point é", Rank: none})
	f("ERGON_PROGRESS=3/10", 0, datamodel.Mark{Kind: datamodel.ProgressMark, Value: 0.3, Rank: none})
	f("ERGON_PROGRESS=30%", 0, datamodel.Mark{Kind: datamodel.ProgressMark, Value: 0.3, Rank: none})
	f("ERGON_PROGRESS=0.25", 0, datamodel.Mark{Kind: datamodel.ProgressMark, Value: 0.25, Rank: none})
	f("ERGON_METRIC=loss 0.31", 0, datamodel.Mark{Kind: datamodel.MetricMark, Name: "loss", Value: 0.31, Rank: none})
	f("ERGON_METRIC=learning rate -1e-3", 0, datamodel.Mark{Kind: datamodel.MetricMark, Name: "learning rate", Value: -1e-3, Rank: none})
	f("ERGON_END=a\nERGON_BEGIN=b\nERGON_ID=7\nERGON_TIME=123\nERGON_THREAD=42\nERGON_PID=41\nERGON_RANK=0", 123,
		datamodel.Mark{Kind: datamodel.EndMark, Name: "a", ID: "7", PID: 41, Thread: 42},
		datamodel.Mark{Kind: datamodel.BeginMark, Name: "b", ID: "7", PID: 41, Thread: 42})
	f("READY=1\nSTATUS=up\nBARRIER=1", 0)
	f("", 0)
	f("\x00\xff", 0)
}

func TestParseRefuses(t *testing.T) {
	f := func(datagram, want string) {
		t.Helper()
		if m, err := parse([]byte(datagram)); err == nil || err.Error() != want || m.marks != nil {
			t.Errorf("%q: %+v, %v; want %s", datagram, m.marks, err, want)
		}
	}
	f("ERGON_BEGIN=", "ERGON_BEGIN: no name")
	f("ERGON_BEGIN=a\x1b[2J", "ERGON_BEGIN: a name with a control character")
	f("ERGON_BEGIN=\xff", "ERGON_BEGIN: a name that is not UTF-8")
	f("ERGON_EVENT="+strings.Repeat("x", 201), "ERGON_EVENT: a name of 201 bytes (at most 200)")
	f("ERGON_PROGRESS=11/10", `ERGON_PROGRESS: "11/10" is not a part of a whole (such as 3/10)`)
	f("ERGON_PROGRESS=0/0", `ERGON_PROGRESS: "0/0" is not a part of a whole (such as 3/10)`)
	f("ERGON_PROGRESS=half", `ERGON_PROGRESS: "half" is not a finite number`)
	f("ERGON_METRIC=loss", `ERGON_METRIC: "loss" is not a name and a number (such as loss 0.31)`)
	f("ERGON_METRIC=loss nan", `ERGON_METRIC: "nan" is not a finite number`)
	f("ERGON_METRIC= 1", "ERGON_METRIC: no name")
	f("ERGON_BEGIN=a\nERGON_THREAD=-1", `ERGON_THREAD: "-1" is not a whole number from 0 on`)
}

// TestEncode checks that a mark arrives as it was sent.
func TestEncode(t *testing.T) {
	for _, mark := range []datamodel.Mark{
		{Kind: datamodel.BeginMark, Name: "train", ID: "x y", PID: 3, Thread: 4, Rank: 5},
		{Kind: datamodel.EndMark, Name: "train", Rank: -1},
		{Kind: datamodel.EventMark, Name: "saved", Rank: 0},
		{Kind: datamodel.ProgressMark, Value: 1.0 / 3, Rank: -1},
		{Kind: datamodel.MetricMark, Name: "a b", Value: -1.5e-300, Rank: -1},
	} {
		m, err := parse(Encode(mark, 17))
		if err != nil || m.at != 17 || len(m.marks) != 1 || m.marks[0] != mark {
			t.Errorf("%+v: %+v, %v", mark, m, err)
		}
	}
}

func TestOnClock(t *testing.T) {
	f := func(at int64, want time.Duration) {
		t.Helper()
		if got := onClock(at, 1000, 500); got != want {
			t.Errorf("%d: %d, want %d", at, got, want)
		}
	}
	f(0, 500)
	f(1200, 200)
	f(1500, 500)
	f(1501, 500) // in the future
	f(999, 500)  // before the run
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("ERGON_BEGIN=train\nERGON_ID=1"))
	f.Add([]byte("ERGON_PROGRESS=1/3\nERGON_METRIC=a 1\nERGON_RANK=2\nERGON_TIME=-5"))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		m, err := parse(datagram)
		if err != nil {
			return
		}
		for _, mark := range m.marks {
			again, err := parse(Encode(mark, m.at))
			if err != nil || len(again.marks) != 1 || again.marks[0] != mark || again.at != m.at {
				t.Errorf("%q: %+v came back as %+v, %v", datagram, mark, again, err)
			}
		}
	})
}
