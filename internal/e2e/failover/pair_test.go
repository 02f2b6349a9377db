package failover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// patience is how long anything that must happen may take on a loaded machine.
const patience = 30 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// gateways are gateways with sluice in each.
type gateways struct {
	t *testing.T
	*nettest.Cluster
	settings string // of the cluster; without node
	// text is a whole settings file instead, given what is each node's own.
	text func(g *gateway) string
	each []*gateway
}

// gateway is one of them.
type gateway struct {
	*nettest.ClusterGateway
	all   *gateways
	dir   string
	bpffs string
	cmd   *nettest.Cmd
	ended chan struct{}
	log   *os.File
}

// key is what the gateways have in common.
var key = bytes.Repeat([]byte("k"), 32)

// newGateways builds a cluster; settings are what follows node and nodes.
func newGateways(t *testing.T, o nettest.ClusterOptions, settings string) *gateways {
	t.Helper()
	still.begin(t)
	all := &gateways{t: t, Cluster: nettest.ClusterForTest(t, o), settings: settings}
	for _, g := range all.Gateways {
		one := &gateway{ClusterGateway: g, all: all, dir: t.TempDir(), bpffs: nettest.BPFFS(t)}
		must(t, os.Chmod(one.dir, 0o755))
		log, err := os.Create(filepath.Join(one.dir, "log"))
		must(t, err)
		one.log = log
		must(t, os.MkdirAll(filepath.Join(one.dir, "data"), 0o755))
		must(t, os.WriteFile(filepath.Join(one.dir, "data", "cluster.key"), key, 0o600))
		all.each = append(all.each, one)
		t.Cleanup(one.finish)
	}
	return all
}

// file is the settings file of a gateway.
func (g *gateway) file() string { return filepath.Join(g.dir, "sluice.yaml") }

func (g *gateway) socket() string { return filepath.Join(g.dir, "run", "control.sock") }

func (g *gateway) write() {
	g.all.t.Helper()
	if g.all.text != nil {
		must(g.all.t, os.WriteFile(g.file(), []byte(g.all.text(g)), 0o644))
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "node: {name: %s, data_dir: %s, bpffs: %s, control: {socket: %s}}\n",
		g.Label, filepath.Join(g.dir, "data"), filepath.Join(g.bpffs, "sluice"), g.socket())
	b.WriteString("nodes:\n")
	for _, o := range g.all.Gateways {
		fmt.Fprintf(&b, "  %s: {ext_addr: %s, int_addr: %s, heartbeat_addr: %s}\n", o.Label, o.Ext.V4, o.Int.V4, o.Heartbeat.V4)
	}
	b.WriteString(g.all.settings)
	must(g.all.t, os.WriteFile(g.file(), []byte(b.String()), 0o644))
}

// launch starts sluice and does not wait.
func (g *gateway) launch() {
	g.all.t.Helper()
	g.write()
	g.run()
}

// run is launch with the settings that are there.
func (g *gateway) run() {
	g.all.t.Helper()
	cmd := g.Command(context.Background(), binary, "run", "-c", g.file())
	cmd.Stdout, cmd.Stderr = g.log, g.log
	cmd.SysProcAttr.Pdeathsig = 0
	must(g.all.t, cmd.Start())
	ended := make(chan struct{})
	g.cmd, g.ended = cmd, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is in the log
	}()
}

// start starts sluice in all of them, the first one before the others so that it
// is active.
func (all *gateways) start() {
	all.t.Helper()
	want := slices.Repeat([]string{"off"}, len(all.each))
	for i, g := range all.each {
		g.launch()
		want[i] = "backup"
		if i == 0 {
			want[i] = "active"
		}
		all.want(want...)
	}
}

// stop ends sluice in order.
func (g *gateway) stop() {
	g.all.t.Helper()
	must(g.all.t, g.cmd.Process.Signal(syscall.SIGTERM))
	<-g.ended
	g.cmd = nil
}

func (g *gateway) finish() {
	if g.cmd != nil {
		_ = g.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-g.ended:
		case <-time.After(patience):
			g.all.t.Errorf("sluice run in %s did not end within its time", g.Label)
			_ = g.cmd.Process.Kill()
		}
	}
	if g.all.t.Failed() {
		text, _ := os.ReadFile(g.log.Name())
		g.all.t.Logf("%s said:\n%s", g.Label, text)
	}
	g.log.Close()
}

// try runs a sluice command and returns what it printed.
func (g *gateway) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := g.Command(ctx, binary, args...)
	cmd.Env = append(os.Environ(), "SLUICE_SOCKET="+g.socket(), "SLUICE_CONFIG="+g.file())
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("sluice %s: %v: %s", strings.Join(args, " "), err, complaint.String())
	}
	return out.String(), nil
}

// cluster is the first virtual cluster as a gateway sees it.
func (g *gateway) cluster() (control.VirtualCluster, error) {
	client := control.NewClient(g.socket())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	list, err := client.VirtualClusters(ctx)
	if err != nil || len(list.VirtualClusters) == 0 {
		return control.VirtualCluster{}, errors.Join(err, errors.New("no virtual clusters yet"))
	}
	return list.VirtualClusters[0], nil
}

// eventually waits for something to hold.
func (all *gateways) eventually(what string, holds func() error) {
	all.t.Helper()
	end := time.Now().Add(patience)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			all.t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// want waits until the gateways are in these states; "off" is one without sluice.
func (all *gateways) want(states ...string) {
	all.t.Helper()
	all.eventually("states are "+strings.Join(states, ", "), func() error {
		if got := all.states(); !slices.Equal(got, states) {
			return fmt.Errorf("they are %v", got)
		}
		return nil
	})
}

func (all *gateways) states() []string {
	var got []string
	for _, g := range all.each {
		if g.cmd == nil {
			got = append(got, "off")
			continue
		}
		c, err := g.cluster()
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		got = append(got, string(c.State))
	}
	return got
}

// has says whether an address is on an interface of the gateway.
func (g *gateway) has(addr netip.Addr) bool {
	out, err := g.Command(context.Background(), "ip", "-j", "addr", "show").Output()
	if err != nil {
		return false
	}
	var links []struct {
		AddrInfo []struct{ Local string } `json:"addr_info"`
	}
	if json.Unmarshal(out, &links) != nil {
		return false
	}
	for _, l := range links {
		for _, a := range l.AddrInfo {
			if a.Local == addr.String() {
				return true
			}
		}
	}
	return false
}
