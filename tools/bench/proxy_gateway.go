package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice/internal/nettest"
	"sluice/tools/bench/wire"
)

// way is how connections get from the VIP to the backend.
type way struct {
	name string
	// header says that the backend is told of the client by a PROXY header.
	header, offloads, steered bool
	start                     func(context.Context, *forwarder) error
}

// reference is what the others are compared with.
const reference = "haproxy send-proxy-v2"

// waysOf are all of them. sluice is the path of the program.
func waysOf(sluice string) []way {
	return []way{
		{name: "sluice nat hide", steered: true, start: startSluice(sluice, "hide")},
		{name: "sluice nat proxy_v2", header: true, steered: true, start: startSluice(sluice, "proxy_v2")},
		{name: reference, header: true, start: startHAProxy},
		{name: "nftables dnat", start: startNFT},
		{name: reference + ", offloads", header: true, offloads: true, start: startHAProxy},
	}
}

// forwarder is a wire whose gateway forwards in some way.
type forwarder struct {
	way
	wire    *wire.Wire
	dir     string
	backend *backend
	pids    []int // of the processes that forward, or tell the kernel how to
	stop    func() error
}

// newForwarder builds and starts one. On error nothing is left.
func newForwarder(ctx context.Context, s *site, number int, w way) (f *forwarder, err error) {
	f = &forwarder{way: w, dir: filepath.Join(s.dir, fmt.Sprint(number))}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start %s: %v", w.name, err), f.close())
		}
	}()
	if err := os.Mkdir(f.dir, 0o755); err != nil {
		return f, err
	}
	name := fmt.Sprintf("p%x%d", os.Getpid(), number)
	if f.wire, err = wire.New(wire.Options{Name: name, Offloads: w.offloads, Steered: w.steered}); err != nil {
		return f, err
	}
	if f.backend, err = listenBackend(f.wire.Backend, netip.AddrPortFrom(wire.BackendAddr, backendPort), w.header); err != nil {
		return f, err
	}
	return f, w.start(ctx, f)
}

func (f *forwarder) close() error {
	var errs []error
	if f.stop != nil {
		errs = append(errs, f.stop())
	}
	if f.backend != nil {
		errs = append(errs, f.backend.close())
	}
	if f.wire != nil {
		errs = append(errs, f.wire.Close())
	}
	return errors.Join(errs...)
}

// run starts a process in the gateway that forwards until the forwarder is
// closed.
func (f *forwarder) run(program string, args ...string) error {
	p, err := startProcess(f.wire.Gateway, filepath.Join(f.dir, "log"), program, args...)
	if err != nil {
		return err
	}
	f.pids, f.stop = []int{p.pid()}, p.stop
	return nil
}

// wait returns when a connection through the VIP is greeted.
func (f *forwarder) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := f.connect(ctx)
		if err == nil {
			return nil
		}
		if paused := pause(ctx, 50*time.Millisecond); paused != nil {
			said, _ := os.ReadFile(filepath.Join(f.dir, "log"))
			return fmt.Errorf("no connection: %v; it said: %s", err, said)
		}
	}
}

func (f *forwarder) write(name, text string) (string, error) {
	path := filepath.Join(f.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

func startHAProxy(ctx context.Context, f *forwarder) error {
	settings, err := f.write("haproxy.cfg", fmt.Sprintf(`global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen ssh
  bind %s:%d
  server b1 %s:%d send-proxy-v2
`, wire.VIP, servicePort, wire.BackendAddr, backendPort))
	if err != nil {
		return err
	}
	if err := f.run("haproxy", "-db", "-f", settings); err != nil {
		return err
	}
	return f.wait(ctx)
}

func startNFT(ctx context.Context, f *forwarder) error {
	rules, err := f.write("rules", fmt.Sprintf(`table ip bench {
  chain pre { type nat hook prerouting priority dstnat; ip daddr %s tcp dport %d dnat to %s:%d; }
  chain post { type nat hook postrouting priority srcnat; ip daddr %s masquerade; }
}
`, wire.VIP, servicePort, wire.BackendAddr, backendPort, wire.BackendAddr))
	if err != nil {
		return err
	}
	nft, err := nettest.FindProgram("nft")
	if err != nil {
		return err
	}
	if said, err := f.wire.Gateway.Command(ctx, nft, "-f", rules).CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %v: %s", err, said)
	}
	return f.wait(ctx)
}

func startSluice(program, clientAddress string) func(context.Context, *forwarder) error {
	return func(ctx context.Context, f *forwarder) error {
		socket := filepath.Join(f.dir, "sock")
		settings, err := f.write("sluice.yaml", fmt.Sprintf(`node:
  data_dir: %[1]s/data
  bpffs: %[1]s/bpf
  control: {socket: %[2]s}
dataplane:
  interfaces: [%[3]s, %[4]s]
  xdp: native
  max_flows: 16384
services:
  - listen: "%[5]s:%[6]d"
    client_address: %[7]s
    backends: ["%[8]s:%[9]d"]
    health_check: {type: tcp, interval: 2s}
`, f.dir, socket, f.wire.Outside, f.wire.Inside, wire.VIP, servicePort, clientAddress, wire.BackendAddr, backendPort))
		if err != nil {
			return err
		}
		if err := f.run(program, "run", "-c", settings); err != nil {
			return err
		}
		if err := f.wait(ctx); err != nil {
			return err
		}
		return errors.Join(f.wire.Thread(), f.addNode(ctx, program, socket))
	}
}

// addNode notes the node process, which need not be a child of what was
// started.
func (f *forwarder) addNode(ctx context.Context, program, socket string) error {
	out, err := f.wire.Gateway.Command(ctx, program, "--socket", socket, "status", "--json").Output()
	if err != nil {
		return fmt.Errorf("ask sluice for its status: %v", err)
	}
	var status struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(out, &status); err != nil || status.PID == 0 {
		return fmt.Errorf("read sluice's status: %v: %s", err, strings.TrimSpace(string(out)))
	}
	f.pids = []int{f.pids[0], status.PID}
	return nil
}
