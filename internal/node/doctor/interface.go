package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"sluice/internal/node/links"
)

// ourPrograms are the names of our XDP programs, as the kernel shows them.
var ourPrograms = []string{"steer", "decap"}

// maxMTU is what a program that wants a packet in one piece leaves of a page.
// Drivers differ by a few bytes; those that were measured are named.
func maxMTU(driver string) int {
	switch driver {
	case "veth":
		return 3506
	case "bnxt_en":
		return 3502
	default:
		return 3498
	}
}

// nativeDrivers have native XDP; asked only where the kernel does not say.
var nativeDrivers = map[string]bool{
	"atlantic": true, "bnxt_en": true, "bonding": true, "dpaa2-eth": true, "ena": true, "enetc": true,
	"fsl_dpaa2_eth": true, "gve": true, "hv_netvsc": true, "i40e": true, "iavf": true, "ice": true, "igb": true,
	"igc": true, "ixgbe": true, "ixgbevf": true, "mlx4_en": true, "mlx5_core": true, "mvneta": true, "mvpp2": true,
	"nfp": true, "qede": true, "sfc": true, "stmmac": true, "thunder-nicvf": true, "tsnep": true, "tun": true,
	"veth": true, "virtio_net": true, "vmxnet3": true,
}

// checkInterfaces looks at each interface that is to carry the program. The
// kernel refuses some of what is found here with an error number that says
// little (ERANGE, ENOSPC, EBUSY), and takes the rest and drops packets.
func checkInterfaces(_ context.Context, e *examination) {
	for _, name := range e.selection.Names {
		subject := "interface " + name
		c, err := e.machine.Card(name)
		if err != nil {
			e.fail(subject, err.Error(), "name an interface of this machine in dataplane.interfaces")
			continue
		}
		if !c.Up {
			e.fail(subject, "is down", "ip link set "+name+" up")
		}
		e.checkProgram(subject, name, c)
		native := e.checkMode(subject, name, c)
		e.checkQueues(subject, c)
		e.checkOffloads(subject, name, c, native)
	}
}

// checkProgram looks for somebody else's XDP program. Two cannot share an
// interface.
func (e *examination) checkProgram(subject, name string, c card) {
	if c.Program == nil {
		return
	}
	for _, a := range e.node.status.Attachments {
		if a.Interface == name {
			e.pass(subject, "carries our program, %s", a.Mode)
			return
		}
	}
	switch {
	case slices.Contains(ourPrograms, c.Program.Name):
		e.pass(subject, "carries our program, of a node that does not run now")
	case c.Program.Name == "":
		e.warn(subject, fmt.Sprintf("carries XDP program id %d, whose name only root may see", c.Program.ID), "run doctor as root")
	default:
		e.fail(subject, fmt.Sprintf("carries another XDP program, %q (id %d)", c.Program.Name, c.Program.ID),
			"take it off (ip link set "+name+" xdp off, or stop whoever put it there), or leave the interface out of the settings")
	}
}

// checkMode says whether native XDP can run, and what stands against it.
func (e *examination) checkMode(subject, name string, c card) (native bool) {
	mode := e.settings.Dataplane.XDP
	native = c.Native
	if !c.Told {
		native = nativeDrivers[c.Driver]
	}
	against := Warn // generic takes over
	if mode == "native" {
		against = Fail
	}
	limit := maxMTU(c.Driver)
	switch {
	case mode == "generic":
		e.pass(subject, "driver %s, generic XDP as dataplane.xdp asks", c.Driver)
		return false
	case !native:
		e.add(against, subject, fmt.Sprintf("driver %s has no native XDP: packets cost several times more", c.Driver),
			"use another card, or dataplane.xdp: generic to accept it")
		return false
	case c.MTU > limit && !c.Pieces:
		e.add(against, subject, fmt.Sprintf("MTU %d is over the %d that native XDP takes", c.MTU, limit),
			fmt.Sprintf("ip link set %s mtu %d", name, limit))
		return false
	case c.PeerHere && c.PeerMTU > limit && !c.Pieces:
		e.add(against, subject, fmt.Sprintf("its veth peer %s has MTU %d, over the %d that native XDP takes", c.PeerName, c.PeerMTU, limit),
			fmt.Sprintf("ip link set %s mtu %d", c.PeerName, limit))
		return false
	case c.PeerHere && c.RXQueues < c.PeerTXQueues:
		e.add(against, subject, fmt.Sprintf("has %d receive queues for the %d its veth peer %s sends by", c.RXQueues, c.PeerTXQueues, c.PeerName),
			fmt.Sprintf("ethtool -L %s tx %d", c.PeerName, c.RXQueues))
		return false
	}
	e.pass(subject, "driver %s can run native XDP, MTU %d", c.Driver, c.MTU)
	return true
}

// checkQueues: XDP runs where the queue's interrupt does, so one queue means one
// processor. A veth has no interrupts and is left out.
func (e *examination) checkQueues(subject string, c card) {
	cpus := e.machine.CPUs()
	if c.RXQueues == 1 && cpus > 1 && !c.Peer {
		e.warn(subject, fmt.Sprintf("has one receive queue: of %d processors one does all the work", cpus),
			"give it more queues (ethtool -L), or spread them by receive packet steering")
		return
	}
	e.pass(subject, "%d receive queues for %d processors", c.RXQueues, cpus)
}

// vlanOn names a VLAN interface whose frames come and go by another, "" if there
// is none.
func (e *examination) vlanOn(name string) string {
	for _, index := range slices.Sorted(maps.Keys(e.links)) {
		if l := e.links[index]; l.Kind == "vlan" && links.Carrier(e.links, l).Name == name {
			return l.Name
		}
	}
	return ""
}

// checkOffloads looks for what builds packets that XDP cannot handle.
func (e *examination) checkOffloads(subject, name string, c card, native bool) {
	before := len(e.findings)
	if c.LRO {
		e.warn(subject, "large receive offload joins packets of several flows' segments, which cannot be forwarded", "ethtool -K "+name+" lro off")
	}
	if c.GRO && !native {
		e.warn(subject, "generic receive offload joins packets before generic XDP sees them", "ethtool -K "+name+" gro off")
	}
	if vlan := e.vlanOn(name); vlan != "" && c.Untags {
		e.warn(subject, "takes the tags of "+vlan+" off before XDP sees the frames, which then seem to be of another VLAN", "ethtool -K "+name+" rxvlan off")
	}
	if native && c.Told && !c.Redirect {
		e.warn(subject, "does not take frames that XDP redirects to it: packets leaving by it are lost",
			"for a veth attach a program at its far end or switch GRO on there; else leave it out of dataplane.interfaces")
	}
	switch {
	case c.PeerHere && c.PeerTXChecksum:
		e.warn(subject, "its veth peer "+c.PeerName+" leaves checksums to hardware that is not there: forwarded packets are dropped by their receiver",
			"ethtool -K "+c.PeerName+" tx off")
	case c.Peer && !c.PeerHere:
		e.warn(subject, "is a veth whose far end is in another namespace, which cannot be looked at",
			"see there that \"ethtool -k\" shows tx-checksumming off, else forwarded packets are dropped by their receiver")
	}
	if len(e.findings) == before {
		e.pass(subject, "no offload stands in the way")
	}
}
