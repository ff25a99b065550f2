package datamodel_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
)

// marked reads marks: "1 +a 2 -a/7 3 +b@5" begins a at time 1, ends the instance 7 of a at 2, and begins b in thread 5.
func marked(text string) (list []datamodel.Mark) {
	var at time.Duration
	for word := range strings.FieldsSeq(text) {
		if _, err := fmt.Sscan(word, &at); err == nil && word[0] != '+' && word[0] != '-' {
			continue
		}
		m := datamodel.Mark{Kind: datamodel.BeginMark, At: at, PID: 1, Rank: -1}
		if word[0] == '-' {
			m.Kind = datamodel.EndMark
		}
		name, thread, _ := strings.Cut(word[1:], "@")
		_, _ = fmt.Sscanf(thread, "%d.%d", &m.PID, &m.Thread)
		m.Name, m.ID, _ = strings.Cut(name, "/")
		list = append(list, m)
	}
	return list
}

// TestFindRegions pairs marks. Its results are "path from-to", with ! for a truncated one, and then the own times.
func TestFindRegions(t *testing.T) {
	f := func(marks, want string, strays int64) {
		t.Helper()
		r := datamodel.FindRegions(marked(marks), 10)
		if r == nil {
			t.Errorf("%s: nothing", marks)
			return
		}
		var got []string
		for _, region := range r.List {
			text := fmt.Sprintf("%s %d-%d", region.Path, region.Start, region.End)
			if region.Truncated {
				text += "!"
			}
			if r.Cuts[region.From] != region.Start || r.Cuts[region.To] != region.End {
				t.Errorf("%s: %+v has other cuts: %v", marks, region, r.Cuts)
			}
			got = append(got, text)
		}
		for _, own := range r.Own {
			got = append(got, fmt.Sprintf("%s=%d-%d", r.List[own.Region].Name, r.Cuts[own.From], r.Cuts[own.To]))
		}
		if text := strings.Join(got, " "); text != want || r.Strays != strays {
			t.Errorf("%s: %s, %d strays; want %s", marks, text, r.Strays, want)
		}
	}
	f("1 +a 3 -a", "a 1-3 a=1-3", 0)
	f("1 +a 2 +b 4 -b 7 -a", "a 1-7 a/b 2-4 a=1-2 b=2-4 a=4-7", 0)
	f("1 +a 3 -a +a 5 -a", "a 1-3 a 3-5 a=1-3 a=3-5", 0)
	f("1 +a", "a 1-10! a=1-10", 0)
	f("1 +a 2 +b", "a 1-10! a/b 2-10! a=1-2 b=2-10", 0)
	f("1 -a 2 +a 3 -b 4 -a", "a 2-4 a=2-4", 2)
	f("1 +a@1.1 2 +a@1.2 3 -a@1.1 4 -a@1.2", "a 1-3 a 2-4 a=1-3 a=2-4", 0)
	f("1 +a/x 2 +a/y 3 -a/x 4 -a/y", "a 1-3 a/a 2-4 a=1-2 a=2-3 a=3-4", 0) // overlapping in a thread
	f("1 +a@7.0 2 -a@8.0", "a 1-2 a=1-2", 0)                               // a shell's commands are different processes
	f("1 +a@1.1 2 +a@1.2 3 -a@1.3", "a 1-10! a 2-3 a=2-3 a=1-10", 0)
	f("11 +a 12 -a", "a 10-10", 0) // after the command
	f("2 +a -a", "a 2-2", 0)
	if r := datamodel.FindRegions(nil, 10); r != nil {
		t.Errorf("without marks: %+v", r)
	}
}

// TestOwnTimes checks on random marks that the own times of a thread never overlap, and that together they are the times in
// which any of its regions was open.
func TestOwnTimes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		var marks []datamodel.Mark
		at := time.Duration(0)
		for range random.IntN(30) {
			at += time.Duration(random.IntN(3))
			kind := datamodel.BeginMark
			if random.IntN(2) == 0 {
				kind = datamodel.EndMark
			}
			marks = append(marks, datamodel.Mark{Kind: kind, Name: string(rune('a' + random.IntN(3))), At: at, PID: 1, Thread: random.IntN(2)})
		}
		end := at + 5
		r := datamodel.FindRegions(marks, end)
		if r == nil {
			continue
		}
		if !slices.IsSorted(r.Cuts) || len(slices.Compact(slices.Clone(r.Cuts))) != len(r.Cuts) {
			t.Fatalf("cuts %v", r.Cuts)
		}
		for thread := range 2 {
			open, owned := make([]int, end), make([]int, end)
			for _, region := range r.List {
				for i := region.Start; i < region.End && region.Thread == thread; i++ {
					open[i] = 1
				}
			}
			for _, own := range r.Own {
				for i := r.Cuts[own.From]; i < r.Cuts[own.To] && r.List[own.Region].Thread == thread; i++ {
					owned[i]++
				}
			}
			if !slices.Equal(open, owned) {
				t.Fatalf("thread %d of %+v: open %v, owned %v", thread, marks, open, owned)
			}
		}
	}
}

// TestManyRegions checks that the time to pair marks grows with their number only.
func TestManyRegions(t *testing.T) {
	var marks []datamodel.Mark
	const n = 250_000
	for i := range time.Duration(n) {
		marks = append(marks, datamodel.Mark{Kind: datamodel.BeginMark, Name: "a", At: 2 * i}, datamodel.Mark{Kind: datamodel.EndMark, Name: "a", At: 2*i + 1})
	}
	if r := datamodel.FindRegions(marks, 2*n); len(r.List) != n || len(r.Own) != n || len(r.Cuts) != 2*n {
		t.Errorf("%d regions, %d own times, %d cuts", len(r.List), len(r.Own), len(r.Cuts))
	}
}
