package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/nettest"
)

// TestDrain drains a backend under 200 living connections: none breaks, the
// backend gets nothing new, --wait returns when its last one ends, and enable
// brings it back. Removing it from the settings and adding it again moves no
// connection either.
func TestDrain(t *testing.T) {
	w := runningWith(t, shape{mode: "nat", clientAddress: "hide"}, calmCheck)
	vip := vips["IPv4"]
	conns, err := nettest.OpenConns(t.Context(), w.Client, vip, 200)
	must(t, err)
	defer conns.Close()
	banners, err := conns.Read(len("SSH-2.0-"), patience)
	must(t, err)
	if len(banners) != 200 {
		t.Fatalf("%d of 200 connections got a banner", len(banners))
	}
	before := w.flows()
	w.do("drain", "b1")
	if got := w.backends()["b1"].State; got != "draining" {
		t.Fatalf("b1 is %s after drain", got)
	}

	opened := w.backends()["b1"].FlowsOpened
	for range 30 {
		if name, err := w.client.Backend(t.Context(), vip); err != nil || name == "b1" {
			t.Fatalf("a login during the drain reached %q: %v", name, err)
		}
	}
	if now := w.backends()["b1"].FlowsOpened; now != opened {
		t.Errorf("b1 got %d new connections while it was drained", now-opened)
	}
	sameFlows(t, before, w.flows())

	// Out of the settings and in again: the living stay where they are.
	w.write(strings.ReplaceAll(w.text(), `{name: b1, addr: "10.0.0.11:22"}, `, ""))
	w.do("settings", "apply", w.settings)
	sameFlows(t, before, w.flows())
	w.configure()
	w.do("settings", "apply", w.settings)
	sameFlows(t, before, w.flows())

	done := make(chan error, 1)
	go func() {
		_, err := w.try("drain", "b1", "--wait")
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("--wait returned with connections living: %v", err)
	case <-time.After(time.Second): // it must not return in this time
	}
	must(t, conns.Close())
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(patience):
		t.Fatal("--wait did not return after the last connection ended")
	}
	if got := w.backends()["b1"].State; got != "disabled" {
		t.Errorf("b1 is %s after its drain ended", got)
	}
	w.do("enable", "b1")
	w.allUp()
	eventually(t, "b1 gets logins again", func() error {
		if name, err := w.client.Backend(t.Context(), vip); err != nil || name != "b1" {
			return fmt.Errorf("reached %q: %v", name, err)
		}
		return nil
	})
}

// TestDrainDeadline resets what is left when the deadline has come.
func TestDrainDeadline(t *testing.T) {
	w := running(t, shape{mode: "nat", clientAddress: "hide"})
	conns, err := nettest.OpenConns(t.Context(), w.Client, vips["IPv4"], 20)
	must(t, err)
	defer conns.Close()
	_, err = conns.Read(len("SSH-2.0-"), patience)
	must(t, err)
	w.do("drain", "b1", "--deadline", "1s", "--wait")
	b := w.backends()["b1"]
	if b.State != "disabled" || b.FlowsNow != 0 {
		t.Errorf("b1 is %s with %d flows after its deadline", b.State, b.FlowsNow)
	}
	if b.FlowsOpened == 0 {
		t.Fatal("none of 20 connections had reached b1")
	}
	reset := 0
	for _, err := range untilEnd(conns, 5*time.Second) {
		if errors.Is(err, syscall.ECONNRESET) {
			reset++
		}
	}
	if reset != int(b.FlowsOpened) {
		t.Errorf("%d connections were reset, %d were of b1", reset, b.FlowsOpened)
	}
}

// untilEnd makes every client speak and read on until its connection ends or
// the time is over, and returns how each ended.
func untilEnd(conns nettest.Conns, within time.Duration) []error {
	ends := make([]error, len(conns))
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			ends[i] = c.SetDeadline(time.Now().Add(within))
			if ends[i] == nil {
				_, ends[i] = c.Write([]byte("SSH-2.0-client\r\n"))
			}
			for ends[i] == nil {
				_, ends[i] = c.Read(make([]byte, 1024))
			}
		})
	}
	all.Wait()
	return ends
}

// TestDrainLast asks before it takes the last backend away.
func TestDrainLast(t *testing.T) {
	w := running(t, shape{mode: "nat", clientAddress: "hide"})
	w.do("drain", "b1", "b2", "b1-v6", "b2-v6")
	if _, err := w.try("drain", "b3"); err == nil || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("drain of the last backend: %v; it must ask for --yes", err)
	}
	w.do("drain", "b3", "--yes")
	if _, err := w.client.Backend(t.Context(), vips["IPv4"]); err == nil {
		t.Error("a login succeeded with every backend drained")
	}
	if n := w.dropped("no_backend"); n == 0 {
		t.Error("the refused login was not counted as no_backend")
	}
}

func (w *world) text() string {
	w.t.Helper()
	var b bytes.Buffer
	b.WriteString(w.node(w.bpffs) + w.dataplane() + "services:\n" + w.service("IPv4", "") + w.service("IPv6", ""))
	return b.String()
}

// flows are the living flows by client, as "backend source".
func (w *world) flows() map[string]string {
	w.t.Helper()
	var list struct {
		Flows []struct{ Client, Backend, Source, State string }
	}
	w.query(&list, "show", "flows", "--limit", "10000", "--state", "established")
	out := map[string]string{}
	for _, f := range list.Flows {
		out[f.Client] = f.Backend + " " + f.Source
	}
	return out
}

// sameFlows checks that every flow of before is where it was.
func sameFlows(t *testing.T, before, after map[string]string) {
	t.Helper()
	for client, at := range before {
		if after[client] != at {
			t.Errorf("the flow of %s was at %q and is at %q", client, at, after[client])
		}
	}
}
