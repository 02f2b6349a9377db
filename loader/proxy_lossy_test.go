package loader_test

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"sluice/internal/nettest"
	"sluice/loader"
)

// lossCases have packets lost, each at the end of its way.
var lossCases = map[string]proxyCase{
	"header frame lost once":                       {prepare: lost(first(1)), talk: says(0, 300_000)},
	"header frame lost twice":                      {prepare: lost(first(2)), talk: says(0, 300_000)},
	"header frame lost once, client speaks first":  {prepare: lost(first(1)), talk: says(2*mss, 300_000)},
	"header frame lost twice, client speaks first": {prepare: lost(first(2)), talk: says(2*mss, 300_000)},
	"header frame lost once, server waits for it":  {server: proxyServer{silent: true}, prepare: lost(first(1)), talk: says(0, 300_000)},
	"SYN-ACK lost":        {prepare: losesAtClient(synackAfter(1, "drop", "accept")), talk: says(0, 300_000)},
	"SACK under 2 % loss": {prepare: lossyBothWays, talk: talkSACK},
	"keepalive probe before the header has arrived": {server: proxyServer{silent: true}, prepare: onlyClientRepeats, talk: talkKeepalive},
	"first segment of full MSS carries the header":  {prepare: onlyClientRepeats, talk: talkFull},
	"frame with header over the MTU":                {prepare: onlyClientRepeats, talk: talkMTU},
}

func lost(rules ...string) func(*testing.T, *proxyWorld) {
	return func(t *testing.T, w *proxyWorld) { loses(t, w.backend().Namespace, rules...) }
}

func losesAtClient(rules ...string) func(*testing.T, *proxyWorld) {
	return func(t *testing.T, w *proxyWorld) { loses(t, w.Client, rules...) }
}

// synackAfter does one thing to the first SYN-ACKs, and another to the others.
func synackAfter(n int, these, others string) string {
	const are = "tcp flags syn,ack / syn,ack "
	return fmt.Sprintf("%s limit rate over 1/hour burst %d packets %s; %s %s", are, n, others, are, these)
}

const lossy = "numgen random mod 100 < 2 drop"

func lossyBothWays(t *testing.T, w *proxyWorld) {
	loses(t, w.backend().Namespace, lossy)
	loses(t, w.Client, lossy)
}

// onlyClientRepeats loses the first frame with the header, and every SYN-ACK but
// the first: nothing of the backend's makes the client send again.
func onlyClientRepeats(t *testing.T, w *proxyWorld) {
	size := bareHeader(w.listen.Addr().Is4())
	loses(t, w.backend().Namespace, fmt.Sprintf("tcp dport 22 meta length %d counter", size), first(1))
	loses(t, w.Client, synackAfter(1, "accept", "drop"))
}

// bareHeader is the length of a packet that holds a header alone: no client's
// has it by chance here, whatever its options, since these say little.
func bareHeader(v4 bool) int {
	const timestamps = 12
	if v4 {
		return 20 + 20 + timestamps + headerV4
	}
	return 40 + 20 + timestamps + headerV6
}

// Lengths of headers.
const (
	headerV4 = 52
	headerV6 = 76
)

// bareHeaders is how many came.
func (w *proxyWorld) bareHeaders(t *testing.T) int {
	t.Helper()
	m := nftFigures.FindStringSubmatch(nft(t, w.backend().Namespace, "list table netdev loss"))
	if m == nil {
		t.Fatal("nft shows no counter")
	}
	n, err := strconv.Atoi(m[1])
	must(t, err)
	return n
}

// talkSACK moves bytes both ways until both kernels have recovered by SACK.
func talkSACK(t *testing.T, w *proxyWorld) {
	c := w.connect(t)
	w.converse(t, c, 4*mss, 2<<20)
	for _, n := range []*nettest.Namespace{w.Client, w.backend().Namespace} {
		if mib(t, n, "TcpExt", "TCPSackRecovery") == 0 {
			t.Errorf("%s recovered nothing by SACK", n.Name())
		}
	}
	must(t, c.Close())
}

// talkKeepalive: the client is silent, the server waits for the header. What
// brings it is the client's keepalive probe.
func talkKeepalive(t *testing.T, w *proxyWorld) {
	c := w.connectBy(t, net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second}})
	w.converse(t, c, 0, 1000)
	if n := mib(t, w.Client, "TcpExt", "TCPKeepAlive"); n == 0 {
		t.Error("the client has sent no keepalive probe")
	}
	must(t, c.Close())
}

// talkFull: the first segment is as full as the SYN-ACK's MSS allows, and the
// header fits in front of it.
func talkFull(t *testing.T, w *proxyWorld) {
	c := w.connect(t)
	w.converse(t, c, 4*mss, 100_000)
	// The one that was lost.
	if n := w.bareHeaders(t); n != 1 {
		t.Errorf("%d headers came alone, want 1", n)
	}
	must(t, c.Close())
}

// talkMTU narrows the way to the backend between the SYN-ACK, which left room
// for the header, and the first segment, which is full: with the header it no
// longer fits, so that goes alone and the client sends the rest again.
func talkMTU(t *testing.T, w *proxyWorld) {
	c := w.connect(t)
	full := 1500 - headerV4
	if w.listen.Addr().Is6() {
		full = 1500 - headerV6
	}
	hop := w.nextHop(t, w.backend())
	hop.MTU = uint16(full + 20)
	must(t, w.GW.SetMTU(nettest.InsideLink, full+20))
	must(t, w.backend().SetMTU(nettest.HostLink, full+20))
	must(t, w.dp.PutNextHop(loader.NextHopID(1), hop))
	w.converse(t, c, 4*mss, 100_000)
	// The first was lost.
	if n := w.bareHeaders(t); n != 2 {
		t.Errorf("%d headers came alone, want 2", n)
	}
	must(t, c.Close())
}
