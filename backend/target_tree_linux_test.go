package backend

import (
	"encoding/binary"
	"os"
	"slices"
	"testing"
	"time"
)

// TestSettle checks the accounting of vanished processes. Each row is one look: the counts with which the processes were
// last seen, the rise of their parent's inherited counts, and the resulting sum.
func TestSettle(t *testing.T) {
	type look struct{ vanished, vanishedFaults, risen, risenFaults, sum uint64 }
	for _, c := range []struct {
		name  string
		looks []look
	}{
		{"waited for at once", []look{{7, 3, 9, 4, 9}, {0, 0, 0, 0, 9}, {0, 0, 0, 0, 9}}},
		{"waited for after the parent was read", []look{{7, 3, 0, 0, 7}, {0, 0, 9, 4, 9}, {0, 0, 0, 0, 9}}},
		{"waited for by nobody", []look{{7, 3, 0, 0, 7}, {0, 0, 0, 0, 7}, {0, 0, 5, 4, 12}}},
		{"waited for by nobody, while the parent works on", []look{{7, 3, 50, 0, 57}, {0, 0, 50, 0, 107}, {0, 0, 0, 0, 107}}},
		{"one of two", []look{{14, 6, 8, 3, 14}, {0, 0, 0, 0, 14}, {0, 0, 9, 3, 23}}},
		{"an unseen process waited for", []look{{0, 0, 9, 4, 9}, {0, 0, 9, 4, 18}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var retired counts
			var p process
			for i, l := range c.looks {
				p.fresh[countRead] += l.vanished
				p.fresh[countMinor] += l.vanishedFaults
				p.count[countRead] += l.risen
				p.count[countMinor] += l.risenFaults
				p.risen = counts{countRead: l.risen, countMinor: l.risenFaults}
				// As in look, the sum has three parts: counts retired before, debts of this look, and the process itself.
				sum := retired
				p.settle(&retired, &sum)
				sum.add(&p.count)
				if sum[countRead] != l.sum {
					t.Errorf("look %d: %d, want %d", i+1, sum[countRead], l.sum)
				}
			}
		})
	}
}

func TestSettleForgivesTicks(t *testing.T) {
	var retired, sum counts
	p := process{risen: counts{countUser: 3, countCPU: 30e6, countMinor: 10}, fresh: counts{countUser: 4, countCPU: 44e6, countMinor: 10}}
	p.settle(&retired, &sum)
	if sum != (counts{}) || retired != (counts{}) {
		t.Errorf("%v, %v: the rounding to ticks is still owed", sum, retired)
	}
}

func TestBudget(t *testing.T) {
	b := budget{share: 0.002}
	if !b.due(0) {
		t.Error("not due at the start")
	}
	b.charge(time.Second, time.Millisecond)
	if b.due(time.Second+499*time.Millisecond) || !b.due(time.Second+500*time.Millisecond) {
		t.Errorf("next due at %v, want 0.5 s after an action of 1 ms at a share of 0.2 %%", b.next)
	}
}

func TestAppendNumbers(t *testing.T) {
	for text, want := range map[string][]int{
		"": nil, "1 22 333 ": {1, 22, 333}, "1\n22\n": {1, 22}, "0\n5\n": {0, 5}, "1 x 2": {1}, "99999999999 1": nil, "7": {7},
	} {
		if got := appendNumbers(nil, []byte(text)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestThreadsOf(t *testing.T) {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	tree := newTree("", 0)
	if got := tree.threadsOf(os.Getpid()); !slices.Contains(got, os.Getpid()) || len(got) < len(entries)-2 {
		t.Errorf("%v, want about %d threads", got, len(entries))
	}
}

// FuzzEntries checks that folder entries of any form give only numbers that a kernel could mean, and that parsing never
// leaves the buffer.
func FuzzEntries(f *testing.F) {
	entry := func(name string) []byte {
		b := make([]byte, 19)
		b = append(append(b, name...), 0)
		binary.NativeEndian.PutUint16(b[16:], uint16(len(b)))
		return b
	}
	f.Add(slices.Concat(entry("."), entry(".."), entry("12"), entry("1x"), entry("4242")))
	f.Add(entry("")[:10])
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, n := range appendEntries(nil, b) {
			if n < 0 || int64(n) > 9999999999 {
				t.Errorf("%q: %d", b, n)
			}
		}
		for _, n := range appendNumbers(nil, b) {
			if n < 0 || n > 1<<31-1 {
				t.Errorf("%q: %d", b, n)
			}
		}
	})
	if got := appendEntries(nil, slices.Concat(entry("."), entry("12"), entry("1x"), entry("4242"))); !slices.Equal(got, []int{12, 4242}) {
		f.Errorf("%v", got)
	}
}
