package loader_test

import (
	"testing"

	"sluice/internal/nettest/frame"
	"sluice/loader"
)

// forgedCases: somebody who knows both ends of a connection, but none of its
// numbers, sends in the client's name while bytes move.
var forgedCases = map[string]proxyCase{
	// The last SYN is that of a handshake nobody goes on with.
	"spoofed SYN on a live tuple":      {talk: talkForged(frame.SYN), handshakes: 1},
	"spoofed RST on a live tuple":      {talk: talkForged(frame.RST)},
	"spoofed RST ACK on a live tuple":  {talk: talkForged(frame.RST | frame.ACK)},
	"spoofed SYN, RST on a live tuple": {talk: talkForged(frame.SYN, frame.RST), handshakes: 1},
}

func talkForged(flags ...frame.Flags) func(*testing.T, *proxyWorld) {
	return func(t *testing.T, w *proxyWorld) {
		c := w.connect(t)
		w.converse(t, c, 100, 10_000)
		before, _ := find(t, w.dp, client(c))
		moving := make(chan error, 1)
		go func() { moving <- exchange(c, 3<<20) }()
		somebody := w.atClient(t)
		// Near enough to each other that some are in every window, the gateway's,
		// too; one that is exactly what the backend expects is no forgery.
		for n := range uint32(1 << 12) {
			for _, f := range flags {
				somebody.send(t, forgery{from: client(c), to: w.listen, flags: f, seq: n<<20 + 12345, ack: n<<20 + 99})
			}
		}
		must(t, <-moving)
		eventually(t, "the flow lives as it did", func() bool {
			exchangeRandom(t, c, 10_000)
			now, ok := find(t, w.dp, client(c))
			return ok && now.ID == before.ID && now.Source == before.Source && now.State == loader.FlowEstablished
		})
		must(t, c.Close())
	}
}
