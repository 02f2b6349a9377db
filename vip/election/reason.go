package election

import "fmt"

// Cause is why a state was entered, as one of a small set of words.
type Cause string

// The causes.
const (
	CauseStarted   Cause = "started"        // the process, or this part of it, began
	CauseAdopted   Cause = "adopted"        // went on from where a predecessor stopped
	CauseAlone     Cause = "alone"          // there is no other gateway
	CauseFree      Cause = "role_free"      // the active gateway gave its role up, or there was none
	CauseSilent    Cause = "active_silent"  // no active gateway was heard
	CauseWorse     Cause = "peer_worse"     // the active gateway served worse than this one
	CausePreempt   Cause = "preempt"        // this gateway has the higher priority
	CauseOrder     Cause = "order"          // an operator wanted it
	CauseHanded    Cause = "handed_over"    // another gateway claimed the role with reason
	CauseHigher    Cause = "higher_advert"  // an advert came that stands before ours
	CauseConflict  Cause = "two_active"     // two were active, and this one gave way
	CauseIsolated  Cause = "isolated"       // nobody was within reach
	CauseStopped   Cause = "process_halted" // this process did not run for too long
	CauseFault     Cause = "fault"          // this gateway must not serve
	CauseRecovered Cause = "recovered"      // a fault is over
	CauseEnd       Cause = "end"            // the process, or this part of it, ends
)

// Reason is why a state was entered.
type Reason struct {
	Cause Cause
	// Text is for people.
	Text string
}

func because(c Cause, format string, args ...any) Reason {
	return Reason{c, fmt.Sprintf(format, args...)}
}

// none says that there is no reason.
func (r Reason) none() bool { return r.Cause == "" }
