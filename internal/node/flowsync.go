package node

import "sluice/internal/control"

// flowSynced says whether the flows of a cluster's active gateway are here.
func (n *node) flowSynced(string) bool { return true }

func (n *node) addSync([]control.VirtualCluster) {}
