// Package config holds the settings of Sluice: the nouns that every other
// package uses, and the one place where a settings file is read, checked,
// compared and written.
//
// A file goes through four steps. scan.go and compose.go turn it into a tree
// in which each value knows its line and column. The shapes (shape.go), one
// beside each noun, turn the tree into Settings and collect every fault on the
// way. check.go holds the rules between values. The result is never changed.
//
// To add a section, write its noun and its shape in a file of their own, its
// defaults in default.go and its rules in a check file, and name it in
// settingsShape; reference.yaml has to show it before the tests pass.
package config

// Settings is everything that a settings file says, with all defaults filled
// in, as this node sees it: variables are replaced by the node's own values.
// Nothing changes it once Load or Parse has returned it, so it may be shared
// between goroutines; whoever wants other settings parses another file.
type Settings struct {
	// Node is about this machine and stays on it; the rest is the cluster's.
	Node Node
	// Nodes are the values of ${variables}, by node and name; nil for none.
	Nodes     map[string]map[string]string
	Dataplane Dataplane
	Guard     Guard
	// VirtualClusters are in the order of the file, at most MaxClusters. No two
	// have the same name, or the same VRID on one interface in one family.
	VirtualClusters []VirtualCluster
	// Services are in the order of the file. No two listen on the same
	// address and port or have the same name.
	Services []Service
}

var settingsShape = record[Settings]{
	noun:     "a mapping of settings",
	doc:      "Settings of Sluice, an SSH front door.",
	defaults: Settings{Node: defaults.Node, Dataplane: defaults.Dataplane, Guard: defaults.Guard},
	fields: []field[Settings]{
		key("node", "This machine: never copied to another one.",
			func(s *Settings) *Node { return &s.Node }, nodeShape).ofNode().restarts(),
		key("nodes", "Values of ${variables} for each node, by its name.",
			func(s *Settings) *map[string]map[string]string { return &s.Nodes }, nodesShape).ofNode(),
		key("dataplane", "The XDP programs and their tables.",
			func(s *Settings) *Dataplane { return &s.Dataplane }, dataplaneShape),
		key("guard", "Who may not come in.",
			func(s *Settings) *Guard { return &s.Guard }, guardShape),
		key("virtual_clusters", "Virtual addresses that one of several nodes holds at a time.",
			func(s *Settings) *[]VirtualCluster { return &s.VirtualClusters },
			list[VirtualCluster]{
				of: virtualClusterShape, noun: "virtual clusters", fresh: defaults.VirtualCluster, most: MaxClusters,
				id: func(v VirtualCluster) string { return v.Name },
			}),
		key("services", "Virtual addresses and ports that clients dial, and the backends behind them.",
			func(s *Settings) *[]Service { return &s.Services },
			list[Service]{
				of: serviceShape, noun: "services", fresh: defaults.Service, most: MaxServices,
				id: func(s Service) string { return s.Name },
			}),
	},
}

// YAML returns the settings in canonical form: every value that is in force,
// in fixed order, with variables replaced by what they stand for on this node.
// Parse reads it back to equal settings. It is for people and for comparing;
// what other nodes are to read is the file, where the variables still are.
func (s *Settings) YAML() []byte { return write(settingsShape.print(*s)) }

// MarshalJSON returns what YAML does, as one JSON object with the same keys.
func (s *Settings) MarshalJSON() ([]byte, error) { return settingsShape.print(*s).MarshalJSON() }
