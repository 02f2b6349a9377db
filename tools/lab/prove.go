package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sluice/internal/nettest/sshtest"
)

const (
	// proveWithin bounds the whole proof, most of which is a drain's patience.
	proveWithin = 3 * time.Minute
	// payload is what the counted session carries to the backend, and slack
	// what packets and SSH may add to it.
	payload = 1 << 20
	slack   = payload / 4
)

// prove shows that a login works, is counted exactly where it went, and that a
// drained backend keeps what it has and gets nothing new.
func (l *lab) prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proveWithin)
	defer cancel()
	for _, proof := range []struct {
		subject string
		run     func(context.Context) (string, error)
	}{
		{"login", l.proveLogin}, {"counters", l.proveCounters}, {"drain", l.proveDrain},
	} {
		began := time.Now()
		found, err := proof.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", proof.subject, err)
		}
		l.report.line(proof.subject, "ok, %s (%.1f s)", found, time.Since(began).Seconds())
	}
	return nil
}

// proveLogin logs in once through each VIP.
func (l *lab) proveLogin(ctx context.Context) (string, error) { return l.logins(ctx, l.vips()) }

// proveCounters sends a known amount through one session and looks where it was
// counted. Health checks run meanwhile and must not count as traffic.
func (l *lab) proveCounters(ctx context.Context) (string, error) {
	before, err := l.quiet(ctx)
	if err != nil {
		return "", err
	}
	name, err := l.upload(ctx)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, l.settle)
	defer cancel()
	var gained map[string]backend
	err = l.sluice.poll(ctx, func() error {
		after, err := l.sluice.backends(ctx)
		if err != nil {
			return err
		}
		gained = difference(before, after)
		return judge(gained, name, l.mode)
	})
	if err != nil {
		return "", err
	}
	g := gained[name]
	text := fmt.Sprintf("%s has 1 flow more with %d packets and %d bytes in", name, g.PacketsIn, g.BytesIn)
	if l.mode == "nat" {
		text += fmt.Sprintf(", %d packets and %d bytes out", g.PacketsOut, g.BytesOut)
	}
	return text + "; the others have none", nil
}

// quiet returns the counters once two looks in a row have found nothing new: the
// last packets of a session come after its end.
func (l *lab) quiet(ctx context.Context) (map[string]backend, error) {
	ctx, cancel := context.WithTimeout(ctx, l.settle)
	defer cancel()
	last, err := l.sluice.backends(ctx)
	if err != nil {
		return nil, err
	}
	looks := 0
	err = l.sluice.poll(ctx, func() error {
		now, err := l.sluice.backends(ctx)
		if err != nil {
			return err
		}
		gained := difference(last, now)
		last = now
		if err := l.atRest(gained); err != nil {
			looks = 0
			return err
		}
		if looks++; looks < 2 {
			return errors.New("the counters have not been at rest for long enough")
		}
		return nil
	})
	return last, err
}

// atRest says what still goes on between two looks.
func (l *lab) atRest(gained map[string]backend) error {
	for name, g := range gained {
		switch {
		case g.PacketsIn > 0 || g.PacketsOut > 0:
			return fmt.Errorf("%s still has traffic", name)
		case l.mode == "nat" && g.FlowsNow > 0:
			return fmt.Errorf("%s still counts %d flows of sessions that ended", name, g.FlowsNow)
		}
	}
	return nil
}

// upload sends the payload through one session and returns the backend it went
// to.
func (l *lab) upload(ctx context.Context) (string, error) {
	session, name, err := l.openSession(ctx, "cat > /dev/null")
	if err != nil {
		return "", err
	}
	_, err = io.CopyN(session, zeros{}, payload)
	return name, errors.Join(err, session.Close())
}

// openSession logs in through the IPv4 VIP, reads the backend's name and leaves
// the command running.
func (l *lab) openSession(ctx context.Context, command string) (*sshtest.Session, string, error) {
	session, err := l.client.Start(ctx, l.vips()[0], "printenv "+sshtest.BackendEnv+"; "+command)
	if err != nil {
		return nil, "", err
	}
	name, err := readLine(session)
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("read the backend's name: %v", err), session.Close())
	}
	return session, name, nil
}

// zeros is an endless source.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// readLine reads to the end of a line and not one byte further, since what
// follows is for others.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); len(line) < 1000; {
		if _, err := io.ReadFull(r, one); err != nil {
			return "", err
		}
		if one[0] == '\n' {
			return string(line), nil
		}
		line = append(line, one[0])
	}
	return "", errors.New("the line is too long")
}

// difference returns by how much the counters of each backend grew.
func difference(before, after map[string]backend) map[string]backend {
	gained := make(map[string]backend)
	for name, b := range after {
		was := before[name]
		gained[name] = backend{
			PacketsIn: b.PacketsIn - was.PacketsIn, BytesIn: b.BytesIn - was.BytesIn,
			PacketsOut: b.PacketsOut - was.PacketsOut, BytesOut: b.BytesOut - was.BytesOut,
			FlowsOpened: b.FlowsOpened - was.FlowsOpened, FlowsNow: b.FlowsNow,
		}
	}
	return gained
}

