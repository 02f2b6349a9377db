package loader

import "testing"

// TestPackets hands single packets to the program. The themes share one rig,
// since loading the programs takes longer than all of them; each case brings a
// client of its own, and leaves the rig as it found it.
func TestPackets(t *testing.T) {
	r := newRig(t)
	for _, theme := range []struct {
		name string
		run  func(*testing.T, *rig)
	}{
		{"foreign", testForeign},
		{"handshake", testHandshake},
		{"short way", testShort},
		{"end", testEnd},
		{"choice", testChoice},
		{"odd", testOdd},
		{"hop", testHop},
		{"unknown", testUnknown},
		{"refuse", testRefuse},
		{"kill", testKill},
		{"full", testFull},
		{"source", testSource},
		{"local", testLocal},
		{"young", testYoung},
		{"nodes", testNodes},
		{"owners", testOwners},
		{"import", testImport},
		{"sweep", testSweep},
		{"mirror", testMirror},
		{"tunnel", testTunnel},
		{"too big", testTooBig},
		{"check", testCheck},
		{"events", testEvents},
		{"race", testRace},
		{"syn", testSYN},
		{"restart", testRestart},
		{"memory", testMemory},
		{"guard", testGuard},
		{"icmp", testICMP},
		{"proxy", testProxy},
		{"trace", testTrace},
		{"mutated", testMutated},
	} {
		t.Run(theme.name, func(t *testing.T) {
			defer r.clear(t)
			theme.run(t, r)
		})
	}
}
