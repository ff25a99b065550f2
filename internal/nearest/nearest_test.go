package nearest

import "testing"

func TestWord(t *testing.T) {
	known := []string{"energy", "power", "memory", "max", "min", "GB", "B", "wall_time"}
	f := func(word, want string) {
		t.Helper()
		if got := Word(word, known); got != want {
			t.Errorf("%q gives %q, want %q", word, got, want)
		}
	}
	f("energy", "energy")
	f("enrgy", "energy")
	f("enegry", "energy") // two letters swapped are one slip
	f("Energy", "energy")
	f("gb", "GB")
	f("mxa", "max")
	f("wal_tme", "wall_time")
	f("elephant", "")
	f("x", "") // a single letter is not close to another one
	f("", "")
}

func TestDistance(t *testing.T) {
	f := func(a, b string, want int) {
		t.Helper()
		if got := distance(a, b); got != want || distance(b, a) != want {
			t.Errorf("from %q to %q: %d, want %d", a, b, got, want)
		}
	}
	f("", "", 0)
	f("", "abc", 3)
	f("abc", "abc", 0)
	f("abc", "acb", 1)
	f("abc", "cab", 2)
	f("kitten", "sitting", 3)
	f("µs", "ms", 1)
}