// judge says what is wrong with the counters after one upload to one backend.
// In dsr the gateway sees neither what comes back nor the end of the flow.
func judge(gained map[string]backend, name, mode string) error {
	g, known := gained[name]
	if !known {
		return fmt.Errorf("the login led to %q, which no counter knows", name)
	}
	for other, o := range gained {
		if other != name && (o.FlowsOpened > 0 || o.PacketsIn > 0) {
			return fmt.Errorf("the login led to %s, but %s counted %d flows and %d packets", name, other, o.FlowsOpened, o.PacketsIn)
		}
	}
	switch {
	case g.FlowsOpened != 1:
		return fmt.Errorf("%s counted %d flows for one login", name, g.FlowsOpened)
	case g.BytesIn < payload || g.BytesIn > payload+slack:
		return fmt.Errorf("%s counted %d bytes for %d of payload", name, g.BytesIn, payload)
	case mode == "nat" && (g.PacketsOut == 0 || g.BytesOut == 0):
		return fmt.Errorf("%s counted nothing on the way back", name)
	case mode == "nat" && g.FlowsNow != 0:
		return fmt.Errorf("%s still counts %d flows after the session", name, g.FlowsNow)
	}
	return nil
}

// proveDrain drains the backend of a living session, which must keep the drain
// from ending, and enables it again.
func (l *lab) proveDrain(ctx context.Context) (string, error) {
	session, name, err := l.openSession(ctx, "exec cat")
	if err != nil {
		return "", err
	}
	defer session.Close() // a second time it does nothing
	drain := l.startDrain(ctx, name)
	elsewhere, err := l.whileDraining(ctx, name, session, drain)
	if err != nil {
		return "", err
	}
	if err := session.Close(); err != nil {
		return "", fmt.Errorf("the session on %s: %v", name, err)
	}
	if err := <-drain; err != nil {
		return "", err
	}
	if err := l.expectState(ctx, name, "disabled"); err != nil {
		return "", err
	}
	if _, err := l.sluice.do(ctx, "enable", name, "--wait=30s"); err != nil {
		return "", err
	}
	if err := l.expectState(ctx, name, "up"); err != nil {
		return "", err
	}
	return fmt.Sprintf("the session on %s lived on to its end while %d logins went to %s; %s is up again",
		name, len(l.network.Backends)+1, strings.Join(elsewhere, " and "), name), nil
}

// startDrain runs "sluice drain NAME --wait" and returns what will say how it
// ended. In dsr the gateway cannot see a backend close, so silence counts.
func (l *lab) startDrain(ctx context.Context, name string) <-chan error {
	args := []string{"drain", name, "--wait=90s"}
	if l.mode == "dsr" {
		args = append(args, "--idle-done", "10s")
	}
	ended := make(chan error, 1)
	go func() {
		_, err := l.sluice.do(ctx, args...)
		ended <- err
	}()
	return ended
}

// whileDraining looks at a drain that a living session keeps from ending, and
// returns where new logins went.
func (l *lab) whileDraining(ctx context.Context, name string, session io.ReadWriter, drain <-chan error) ([]string, error) {
	if err := l.expectState(ctx, name, "draining"); err != nil {
		select {
		case ended := <-drain:
			return nil, errors.Join(err, ended)
		default:
			return nil, err
		}
	}
	vip := l.vips()[0]
	var elsewhere []string
	for range len(l.network.Backends) + 1 {
		landed, err := l.client.Backend(ctx, vip)
		if err != nil {
			return nil, err
		}
		if landed == name {
			return nil, fmt.Errorf("a new login went to %s although it drains", name)
		}
		if !slices.Contains(elsewhere, landed) {
			elsewhere = append(elsewhere, landed)
		}
	}
	slices.Sort(elsewhere)
	if err := echo(session); err != nil {
		return nil, fmt.Errorf("the session on %s broke: %v", name, err)
	}
	select {
	case err := <-drain:
		return nil, errors.Join(fmt.Errorf("drain --wait ended while a session lived on %s", name), err)
	default:
		return elsewhere, nil
	}
}

// echo sends a line through a session of cat and reads it back: the flow lives
// in both directions.
func echo(session io.ReadWriter) error {
	const line = "still here"
	if _, err := io.WriteString(session, line+"\n"); err != nil {
		return err
	}
	got, err := readLine(session)
	if err == nil && got != line {
		err = fmt.Errorf("it answered %q", got)
	}
	return err
}

// expectState waits until the backend is in a state. Orders are carried out when
// their command returns; health checks follow.
func (l *lab) expectState(ctx context.Context, name, want string) error {
	ctx, cancel := context.WithTimeout(ctx, l.settle)
	defer cancel()
	return l.sluice.poll(ctx, func() error {
		backends, err := l.sluice.backends(ctx)
		if err != nil {
			return err
		}
		if got := backends[name].State; got != want {
			return fmt.Errorf("%s is %q, not %s", name, got, want)
		}
		return nil
	})
}
