package failover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"sync"
	"time"

	"sluice/vip"
	"sluice/vip/election"
)

// patience is how long a call may take.
const patience = 5 * time.Second

// receiver has the calls as package rpc wants them.
type receiver struct{ daemon *vip.Daemon }

// Nothing is the argument or answer of calls that have none.
type Nothing struct{ None bool }

// Order is what an operator wants of a virtual cluster.
type Order struct {
	Cluster string
	Order   election.Order
	Hold    time.Duration
}

// Refused is an order's outcome: why it was not carried out, "" when it was.
type Refused struct{ Why string }

// Words that tell the refusals of orders apart.
const (
	notActive = "not_active"
	nobody    = "nobody"
	fault     = "fault"
)

// Apply takes another plan.
func (r *receiver) Apply(p vip.Plan, _ *Nothing) error { return r.daemon.Apply(p) }

// Health tells how the gateway is.
func (r *receiver) Health(h vip.Health, _ *Nothing) error {
	r.daemon.SetHealth(h)
	return nil
}

// Status tells how all is.
func (r *receiver) Status(_ Nothing, s *vip.Status) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	*s, err = r.daemon.Status(ctx)
	return err
}

// Roles are those of all clusters, with their number.
type Roles struct {
	List   []vip.Role
	Number uint64
}

// rolesWait bounds how long a call for roles waits for others.
const rolesWait = 2 * time.Second

// Roles waits for roles other than those of a number.
func (r *receiver) Roles(since uint64, answer *Roles) error {
	ctx, cancel := context.WithTimeout(context.Background(), rolesWait)
	defer cancel()
	answer.List, answer.Number = r.daemon.Roles(ctx, since)
	return nil
}

// History tells what changed.
func (r *receiver) History(_ Nothing, h *[]vip.Change) error {
	*h = r.daemon.History()
	return nil
}

// Order carries an order out.
func (r *receiver) Order(o Order, answer *Refused) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := r.daemon.Order(ctx, o.Cluster, o.Order, o.Hold)
	switch {
	case errors.Is(err, election.ErrNotActive):
		answer.Why = notActive
	case errors.Is(err, election.ErrNobody):
		answer.Why = nobody
	case errors.Is(err, election.ErrFault):
		answer.Why = fault
	default:
		return err
	}
	return nil
}

// Client speaks to the vip process; it connects when needed. It may be used by
// several goroutines.
type Client struct {
	socket string

	mu   sync.Mutex
	conn *rpc.Client
}

// NewClient returns a client of the vip process at a socket.
func NewClient(socket string) *Client { return &Client{socket: socket} }

// ErrAway says that the vip process does not answer.
var ErrAway = errors.New("the vip process does not answer")

func (c *Client) call(ctx context.Context, method string, args, answer any) error {
	conn, err := c.connection()
	if err != nil {
		return fmt.Errorf("%w: %v", ErrAway, err)
	}
	call := conn.Go(service+"."+method, args, answer, make(chan *rpc.Call, 1))
	timer := time.NewTimer(2 * patience)
	defer timer.Stop()
	select {
	case <-call.Done:
	case <-ctx.Done():
		c.drop(conn)
		return fmt.Errorf("%w: %v", ErrAway, ctx.Err())
	case <-timer.C:
		c.drop(conn)
		return fmt.Errorf("%w: it hangs", ErrAway)
	}
	if said, ok := errors.AsType[rpc.ServerError](call.Error); ok {
		return errors.New(string(said))
	}
	if call.Error != nil {
		c.drop(conn)
		return fmt.Errorf("%w: %v", ErrAway, call.Error)
	}
	return nil
}

func (c *Client) connection() (*rpc.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		return c.conn, nil
	}
	conn, err := net.DialTimeout("unix", c.socket, patience)
	if err != nil {
		return nil, err
	}
	c.conn = rpc.NewClient(conn)
	return c.conn, nil
}

func (c *Client) drop(conn *rpc.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == conn {
		c.conn = nil
	}
	_ = conn.Close()
}

// Close ends the connection.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// Apply gives the vip process another plan. Errors of a process that is away wrap
// ErrAway, here and below.
func (c *Client) Apply(ctx context.Context, p vip.Plan) error {
	return c.call(ctx, "Apply", p, &Nothing{})
}

// SetHealth tells how this gateway is.
func (c *Client) SetHealth(ctx context.Context, h vip.Health) error {
	return c.call(ctx, "Health", h, &Nothing{})
}

// Status asks how the virtual clusters are.
func (c *Client) Status(ctx context.Context) (s vip.Status, err error) {
	err = c.call(ctx, "Status", Nothing{}, &s)
	return s, err
}

// Roles waits up to some seconds for roles other than those of a number, and returns
// those that are then.
func (c *Client) Roles(ctx context.Context, since uint64) (r Roles, err error) {
	err = c.call(ctx, "Roles", since, &r)
	return r, err
}

// History asks what changed, the oldest first.
func (c *Client) History(ctx context.Context) (h []vip.Change, err error) {
	err = c.call(ctx, "History", Nothing{}, &h)
	return h, err
}

// Order has an operator's order carried out. It may return an error that wraps one
// of package election.
func (c *Client) Order(ctx context.Context, cluster string, o election.Order, hold time.Duration) error {
	var answer Refused
	if err := c.call(ctx, "Order", Order{cluster, o, hold}, &answer); err != nil {
		return err
	}
	switch answer.Why {
	case notActive:
		return fmt.Errorf("virtual cluster %q: %w", cluster, election.ErrNotActive)
	case nobody:
		return fmt.Errorf("virtual cluster %q: %w", cluster, election.ErrNobody)
	case fault:
		return fmt.Errorf("virtual cluster %q: %w", cluster, election.ErrFault)
	}
	return nil
}
