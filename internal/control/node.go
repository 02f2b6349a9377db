package control

import "time"

// NodeList is the answer of GET /v1/nodes.
type NodeList struct {
	Nodes List[Node] `json:"nodes"`
}

// Node is one machine of the cluster as the answering node knows it.
type Node struct {
	Name string `json:"name"`
	// Self marks the node that answers.
	Self bool `json:"self"`
	// Known says that the fields below are known; a node that only the
	// settings name has zeros there.
	Known      bool      `json:"known"`
	Version    string    `json:"version"`
	StartedAt  time.Time `json:"started_at"`
	Generation uint64    `json:"generation"`
	FlowsNow   uint64    `json:"flows_now"`
}
