package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// aliveWithin is how long TCP may take to send again after a blackout.
const aliveWithin = 20 * time.Second

// prove shows that a login works, and that one gateway's power failure ends
// neither that nor a connection that was open.
func (c *cluster) prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proveWithin)
	defer cancel()
	began := time.Now()
	found, err := c.logins(ctx, c.vips())
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	c.report.line("login", "ok, %s (%.1f s)", found, time.Since(began).Seconds())
	began = time.Now()
	found, err = c.proveFailover(ctx)
	if err != nil {
		return fmt.Errorf("failover: %w", err)
	}
	c.report.line("failover", "ok, %s (%.1f s)", found, time.Since(began).Seconds())
	return nil
}

// proveFailover powers the active gateway off under an open connection.
func (c *cluster) proveFailover(ctx context.Context) (string, error) {
	active, err := c.active(ctx)
	if err != nil {
		return "", err
	}
	held, end := context.WithCancel(ctx)
	session, err := c.client.Start(held, c.vips()[0], "exec cat")
	if err != nil {
		end()
		return "", err
	}
	defer func() {
		end() // whatever became of the connection
		_ = session.Close()
	}()
	if err := echoWithin(ctx, session, aliveWithin); err != nil {
		return "", fmt.Errorf("a new session: %w", err)
	}
	if err := c.synced(ctx, active); err != nil {
		return "", err
	}
	if _, err := c.order([]string{"poweroff", active.label()}); err != nil {
		return "", err
	}
	began := time.Now()
	if err := c.loginAgain(ctx); err != nil {
		return "", fmt.Errorf("%s is off, and no login works: %w", active.label(), err)
	}
	after := time.Since(began)
	if err := echoWithin(ctx, session, aliveWithin); err != nil {
		return "", fmt.Errorf("%s is off, and with it an old session: %w", active.label(), err)
	}
	next, err := c.active(ctx)
	if err != nil {
		return "", err
	}
	if _, err := c.order([]string{"restore", active.label()}); err != nil {
		return "", err
	}
	if _, err := active.sluice.ready(ctx); err != nil {
		return "", fmt.Errorf("%s does not come back: %w", active.label(), err)
	}
	return fmt.Sprintf("%s was powered off: %s led on, the next login was through after %.1f s, the old session lived on; it is back",
		active.label(), next.label(), after.Seconds()), nil
}

// synced waits until the others have the flows of the active gateway.
func (c *cluster) synced(ctx context.Context, active *node) error {
	ctx, cancel := context.WithTimeout(ctx, c.settle)
	defer cancel()
	return retry(ctx, func() error {
		for _, n := range c.nodes {
			var answer vipsAnswer
			if n == active || n.gateway.Off() {
				continue
			}
			if err := n.sluice.query(ctx, &answer, "show", "vips"); err != nil {
				return err
			}
			if err := answer.synced(); err != nil {
				return fmt.Errorf("%s: %w", n.label(), err)
			}
		}
		return nil
	})
}

// loginAgain tries until a login through each VIP works.
func (c *cluster) loginAgain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.settle+aliveWithin)
	defer cancel()
	return retry(ctx, func() error {
		_, err := c.logins(ctx, c.vips())
		return err
	})
}

// active is the one gateway that says it holds all VIPs. It may take a moment
// until there is one.
func (c *cluster) active(ctx context.Context) (found *node, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.settle)
	defer cancel()
	err = retry(ctx, func() error {
		found = nil
		for _, n := range c.nodes {
			// Who is off does not answer.
			if n.gateway.Off() || !n.holdsAll(ctx) {
				continue
			}
			if found != nil {
				return fmt.Errorf("%s and %s are both active", found.label(), n.label())
			}
			found = n
		}
		if found == nil {
			return errors.New("no gateway is active")
		}
		return nil
	})
	return found, err
}

// holdsAll asks a gateway whether it is active for every VIP.
func (n *node) holdsAll(ctx context.Context) bool {
	var answer vipsAnswer
	return n.sluice.query(ctx, &answer, "show", "vips") == nil && answer.allActive()
}

// vipsAnswer is what the lab reads of "show vips --json".
type vipsAnswer struct {
	Clusters []struct {
		State string
		Sync  []struct{ Peer, State string }
	} `json:"virtual_clusters"`
}

// synced says which flows are not here.
func (a vipsAnswer) synced() error {
	for _, c := range a.Clusters {
		for _, s := range c.Sync {
			if s.State != "synced" {
				return fmt.Errorf("the flows of %s are not here: flow sync is %q", s.Peer, s.State)
			}
		}
	}
	return nil
}

func (a vipsAnswer) allActive() bool {
	for _, c := range a.Clusters {
		if c.State != "active" {
			return false
		}
	}
	return len(a.Clusters) > 0
}

// retry tries until it succeeds or ctx ends, and then says what was missing.
func retry(ctx context.Context, try func() error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		missing := try()
		if missing == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", ctx.Err(), missing)
		case <-tick.C:
		}
	}
}

// echoWithin is echo with an end: what is dead does not say so.
func echoWithin(ctx context.Context, session io.ReadWriter, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- echo(session) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("it does not answer: %w", ctx.Err())
	}
}
