package heartbeat

// Freshness is what receiving an authentic message has shown.
type Freshness uint8

// The kinds of freshness. Only [Fresh] and [Restarted] messages say what is so
// now; from any other nothing may be concluded but that somebody has our key.
const (
	// Fresh: of the run that we know, later than the last, or the first.
	Fresh Freshness = iota
	// Restarted: fresh, and of a run that has replaced the one that we knew.
	Restarted
	// Unproven: of a run that has not yet shown that it hears us. The echo of our
	// next message asks for it.
	Unproven
	// Late: overtaken by a later message.
	Late
	// Replayed: heard before.
	Replayed
	// OldBoot: of a run that another has replaced.
	OldBoot
	// Reflected: our own message came back.
	Reflected
	// Kinds is how many there are: the length of an array of counters.
	Kinds
)

// String returns the name in counters and logs.
func (f Freshness) String() string {
	if f < Kinds {
		return [Kinds]string{"fresh", "restarted", "unproven", "late", "replayed", "old_boot", "reflected"}[f]
	}
	return "unknown"
}

// IsState says whether the message says what is so now.
func (f Freshness) IsState() bool { return f == Fresh || f == Restarted }
