package config

// ServiceNode is one of the nodes that terminate a service's connections.
type ServiceNode struct {
	// Name is a key of Settings.Nodes.
	Name string
	// Weight is its share of new flows, as a backend's.
	Weight int
}

var serviceNodeShape = record[ServiceNode]{
	noun:     "a mapping about one of the nodes, or its name",
	doc:      "A node that terminates connections.",
	defaults: defaults.ServiceNode,
	alone:    "name",
	fields: []field[ServiceNode]{
		key("name", "Name of the node, as in nodes.",
			func(n *ServiceNode) *string { return &n.Name }, nodeName).must(),
		key("weight", "Share of new flows relative to the other nodes of the service; 0 gets none.",
			func(n *ServiceNode) *int { return &n.Weight }, integer(0, MaxWeight)),
	},
}
