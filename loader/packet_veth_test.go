package loader_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
	"sluice/loader"
)

// TestResets has real TCP stacks judge the resets that the programs make, and
// the checksums of all that they change: the senders' offloads are off, so the
// sums on the wire are whole, and the receivers check them.
func TestResets(t *testing.T) {
	all := shapes()
	for _, name := range []string{"hide v6", "keep v4", "dsr v4"} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, all[name])
			t.Run("member removed", g.memberRemoved)
			t.Run("closed port", g.closedPort)
			t.Run("no backend", g.noBackend)
			g.wantNoBadSums(t)
		})
	}
}

// memberRemoved: a flow whose member is gone is reset as one that is unknown.
func (g *gateway) memberRemoved(t *testing.T) {
	c, _ := g.dial(t)
	echo(t, c, 5000)
	flow, _, err := g.dp.Find(testService, client(c))
	must(t, err)
	members, err := g.dp.Members()
	must(t, err)
	must(t, g.dp.DeleteMember(flow.Member))
	wantReset(t, "client", c)
	must(t, g.dp.PutMember(flow.Member, members[flow.Member]))
}

// closedPort: a backend's refusal reaches the client.
func (g *gateway) closedPort(t *testing.T) {
	for _, s := range g.servers {
		must(t, s.Close())
	}
	for range 5 {
		g.wantRefused(t)
	}
}

func (g *gateway) noBackend(t *testing.T) {
	ring, err := g.dp.Ring(testService)
	must(t, err)
	for i := range loader.RingEntries {
		ring.Set(i, 0)
	}
	for range 5 {
		g.wantRefused(t)
	}
	counters, err := g.dp.ServiceCounters()
	must(t, err)
	if got := counters[testService].Refused; got != 5 {
		t.Errorf("%d connections were counted refused, want 5", got)
	}
}

func (g *gateway) wantRefused(t *testing.T) {
	t.Helper()
	c, err := g.tryDial(t.Context(), 0)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("dialling gave %v, want that it is refused", err)
	}
}

// wantNoBadSums asks every stack for segments with wrong checksums.
func (g *gateway) wantNoBadSums(t *testing.T) {
	t.Helper()
	spaces := map[string]*nettest.Namespace{"client": g.Client}
	for _, b := range g.Backends {
		spaces[b.Label] = b.Namespace
	}
	for name, n := range spaces {
		var tcp map[string]string
		must(t, n.Do(func() (err error) {
			tcp, err = tcpStatistics()
			return err
		}))
		if tcp["InCsumErrors"] != "0" || tcp["InErrs"] != "0" {
			t.Errorf("%s saw %s wrong checksums and %s other faults", name, tcp["InCsumErrors"], tcp["InErrs"])
		}
		// Which backends there are is the hash's business.
		if name == "client" && tcp["InSegs"] == "0" {
			t.Error("the client saw no segment at all")
		}
	}
}

// tcpStatistics are the TCP counters of the namespace the thread is in, of both
// IP versions.
func tcpStatistics() (map[string]string, error) {
	b, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "Tcp:") {
			rows = append(rows, strings.Fields(line))
		}
	}
	if len(rows) != 2 || len(rows[0]) != len(rows[1]) {
		return nil, fmt.Errorf("read TCP counters: no names and values in %q", b)
	}
	out := map[string]string{}
	for i, name := range rows[0] {
		out[name] = rows[1][i]
	}
	return out, nil
}
