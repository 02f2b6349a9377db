package config

import (
	"fmt"
	"strings"
)

// suggest says what to write instead of a word that is not known: the nearest
// known one where a slip of the finger explains the word, else all of them.
func suggest(word string, known []string) string {
	best, nearest := 3, ""
	for _, k := range known {
		if d := distance(word, k, best); d < best && 2*d < len(k) {
			best, nearest = d, k
		}
	}
	switch {
	case nearest != "":
		return fmt.Sprintf("did you mean %s?", nearest)
	case len(known) == 0:
		return "remove it"
	default:
		return "known here: " + strings.Join(known, ", ")
	}
}

// distance counts the letters to add, drop, change or swap to get from a to b.
// It gives up at limit, which also bounds the work for endless words.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	// Three rows of the usual table: a swap looks two letters back.
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
