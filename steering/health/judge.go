package health

import "fmt"

// judge turns results into a state: rise passed checks in a row bring it up,
// fall failed ones take it down.
type judge struct {
	state  State
	streak int // results in a row against state
}

// see takes a result in and returns what was decided, "" for nothing new.
func (j *judge) see(o Outcome, s Settings) string {
	to, need, verb := Up, s.Rise, "passed"
	if o.Err != nil {
		to, need, verb = Down, s.Fall, "failed"
	}
	if to == j.state {
		j.streak = 0
		return ""
	}
	j.streak++
	first := j.state == Unknown
	if !first && j.streak < need {
		return ""
	}
	count := "the first check"
	switch {
	case !first && need == 1:
		count = "a check"
	case !first:
		count = fmt.Sprintf("%d checks in a row", need)
	}
	j.state, j.streak = to, 0
	if o.Err != nil {
		return fmt.Sprintf("%s %s: %v", verb, count, o.Err)
	}
	return verb + " " + count
}
