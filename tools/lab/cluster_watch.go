package main

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// watch says how to use the lab, and takes orders until Ctrl-C, which is its
// normal end.
func (c *cluster) watch(ctx context.Context, stdout io.Writer) error {
	fmt.Fprint(stdout, strings.Join(c.invitation(), "\n"), "\n")
	return c.takeOrders(ctx)
}

// invitation is what to do with the lab.
func (c *cluster) invitation() []string {
	lines := []string{"", "Log in through the VIP from a second terminal; Ctrl-C here ends the lab.", ""}
	for _, vip := range c.vips() {
		lines = append(lines, "  "+c.client.CommandLine(vip))
	}
	lines = append(lines, "", "Each gateway has settings, a log and a shell:", "")
	for _, n := range c.nodes {
		lines = append(lines,
			"  "+n.settings,
			"  "+n.sluice.log,
			"  "+c.options.sluice+" --socket "+n.sluice.socket+" show vips",
			"  nsenter --net=/run/netns/"+n.gateway.Name()+" bash", "")
	}
	name := ""
	if c.name != "lab" {
		name = "--name " + c.name + " "
	}
	first := c.nodes[0].label()
	lines = append(lines, "Break one, and heal it:", "")
	for _, fault := range []string{
		"poweroff " + first, "cable " + first + " ext0", "silent " + first + " int0", "silent " + first + " hb0 out",
		"kill9 " + first, "stop " + first, "restore " + first,
	} {
		lines = append(lines, "  bin/lab fault "+name+fault)
	}
	return append(lines, "")
}
