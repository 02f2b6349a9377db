package vip

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"net/rpc"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/nettest"
)

// patience bounds waits for what happens soon.
const patience = 30 * time.Second

// duo is two gateways with a daemon in each, and no node.
type duo struct {
	t *testing.T
	*nettest.Cluster
	each [2]*part
}

// part is a gateway's.
type part struct {
	t   *testing.T
	gw  *nettest.ClusterGateway
	dir string
	// ahead is how far the machine's clock is ahead where a daemon starts.
	ahead time.Duration
	*child
}

// child is a process with a daemon.
type child struct {
	cmd   *nettest.Cmd
	calls *rpc.Client
	log   *os.File
	ended chan struct{}
	gone  bool
}

func newDuo(t *testing.T) *duo {
	t.Helper()
	d := &duo{t: t, Cluster: nettest.ClusterForTest(t, nettest.ClusterOptions{Backends: 1})}
	for i := range d.each {
		d.each[i] = &part{t: t, gw: d.Gateways[i], dir: t.TempDir()}
		t.Cleanup(d.each[i].finish)
	}
	return d
}

// plan is what gateway i runs: VIPs on ext and int, heartbeat, advert interval.
func (d *duo) plan(i int, interval time.Duration) Plan {
	own, other := d.Gateways[i], d.Gateways[1-i]
	priority := map[string]int{"gw-a": 200, "gw-b": 100}
	return Plan{
		Node: own.Label, Version: "1.2.3", Generation: 7, Steers: true,
		Clusters: []Cluster{{
			VirtualCluster: config.VirtualCluster{
				Name: "edge", VRID: 51, Member: true, Priority: priority, OwnPriority: priority[own.Label],
				Peers:          []config.Peer{{Node: other.Label, Priority: priority[other.Label], Heartbeat: other.Heartbeat.V4}},
				AdvertInterval: interval, Version: 3, Checksum: config.ChecksumPseudoHeader, VirtualMAC: config.VirtualMACAuto,
				Auth: config.Auth{Mode: config.AuthOff},
				Heartbeat: config.Heartbeat{
					Interface: nettest.HeartbeatLink, Addr: own.Heartbeat.V4, Port: 8021, FlowSyncPort: 8022, Interval: interval / 2, Timeout: 3 * interval / 2,
				},
				VIPs:     []config.VIP{{Addr: netip.PrefixFrom(d.VIP.V4, 24), Interface: "ext0"}, {Addr: netip.PrefixFrom(d.InsideVIP.V4, 24), Interface: "int0"}},
				Announce: config.Announce{Repeat: 2},
			},
			HeartbeatKey: NewSecret([]byte("0123456789abcdef0123456789abcdef")),
		}},
	}
}

// spawn starts a daemon that does not run yet.
func (p *part) spawn() *child {
	p.t.Helper()
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	must(p.t, err)
	c := &child{cmd: p.gw.Command(context.Background(), "/proc/self/exe", "daemon", p.dir), log: log, ended: make(chan struct{})}
	in, theirs, err := os.Pipe()
	must(p.t, err)
	ours, out, err := os.Pipe()
	must(p.t, err)
	c.cmd.Env = append(os.Environ(), aheadVar+"="+p.ahead.String())
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = in, out, log
	must(p.t, c.cmd.Start())
	_, _ = in.Close(), out.Close()
	c.calls = rpc.NewClient(pipes{ours, theirs})
	go func() {
		defer close(c.ended)
		_ = c.cmd.Wait() // how it ended is in the log
	}()
	return c
}

type pipes struct {
	io.ReadCloser
	to *os.File
}

func (p pipes) Write(b []byte) (int, error) { return p.to.Write(b) }
func (p pipes) Close() error                { return errors.Join(p.ReadCloser.Close(), p.to.Close()) }

// begin has a spawned daemon run in the place of the gateway's.
func (p *part) begin(c *child) {
	p.t.Helper()
	p.child = c
	p.call("Begin", 0, new(int))
}

// start starts the gateway's daemon with what it finds in its directory.
func (p *part) start() { p.t.Helper(); p.begin(p.spawn()) }

func (p *part) call(method string, arg, answer any) {
	p.t.Helper()
	must(p.t, p.try(method, arg, answer))
}

