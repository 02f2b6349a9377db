package failover

import (
	"os"
	"testing"
)

// full says that tests are to have the sizes we claim, which take minutes.
func full() bool { return os.Getenv("SLUICE_TEST_FULL") == "1" }

// TestSessions: SSH sessions outlive the gateway that carried them, whatever
// the services' mode; they outlive its return, and ten changes of places.
func TestSessions(t *testing.T) {
	many, stock, rounds := 195, 5, 2
	if full() {
		many, stock, rounds = 1950, 50, 10
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			c := gather(t, w, many, stock)
			a, b := c.each[0], c.each[1]
			c.whole("before anything happens")
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
					c.off()
				}
			}
			c.shown("swaps")
		})
	}
}

// swapped has the gateways change places twice, by order.
func (c *crowds) swapped() {
	c.t.Helper()
	a, b := c.each[0], c.each[1]
	_, err := a.try("vip", "swap", "--for", "10m", "edge")
	must(c.t, err)
	c.want("backup", "active")
	c.whole("gw-b took over by order")
	a.synced(c.total)
	_, err = b.try("vip", "swap", "edge")
	must(c.t, err)
	c.want("active", "backup")
	c.whole("gw-a took over by order")
}

// off has the active gateway lose its power, and return.
func (c *crowds) off() {
	c.t.Helper()
	a := c.each[0]
	a.powerOff()
	c.want("off", "active")
	c.whole("gw-a is powered off again")
	a.powerOn()
	c.want("active", "backup")
	c.whole("gw-a is back again")
}
