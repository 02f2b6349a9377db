package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sluice/internal/nettest"
)

// faultUsage is what an order looks like.
const faultUsage = "poweroff|kill9|stop|restore GATEWAY | cable GATEWAY LINK | silent GATEWAY LINK [in|out]"

// order is one fault, or its end.
type order struct {
	verb, gateway, link string
	way                 nettest.Direction
}

// parseOrder reads "silent gw-a ext0 out".
func parseOrder(words []string) (order, error) {
	wrong := fmt.Errorf("not understood: %q; say %s", strings.Join(words, " "), faultUsage)
	if len(words) < 2 {
		return order{}, wrong
	}
	o := order{verb: words[0], gateway: words[1], way: nettest.BothWays}
	rest := words[2:]
	switch {
	case slices.Contains([]string{"poweroff", "kill9", "stop", "restore"}, o.verb) && len(rest) == 0:
		return o, nil
	case o.verb == "cable" && len(rest) == 1, o.verb == "silent" && len(rest) == 1:
		o.link = rest[0]
		return o, nil
	case o.verb == "silent" && len(rest) == 2 && rest[1] == "in":
		o.link, o.way = rest[0], nettest.Inbound
		return o, nil
	case o.verb == "silent" && len(rest) == 2 && rest[1] == "out":
		o.link, o.way = rest[0], nettest.Outbound
		return o, nil
	}
	return order{}, wrong
}

// obey carries an order out and says what it did.
func (c *cluster) obey(o order) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.node(o.gateway)
	if err != nil {
		return "", err
	}
	switch o.verb {
	case "poweroff":
		return "all its processes are killed, all its links are dead", n.powerOff()
	case "cable":
		return o.link + " has lost its carrier", n.gateway.CableOut(o.link)
	case "silent":
		return o.link + " loses frames " + ways[o.way] + ", its carrier stays", n.gateway.SilentLoss(o.link, o.way)
	case "kill9":
		return "the process that holds the VIPs is killed", n.gateway.Kill9("sluice", "vip")
	case "stop":
		return "the process that holds the VIPs is frozen", n.gateway.Stop("sluice", "vip")
	case "restore":
		return "every fault of it is undone, sluice run runs", n.restore()
	}
	return "", errors.New("not understood: " + o.verb)
}

var ways = map[nettest.Direction]string{
	nettest.BothWays: "both ways", nettest.Inbound: "to it", nettest.Outbound: "from it",
}

// node returns a gateway by its label.
func (c *cluster) node(label string) (*node, error) {
	var known []string
	for _, n := range c.nodes {
		if n.label() == label {
			return n, nil
		}
		known = append(known, n.label())
	}
	return nil, fmt.Errorf("no gateway %q; there are %s", label, strings.Join(known, ", "))
}
