package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/internal/config"
	"sluice/internal/control"
)

// fakeEnv turns the test binary into a stand-in for sluice: a TCP proxy in user
// space with the few commands that the lab uses. Its value is a fault to have,
// or "none".
const fakeEnv = "LAB_FAKE_SLUICE"

// stoppedEnv names a file that the stand-in makes when it has stopped properly.
const stoppedEnv = "LAB_FAKE_STOPPED"

// The faults, each of which the lab must find.
const (
	faultNone       = "none"
	faultDead       = "dead"        // run ends at once
	faultNeverUp    = "never up"    // a backend stays down
	faultNoLogin    = "no login"    // connections to the VIP are cut
	faultMiscount   = "miscount"    // flows count for another backend
	faultSilent     = "silent"      // nothing is counted
	faultDrainLeaks = "drain leaks" // a draining backend gets new flows
	faultDrainCuts  = "drain cuts"  // drain cuts the living
	faultDrainHasty = "drain hasty" // drain --wait does not wait
	faultNoEnable   = "no enable"   // enable does nothing
)

// fakeMain is the stand-in's main; args are without the program's name.
func fakeMain(fault string, args []string) int {
	switch strings.Join(args[:min(2, len(args))], " ") {
	case "run -c":
		if fault == faultDead {
			fmt.Fprintln(os.Stderr, "fake: cannot start")
			return 1
		}
		return fakeRun(fault, args[2])
	case "status --watch":
		for {
			fmt.Println("BACKEND  STATE\nb1       up")
			time.Sleep(20 * time.Millisecond)
		}
	default:
		return fakeCommand(args)
	}
}

// fakeCommand has the running stand-in do what a command says.
func fakeCommand(args []string) int {
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", os.Getenv("SLUICE_SOCKET"))
	}}}
	answer, err := client.Post("http://fake/", "", strings.NewReader(strings.Join(args, "\n")))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer answer.Body.Close()
	_, _ = io.Copy(os.Stdout, answer.Body)
	if answer.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}

// fake is the running stand-in.
type fake struct {
	fault string
	next  atomic.Int64

	mu       sync.Mutex
	backends []*control.Backend
	conns    map[net.Conn]string // to the name of its backend
}

func fakeRun(fault, file string) int {
	settings, err := config.Load(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	f := &fake{fault: fault, conns: make(map[net.Conn]string)}
	for _, s := range settings.Services {
		for _, b := range s.Backends {
			f.backends = append(f.backends, &control.Backend{Name: b.Name, Addr: b.Addr, State: "up", Services: []string{s.Name}})
		}
		l, err := net.Listen("tcp", s.Listen.String())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		go f.accept(l, s.Name)
	}
	if fault == faultNeverUp {
		f.backends[0].State = "down"
	}
	l, err := net.Listen("unix", settings.Node.Control.Socket)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { _ = http.Serve(l, f) }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	if file := os.Getenv(stoppedEnv); file != "" {
		// Longer than a namespace that closes would wait for it.
		time.Sleep(time.Second)
		_ = os.WriteFile(file, nil, 0o600)
	}
	return 0
}

func (f *fake) accept(l net.Listener, service string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go f.carry(conn, service)
	}
}

// pick takes the backends of a service in turn.
func (f *fake) pick(service string) *control.Backend {
	f.mu.Lock()
	defer f.mu.Unlock()
	var able []*control.Backend
	for _, b := range f.backends {
		leaks := f.fault == faultDrainLeaks && b.State == control.StateDraining
		if b.Services[0] == service && (b.State == control.StateUp || leaks) {
			able = append(able, b)
		}
	}
	return able[int(f.next.Add(1))%len(able)]
}

func (f *fake) carry(client net.Conn, service string) {
	defer client.Close()
	b := f.pick(service)
	server, err := net.Dial("tcp", b.Addr.String())
	if err != nil || f.fault == faultNoLogin {
		return
	}
	defer server.Close()
	counted := b
	if f.fault == faultMiscount {
		counted = f.pick(service)
	}
	f.mu.Lock()
	f.conns[client] = b.Name
	if f.fault != faultSilent {
		counted.FlowsOpened++
		counted.FlowsNow++
	}
	f.mu.Unlock()
	done := make(chan struct{})
	go func() {
		f.copy(client, server, &counted.PacketsOut, &counted.BytesOut)
		close(done)
	}()
	f.copy(server, client, &counted.PacketsIn, &counted.BytesIn)
	_ = server.(*net.TCPConn).CloseWrite()
	<-done
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, client)
	if f.fault != faultSilent {
		counted.FlowsNow--
	}
}

func (f *fake) copy(to, from net.Conn, packets, octets *uint64) {
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		f.mu.Lock()
		if f.fault != faultSilent && n > 0 {
			*packets++
			*octets += uint64(n)
		}
		f.mu.Unlock()
		if _, werr := to.Write(buffer[:n]); werr != nil || err != nil {
			return
		}
	}
}

// ServeHTTP carries a command out.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	args := strings.Split(string(body), "\n")
	switch strings.Join(args, " ") {
	case "status --json":
		_ = json.NewEncoder(w).Encode(control.Status{
			PID:         os.Getpid(),
			Attachments: []control.Attachment{{Interface: "ext0", Mode: "fake"}},
		})
	case "show backends --json":
		f.mu.Lock()
		defer f.mu.Unlock()
		var list control.BackendList
		for _, b := range f.backends {
			list.Backends = append(list.Backends, *b)
		}
		_ = json.NewEncoder(w).Encode(list)
	default:
		if err := f.order(args); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	}
}

// order is drain or enable.
func (f *fake) order(args []string) error {
	if len(args) < 3 || !strings.HasPrefix(args[2], "--wait=") {
		return fmt.Errorf("fake: cannot %q", args)
	}
	b := f.find(args[1])
	if b == nil {
		return fmt.Errorf("fake: no backend %q", args[1])
	}
	switch {
	case args[0] == "drain":
		f.drain(b)
	case f.fault != faultNoEnable:
		f.set(b, control.StateUp)
	}
	return nil
}

func (f *fake) find(name string) *control.Backend {
	for _, b := range f.backends {
		if b.Name == name {
			return b
		}
	}
	return nil
}

func (f *fake) set(b *control.Backend, state control.BackendState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b.State = state
}

func (f *fake) drain(b *control.Backend) {
	f.set(b, control.StateDraining)
	if f.fault == faultDrainCuts {
		f.mu.Lock()
		for conn, name := range f.conns {
			if name == b.Name {
				conn.Close()
			}
		}
		f.mu.Unlock()
		time.Sleep(5 * time.Second) // so that the cut is found, not the end
	}
	for f.fault != faultDrainHasty && f.living(b) > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	if f.fault != faultDrainHasty {
		f.set(b, control.StateDisabled)
	}
}

func (f *fake) living(b *control.Backend) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return b.FlowsNow
}