func (p *part) try(method string, arg, answer any) error {
	call := p.calls.Go("D."+method, arg, answer, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return call.Error
	case <-time.After(patience):
		return errors.New(method + " hangs")
	}
}

func (p *part) apply(plan Plan) { p.t.Helper(); p.call("Apply", plan, new(int)) }

// stop ends the daemon: with leave for good, without for a successor.
func (p *part) stop(leave bool) {
	p.t.Helper()
	if err := p.try("Stop", leave, new(int)); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, rpc.ErrShutdown) {
		p.t.Fatal(err)
	}
	p.reap()
}

// kill ends it as a crash does.
func (p *part) kill() {
	p.t.Helper()
	must(p.t, p.cmd.Process.Kill())
	p.reap()
}

func (p *part) reap() {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
		p.t.Error("the daemon did not end")
	}
	_ = p.calls.Close()
	_ = p.log.Close()
	p.gone = true
}

func (p *part) finish() {
	if p.child != nil && !p.gone {
		_ = p.cmd.Process.Kill()
		p.reap()
	}
	text, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	if bytes.Contains(text, []byte("DATA RACE")) || bytes.Contains(text, []byte("panic:")) {
		p.t.Errorf("%s has a race or panicked", p.gw.Label)
	}
	if p.t.Failed() {
		p.t.Logf("%s said:\n%s", p.gw.Label, text)
	}
}

// step sets the machine's clock on, without the daemon's doing.
func (p *part) step(d time.Duration) {
	p.t.Helper()
	p.ahead += d
	p.call("Step", d, new(int))
}

func (p *part) status() ClusterStatus {
	p.t.Helper()
	var s Status
	p.call("Status", 0, &s)
	if len(s.Clusters) == 0 {
		return ClusterStatus{}
	}
	return s.Clusters[0]
}

// until waits for a status.
func (p *part) until(what string, ok func(ClusterStatus) bool) ClusterStatus {
	p.t.Helper()
	end := time.Now().Add(patience)
	for {
		s := p.status()
		if ok(s) {
			return s
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s: not %s: %+v", p.gw.Label, what, s)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (p *part) untilState(state string) ClusterStatus {
	p.t.Helper()
	return p.until(state, func(s ClusterStatus) bool { return s.State == state })
}

func (p *part) history() []Change {
	p.t.Helper()
	var h []Change
	p.call("History", 0, &h)
	return h
}

// writes are what was done to the gateway's words.
func (p *part) writes() []written {
	p.t.Helper()
	list, err := readWords(p.dir)
	must(p.t, err)
	return list
}

// has says whether the gateway has an address.
func (p *part) has(addr netip.Addr) bool {
	p.t.Helper()
	list, err := p.gw.Netlink().AddrList(nil, 0)
	must(p.t, err)
	for _, a := range list {
		if at, _ := netip.AddrFromSlice(a.IP); at.Unmap() == addr {
			return true
		}
	}
	return false
}

// startBoth makes gw-a active and gw-b its backup, which hear each other.
func (d *duo) startBoth(interval time.Duration) (a, b *part) {
	d.t.Helper()
	a, b = d.each[0], d.each[1]
	for i, p := range d.each {
		p.start()
		p.apply(d.plan(i, interval))
		p.call("Connected", true, new(int))
		p.call("Health", Health{Synced: map[string]bool{"edge": true}}, new(int))
		p.untilState([]string{"active", "backup"}[i])
	}
	for _, p := range d.each {
		p.until("in touch", func(s ClusterStatus) bool {
			return len(s.Peers) == 1 && s.Peers[0].Alive && s.Peers[0].HearsUs && s.Peers[0].Synced
		})
	}
	return a, b
}

func (d *duo) vips() []netip.Addr { return []netip.Addr{d.VIP.V4, d.InsideVIP.V4} }

// holds waits until exactly one gateway has the VIPs.
func (d *duo) holds(p *part, other *part) {
	d.t.Helper()
	end := time.Now().Add(patience)
	for {
		wrong := slices.ContainsFunc(d.vips(), func(v netip.Addr) bool { return !p.has(v) || other != nil && other.has(v) })
		if !wrong {
			return
		}
		if time.Now().After(end) {
			d.t.Fatalf("%s does not hold the VIPs alone", p.gw.Label)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
