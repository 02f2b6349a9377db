package failover

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// full says that tests are to have the sizes we claim, which take minutes.
func full() bool { return os.Getenv("SLUICE_TEST_FULL") == "1" }

// beside lets a test run beside others, unless it has the machine for itself.
func beside(t *testing.T) {
	t.Helper()
	if !full() {
		t.Parallel()
	}
}

// TestSessions: SSH sessions outlive the gateway that carried them, whatever
// the services' mode; they outlive its return, and ten changes of places.
func TestSessions(t *testing.T) {
	many, stock, rounds := 196, 4, 2
	if full() {
		many, stock, rounds = 1948, 52, 10
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			beside(t)
			c := gather(t, w, many, stock)
			a, b := c.each[0], c.each[1]
			c.whole("before anything happens")
			c.contradict()
			b.synced(c.total)
			a.powerOff()
			c.want("off", "active")
			c.whole("gw-a is powered off")
			a.powerOn()
			c.want("active", "backup")
			c.whole("gw-a is back")
			for i := range rounds {
				b.synced(c.total)
				if i%2 == 0 {
					c.swapped()
				} else {
					c.off(c.each[i/2%2])
				}
			}
			c.shown(fmt.Sprintf("1 power failure and %d changes of places and back", rounds))
		})
	}
}

// swap has the first of the gateways' states become these by order. An order may
// be overtaken where the machine is so late that a gateway loses its role just
// then; so it is given again as long as nothing came of it.
func (c *crowds) swap(to string, words ...string) {
	c.t.Helper()
	from, rest := c.each[0], map[string]string{"active": "backup", "backup": "active"}
	if to == "active" {
		from = c.each[1]
	}
	old, want := []string{rest[to], to}, []string{to, rest[to]}
	c.eventually("the gateways swap", func() error {
		got := c.states()
		if slices.Equal(got, want) {
			return nil
		}
		if !slices.Equal(got, old) {
			return fmt.Errorf("they are %v", got)
		}
		if _, err := from.try(append([]string{"vip", "swap"}, append(words, "edge")...)...); err != nil {
			return err
		}
		return fmt.Errorf("the order was given to %s", from.Label)
	})
}

// swapped has the gateways change places twice, by order.
func (c *crowds) swapped() {
	c.t.Helper()
	c.swap("backup", "--for", "10m")
	c.whole("gw-b took over by order")
	c.each[0].synced(c.total)
	c.swap("active")
	c.whole("gw-a took over by order")
}

// off has a gateway lose its power while it is active, and return.
func (c *crowds) off(g *gateway) {
	c.t.Helper()
	a, b := c.each[0], c.each[1]
	left := "active"
	if g == b {
		c.swap("backup", "--for", "10m")
		a.synced(c.total)
	}
	g.powerOff()
	if g == a {
		c.want("off", left)
	} else {
		c.want(left, "off")
	}
	c.whole(g.Label + " is powered off")
	g.powerOn()
	c.want("active", "backup")
	c.whole(g.Label + " is back")
}
