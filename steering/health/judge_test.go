package health

import (
	"errors"
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	// Results and states are one letter per check: + passed, - failed; U up, D
	// down, ? unknown.
	tests := []struct {
		name       string
		start      State
		rise, fall int
		results    string
		states     string
	}{
		{"the first result decides: up", Unknown, 2, 3, "+", "U"},
		{"the first result decides: down", Unknown, 2, 3, "-", "D"},
		{"fall", Up, 2, 3, "---", "UUD"},
		{"rise", Down, 2, 3, "++", "DU"},
		{"one pass forgives", Up, 2, 3, "--+--+---", "UUUUUUUUD"},
		{"one failure starts rise over", Down, 3, 1, "++-++-+++", "DDDDDDDDU"},
		{"flapping stays where it is", Up, 2, 2, "-+-+-+-+", "UUUUUUUU"},
		{"flapping while down, too", Down, 2, 2, "+-+-+-+-", "DDDDDDDD"},
		{"rise and fall of one follow at once", Up, 1, 1, "-+-++--", "DUDUUDD"},
		{"there and back", Unknown, 2, 3, "+---++---", "UUUDDUUUD"},
		{"known before: no haste", Down, 2, 3, "+", "D"},
	}
	letters := map[State]string{Unknown: "?", Up: "U", Down: "D"}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := judge{state: test.start}
			var got strings.Builder
			for _, c := range test.results {
				out := Outcome{}
				if c == '-' {
					out.Err = errors.New("refused")
				}
				before := j.state
				reason := j.see(out, Settings{Rise: test.rise, Fall: test.fall})
				if (reason != "") != (before != j.state) {
					t.Errorf("reason %q for %v → %v", reason, before, j.state)
				}
				got.WriteString(letters[j.state])
			}
			if got.String() != test.states {
				t.Errorf("%s from %v: states %s, want %s", test.results, test.start, got.String(), test.states)
			}
		})
	}
}

func TestJudgeReasons(t *testing.T) {
	bad := Outcome{Err: errors.New("connection refused")}
	tests := []struct {
		start      State
		rise, fall int
		out        Outcome
		checks     int
		want       string
	}{
		{Unknown, 2, 3, Outcome{}, 1, "passed the first check"},
		{Unknown, 2, 3, bad, 1, "failed the first check: connection refused"},
		{Down, 2, 3, Outcome{}, 2, "passed 2 checks in a row"},
		{Up, 2, 3, bad, 3, "failed 3 checks in a row: connection refused"},
		{Up, 2, 1, bad, 1, "failed a check: connection refused"},
	}
	for _, test := range tests {
		j := judge{state: test.start}
		got := ""
		for range test.checks {
			got = j.see(test.out, Settings{Rise: test.rise, Fall: test.fall})
		}
		if got != test.want {
			t.Errorf("reason = %q, want %q", got, test.want)
		}
	}
}

func TestStateNames(t *testing.T) {
	for s, want := range map[State]string{Unknown: "unknown", Up: "up", Down: "down", 9: "state(9)"} {
		if got := s.String(); got != want {
			t.Errorf("State(%d) = %q, want %q", s, got, want)
		}
	}
}
