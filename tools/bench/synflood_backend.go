package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/urfave/cli/v2"

	"sluice/internal/nettest"
)

// backendName is a command of this program that no user calls: the backend of a
// siege, as a process of its own. One process may not have the descriptors of
// both ends of ten thousand connections.
const backendName = "synflood-backend"

func backendCommand() *cli.Command {
	return &cli.Command{
		Name: backendName, Hidden: true,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "proxy", Usage: "expect a PROXY header"},
			&cli.IntFlag{Name: "echo", Usage: "`PORT` that sends back what it hears"},
			&cli.IntFlag{Name: "relay", Usage: "`PORT` that leads to the SSH server"},
			&cli.StringFlag{Name: "ssh", Usage: "`ADDR` of the SSH server"},
		},
		Action: func(c *cli.Context) error {
			crowd, err := listenBehind(c.Context, c.Int("echo"), c.Bool("proxy"))
			if err != nil {
				return err
			}
			relay, err := listenBehind(c.Context, c.Int("relay"), c.Bool("proxy"))
			if err != nil {
				return err
			}
			go acceptAll(crowd, func(conn net.Conn) { echo(conn, make([]byte, 1<<10)) })
			go acceptAll(relay, func(conn net.Conn) { relayTo(c.Context, conn, c.String("ssh")) })
			fmt.Fprintln(c.App.Writer, backendReady)
			<-c.Context.Done()
			return nil
		},
	}
}

// backendReady is what the process says when it listens.
const backendReady = "ready"

// listenBehind listens where packets of a gateway come, and with proxy takes
// nobody in who does not begin with a PROXY header.
func listenBehind(ctx context.Context, port int, proxy bool) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)).String())
	if err != nil || !proxy {
		return l, err
	}
	require := func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) { return proxyproto.REQUIRE, nil }
	return &proxyproto.Listener{Listener: l, ConnPolicy: require}, nil
}

// acceptAll serves until the process ends.
func acceptAll(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

func relayTo(ctx context.Context, near net.Conn, to string) {
	far, err := new(net.Dialer).DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	defer far.Close()
	go func() {
		_, _ = io.Copy(far, near)
		far.Close()
	}()
	_, _ = io.Copy(near, far)
}

// backendPorts are where the process listens.
type backendPorts struct {
	proxy       bool
	echo, relay uint16
	ssh         netip.AddrPort
}

// startBackend starts the process in a namespace and returns when it listens.
// stop ends it.
func startBackend(n *nettest.Namespace, p backendPorts) (stop func() error, err error) {
	cmd := n.Command(context.Background(), "/proc/self/exe", backendName, fmt.Sprintf("--proxy=%v", p.proxy),
		"--echo", fmt.Sprint(p.echo), "--relay", fmt.Sprint(p.relay), "--ssh", p.ssh.String())
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for the benchmark
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start backend: %v", err)
	}
	stop = func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		return cmd.Wait()
	}
	said := make([]byte, len(backendReady)+1)
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Signal(os.Kill) })
	defer timer.Stop()
	if _, err := io.ReadFull(out, said); err != nil {
		return nil, fmt.Errorf("start backend: %v; it said: %s", errors.Join(err, stop()), complaint.String())
	}
	return stop, nil
}
