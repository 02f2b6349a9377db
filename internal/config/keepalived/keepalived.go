// Package keepalived reads configurations of keepalived and says in settings of
// Sluice what of them Sluice has: virtual routers and their sync groups become
// virtual clusters, virtual servers become services. What it does not have is
// listed, each with its place, and never left out in silence.
//
// A file goes through three steps. words.go cuts its text into words, source.go
// replaces variables and includes files, statement.go makes statements of them.
// router.go and server.go read what keepalived means by these; cluster.go,
// service.go and write.go say it in settings.
package keepalived

import (
	"cmp"
	"io/fs"
	"slices"

	"sluice/internal/config"
)

// Node is a gateway with its configuration.
type Node struct {
	// Name is the node's in the settings. Lines behind @NAME are for this node
	// alone, those behind @^NAME for all others. Where it is empty, router_id
	// names the node, and such lines are left out.
	Name string
	// FS holds the configuration, File, and all that it includes; Dir is where it
	// is in the machine's file system, for paths from the root.
	FS        fs.FS
	File, Dir string
}

// Imported is what became of configurations.
type Imported struct {
	// Settings is the text of a settings file. It holds what Left lists, as
	// comments.
	Settings []byte
	// Left is what has no counterpart or not the same one, in the order of the
	// files.
	Left []*config.Fault
	// Unknown is how many values the configurations do not tell and the settings
	// have ~ for, which Parse refuses.
	Unknown int
}

// Import says the configuration of the first node in settings; from those of the
// others it takes their priorities, addresses and names of interfaces. An error
// is *config.Faults: what keepalived would not understand either.
func Import(nodes []Node) (*Imported, error) {
	var faults config.Faults
	read := make([]*configuration, len(nodes))
	for i, n := range nodes {
		read[i] = readNode(n)
		faults.List = append(faults.List, read[i].faults...)
		for _, before := range read[:i] {
			if before.name == read[i].name {
				faults.List = append(faults.List, &config.Fault{File: shown(n.File), Problem: quote(before.name) + " is the name of another gateway, too", Remedy: "give each one of its own"})
			}
		}
	}
	if len(faults.List) > 0 {
		return nil, &faults
	}
	w := translate(read)
	sortNotes(w.left)
	return &Imported{Settings: w.settings(), Left: w.left, Unknown: w.unknown}, nil
}

// sortNotes brings notes into the order of the files as they come first, and
// within one of its lines.
func sortNotes(notes []*config.Fault) {
	first := map[string]int{}
	for _, n := range notes {
		if _, known := first[n.File]; !known {
			first[n.File] = len(first)
		}
	}
	slices.SortStableFunc(notes, func(a, b *config.Fault) int {
		return cmp.Or(cmp.Compare(first[a.File], first[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// configuration is what one node's files say, in keepalived's words.
type configuration struct {
	name      string
	globals   globals
	instances []*instance
	groups    []*syncGroup
	servers   []*server
	targets   map[string]*serverGroup
	source
}

// readNode reads one node's files.
func readNode(n Node) *configuration {
	c := &configuration{name: n.Name, targets: map[string]*serverGroup{}}
	c.source = source{node: n, variables: map[string][]word{}}
	for _, s := range c.read() {
		c.statement(s)
	}
	if c.name == "" {
		c.name = c.globals.routerID
	}
	if c.name == "" {
		c.name = "gw-a"
	}
	return c
}

// statement takes in one statement of the top level.
func (c *configuration) statement(s *statement) {
	switch s.keyword() {
	case "global_defs":
		c.readGlobals(s)
	case "vrrp_instance":
		c.readInstance(s)
	case "vrrp_sync_group":
		c.readGroup(s)
	case "virtual_server":
		c.readServer(s)
	case "virtual_server_group":
		c.readTargets(s)
	case "vrrp_script", "vrrp_track_process", "vrrp_track_file", "track_file", "bfd_instance":
		c.leave(s, "checks of the machine have no counterpart: sluice minds its own processes, the links and pings")
	case "static_ipaddress", "static_routes", "static_rules":
		c.leave(s, "the machine's own network settings are no business of sluice")
	default:
		c.unknown(s)
	}
}
