package config

// Change is one setting in which two Settings differ.
type Change struct {
	// Path names the setting, with names instead of indexes for services and
	// backends: services[login].backends[blue].weight.
	Path string
	// Old and New are the values as a settings file would hold them on one
	// line; empty for absent.
	Old, New string
	// NeedsRestart says that the running node cannot take the change over and
	// keeps the old value until its next start.
	NeedsRestart bool
}

// Diff returns what differs between two settings, in the order of the schema.
// Services and backends are matched by name, so that a mere move is no change.
func Diff(old, new *Settings) []Change {
	var changes []Change
	settingsShape.diff(*old, *new, "", func(c Change) { changes = append(changes, c) })
	return changes
}
