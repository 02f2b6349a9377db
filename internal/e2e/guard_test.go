package e2e

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// echo is a session whose server says back what it is told, line by line.
type echo struct {
	t   *testing.T
	cmd *nettest.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (w *world) echo(t *testing.T, family string) *echo {
	t.Helper()
	cmd := w.client.SSH(t.Context(), vips[family], "cat")
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	e := &echo{t: t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	must(t, e.says("hello"))
	return e
}

// says sends a line and waits for it to come back.
func (e *echo) says(line string) error {
	if _, err := io.WriteString(e.in, line+"\n"); err != nil {
		return err
	}
	got, err := e.out.ReadString('\n')
	if err == nil && got != line+"\n" {
		e.t.Errorf("%q came back as %q", line, got)
	}
	return err
}

// blocked reports that a login gets nowhere.
func (w *world) blocked(t *testing.T, family string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if name, err := w.client.Backend(ctx, vips[family]); err == nil {
		t.Errorf("a login reached %s, want none to get through", name)
	}
}

func (w *world) open(t *testing.T, family string) {
	t.Helper()
	_, err := w.client.Backend(t.Context(), vips[family])
	must(t, err)
}

// TestBan bans a client while it has a session: the session goes on, no new one
// comes up, over a restart too, until the ban is taken back or has ended. With
// --kill the session ends, too.
func TestBan(t *testing.T) {
	w := running(t, shape{mode: "nat", clientAddress: "hide"})
	for family, vip := range vips {
		t.Run(family, func(t *testing.T) {
			client := w.ClientAddr.Like(vip.Addr()).String()
			session := w.echo(t, family)
			w.do("ban", client, "--reason", "a test")
			w.blocked(t, family)
			must(t, session.says("I was here before"))
			if out := w.do("show", "bans"); !strings.Contains(out, "a test") {
				t.Errorf("show bans:\n%s", out)
			}
			w.kill()
			w.blocked(t, family)
			w.start()
			w.blocked(t, family)
			must(t, session.says("still here"))
			w.do("unban", client)
			w.open(t, family)

			w.do("ban", client, "--for", "4s", "--kill")
			if err := session.says("gone?"); err == nil {
				t.Error("the session lives on after ban --kill")
			}
			_ = session.cmd.Wait()
			w.eventually("the ban ends", func() error {
				_, err := w.client.Backend(t.Context(), vips[family])
				return err
			})
		})
	}
}

// met is how many packets show bans has for the only prefix of a list.
func met(t *testing.T, list []control.Rule, prefix string) uint64 {
	t.Helper()
	if len(list) != 1 || list[0].Prefix.String() != prefix {
		t.Fatalf("show bans has %+v, want %s alone", list, prefix)
	}
	return list[0].Packets
}

// TestGuardSettings denies and exempts by settings that are applied while
// sessions live.
func TestGuardSettings(t *testing.T) {
	w := running(t, shape{mode: "dsr"})
	plain, client := w.text(), w.ClientAddr.V4.String()
	w.open(t, "IPv4")
	w.write(plain + "guard: {deny: [" + client + "]}\n")
	w.do("settings", "apply", w.settings)
	w.blocked(t, "IPv4")
	w.open(t, "IPv6")
	var rules control.BanList
	w.query(&rules, "show", "bans")
	if met(t, rules.Denied, client+"/32") == 0 {
		t.Error("show bans says that guard.deny kept nothing out")
	}
	w.write(plain + "guard: {deny: [0.0.0.0/0], exempt: [" + client + "]}\n")
	w.do("settings", "apply", w.settings)
	w.open(t, "IPv4")
	w.query(&rules, "show", "bans")
	if met(t, rules.Exempt, client+"/32") == 0 {
		t.Error("show bans says that guard.exempt let nothing past")
	}
	if _, err := w.try("ban", client); err == nil || !strings.Contains(err.Error(), "guard.exempt") {
		t.Errorf("ban of an exempt client: %v", err)
	}
}

// TestChallenge begins more connections at once than handshakes are kept: some
// are asked to prove where they come from, and all come through.
func TestChallenge(t *testing.T) {
	w := runningWith(t, shape{mode: "dsr"}, calmCheck)
	const count = 1200
	conns, err := nettest.OpenConns(t.Context(), w.Client, vips["IPv4"], count)
	must(t, err)
	defer conns.Close()
	if w.dropped("challenged") == 0 || w.dropped("challenge_met") == 0 {
		t.Errorf("%d SYNs were challenged and %d challenges met; the test opens too little at once",
			w.dropped("challenged"), w.dropped("challenge_met"))
	}
	w.open(t, "IPv4")
}
