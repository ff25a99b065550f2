// Package nearest finds the word that a mistyped word may stand for.
package nearest

import "strings"

// Word returns the word of known that is closest to word, or "" if none is close. It counts letters that are wrong, missing,
// added, or swapped with the next letter. Case does not matter. One slip is allowed for every three letters, and at least
// one. If several words are equally close, it returns the first.
func Word(word string, known []string) string {
	best, least := "", len([]rune(word))/3
	least = max(1, least) + 1
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least && d < len([]rune(k)) {
			best, least = k, d
		}
	}
	return best
}

// distance returns the optimal string alignment distance of two words.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	var before []int // the row of the letter before the previous letter
	last := make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := range s {
		row := make([]int, len(t)+1)
		row[0] = i + 1
		for j := range t {
			change := last[j]
			if s[i] != t[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(t)]
}
