package config

// The settings are described once, by shapes: which keys a mapping has, what
// each value may be, where it goes in the Go types. From this one description
// come reading with all its faults, writing, comparison and the JSON schema,
// so a new setting is one entry and the four cannot drift apart.

// A shape describes one kind of value. T is the Go type that holds it.
type shape[T any] interface {
	// read fills into from n, reports every fault to r and goes on. A value
	// that could not be read is left zero; rules pass over zero values.
	read(r *reader, n *node, p path, into *T)
	// print returns v as a settings file holds it.
	print(v T) *node
	// diff reports where two values differ.
	diff(old, new T, p path, report func(Change))
	// schema describes the value to an editor. Where variables may stand for
	// it, the schema has to let them through.
	schema(variables bool) object
}

// object is a JSON object.
type object = map[string]any
