package control

// DropList is the answer of GET /v1/drops.
type DropList struct {
	Drops List[Drop] `json:"drops"`
}

// Drop is one drop reason with what it cost.
type Drop struct {
	// Reason is the counter's name, such as "no_backend".
	Reason  string `json:"reason"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	// Text says in one sentence what the reason means.
	Text string `json:"text"`
}
