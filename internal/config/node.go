package config

// Node is what concerns one machine alone. All of it takes effect when the
// node starts.
type Node struct {
	// Name is how the node is known to the others and in Settings.Nodes.
	// Default: the machine's host name.
	Name string
	// DataDir is the absolute path of the directory that keeps what must
	// survive a restart, such as drained backends.
	DataDir string
	// BPFFS is the absolute path, on a BPF file system, of the directory that
	// pins programs and maps.
	BPFFS   string
	Control Control
	// Metrics is the address and port that serve Prometheus, such as
	// 127.0.0.1:9422 or :9422; empty for none.
	Metrics string
	// User is the account of the node process. Where the machine has none of
	// that name, it is root with the same few capabilities.
	User string
}

// Control is how operators and their programs reach the node.
type Control struct {
	// Socket is the absolute path of the unix socket, at most 107 bytes.
	Socket string
}

var nodeShape = record[Node]{
	noun:     "a mapping about this node",
	doc:      "This machine.",
	defaults: defaults.Node,
	fields: []field[Node]{
		key("name", "Name of this node, also its name in nodes.",
			func(n *Node) *string { return &n.Name }, nodeName).otherwise("the machine's host name"),
		key("data_dir", "Directory for what must survive a restart, such as drained backends.",
			func(n *Node) *string { return &n.DataDir }, absolute(4096)),
		key("bpffs", "Directory on a BPF file system that pins programs and maps.",
			func(n *Node) *string { return &n.BPFFS }, absolute(4096)),
		key("control", "How operators reach this node.",
			func(n *Node) *Control { return &n.Control }, controlShape),
		key("metrics", "Address and port that serve Prometheus metrics.",
			func(n *Node) *string { return &n.Metrics }, listener("127.0.0.1:9422")).otherwise("none"),
		key("user", "Account of the node process; root with few capabilities where there is none.",
			func(n *Node) *string { return &n.User },
			text(`^[a-z_][a-z0-9_-]{0,31}$`, "a user name", "sluice")),
	},
}

var controlShape = record[Control]{
	noun:     "a mapping with the control socket",
	doc:      "How operators reach this node.",
	defaults: defaults.Node.Control,
	fields: []field[Control]{
		key("socket", "Unix socket of the control interface.",
			func(c *Control) *string { return &c.Socket }, absolute(maxSocketPath)),
	},
}

// maxSocketPath is what fits into sun_path beside its closing zero.
const maxSocketPath = 107
