package nettest

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A receiver is a proxy that others wrote: it takes connections that begin with
// a PROXY header, and only such, and hands what follows on to a server.
type receiver struct {
	program string
	args    func(file string) []string
	config  func(dir string, listen []netip.AddrPort, to netip.AddrPort) string
}

// ReceiverLog is the file in which a receiver writes down each connection that
// ended, in words: client, its port, where it dialled, that port, and with
// "haproxy" the connection id in hexadecimal digits. Other lines are of
// connections without a header.
const ReceiverLog = "access.log"

// Receivers are the names [ReceiveForTest] takes.
var Receivers = []string{"haproxy", "nginx"}

var receivers = map[string]receiver{
	"haproxy": {"haproxy", func(file string) []string { return []string{"-db", "-f", file} }, haproxyConfig},
	"nginx":   {"nginx", func(file string) []string { return []string{"-g", "daemon off; master_process off;", "-c", file} }, nginxConfig},
}

func haproxyConfig(_ string, listen []netip.AddrPort, to netip.AddrPort) string {
	var b strings.Builder
	b.WriteString("global\n  maxconn 8000\n  nbthread 1\n  log stdout format raw daemon\ndefaults\n  mode tcp\n  log global\n  log-format \"%ci %cp %fi %fp %[fc_pp_unique_id,hex]\"\n  timeout connect 10s\n  timeout client 10m\n  timeout server 10m\nfrontend in\n")
	for _, l := range listen {
		fmt.Fprintf(&b, "  bind %s:%d accept-proxy%s\n", bare(l.Addr()), l.Port(), v6only(l, "  v6only"))
	}
	fmt.Fprintf(&b, "  default_backend out\nbackend out\n  server it %s:%d\n", bare(to.Addr()), to.Port())
	return b.String()
}

func nginxConfig(dir string, listen []netip.AddrPort, to netip.AddrPort) string {
	var b strings.Builder
	fmt.Fprintf(&b, "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\nworker_processes 1;\npid %s/pid;\nerror_log %s/error.log info;\n", dir, dir)
	fmt.Fprintf(&b, "events { worker_connections 20000; }\nstream {\n  log_format client '$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port';\n  access_log %s client;\n  server {\n", filepath.Join(dir, ReceiverLog))
	for _, l := range listen {
		fmt.Fprintf(&b, "    listen %s proxy_protocol%s;\n", l, v6only(l, " ipv6only=on"))
	}
	fmt.Fprintf(&b, "    proxy_pass %s;\n  }\n}\n", to)
	return b.String()
}

// bare is an address as HAProxy writes it, before a colon and a port.
func bare(a netip.Addr) string { return a.String() }

func v6only(l netip.AddrPort, word string) string {
	if l.Addr().Is6() {
		return word
	}
	return ""
}

// ReceiveForTest runs a receiver in a namespace until the test ends. It serves
// listen and hands on to to. dir is for its files.
func ReceiveForTest(t TB, n *Namespace, name, dir string, listen []netip.AddrPort, to netip.AddrPort) {
	t.Helper()
	r := receivers[name]
	Require(t, Program(r.program))
	file := filepath.Join(dir, name+".conf")
	if err := os.WriteFile(file, []byte(r.config(dir, listen, to)), 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	// HAProxy logs to its standard output, nginx opens the file itself.
	log, err := os.OpenFile(filepath.Join(dir, ReceiverLog), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer log.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := n.Command(ctx, r.program, r.args(file)...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = log, &said
	cmd.WaitDelay = time.Second // a child of its own may hold the pipe
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("start %s: %v", name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is of no matter once it is told to
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	for _, l := range listen {
		if err := n.answers(l, ended); err != nil {
			t.Fatalf("%s on %s: %v\n%s", name, l, err, said.String())
		}
	}
}

// answers waits until somebody listens, or ended.
func (n *Namespace) answers(at netip.AddrPort, ended <-chan struct{}) error {
	if at.Addr().IsUnspecified() {
		loopback := netip.IPv6Loopback()
		if at.Addr().Is4() {
			loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		at = netip.AddrPortFrom(loopback, at.Port())
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	for {
		c, err := n.Dial(ctx, at)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ended:
			return fmt.Errorf("it ended: %v", err)
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}
