package doctor

import (
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/loader"
)

// Card implements [linkReader].
func (system) Card(name string) (card, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return card{}, fmt.Errorf("read interface %q: %v", name, err)
	}
	a := link.Attrs()
	c := card{
		Up: a.Flags&net.FlagUp != 0, MTU: a.MTU, Driver: driver(name),
		GRO: ethtoolValue(name, unix.ETHTOOL_GGRO) != 0,
	}
	flags := ethtoolValue(name, unix.ETHTOOL_GFLAGS)
	c.LRO, c.Untags = flags&flagLRO != 0, flags&flagRXVLAN != 0
	c.RXQueues, _ = queues(a)
	if x := a.Xdp; x != nil && x.Attached {
		c.Program = &program{ID: x.ProgId, Name: programName(x.ProgId)}
	}
	// The kernel's word beats any list of drivers, which ages.
	if features, told := xdpFeatures(a.Index); told {
		c.Told = true
		c.Native = features&xdpBasic != 0
		c.Redirect = features&xdpTransmit != 0
		c.Pieces = features&xdpPieces != 0 && loader.Fragments()
	}
	if link.Type() == "veth" {
		c.peer(a)
	}
	return c, nil
}

// peer looks at the far end of a veth where it is in this namespace.
func (c *card) peer(a *netlink.LinkAttrs) {
	c.Peer = true
	if a.NetNsID >= 0 { // the kernel names a namespace only where it is another
		return
	}
	peer, err := netlink.LinkByIndex(a.ParentIndex)
	if err != nil {
		return
	}
	c.PeerHere = true
	c.PeerName = peer.Attrs().Name
	c.PeerMTU = peer.Attrs().MTU
	_, c.PeerTXQueues = queues(peer.Attrs())
	c.PeerTXChecksum = ethtoolValue(c.PeerName, unix.ETHTOOL_GTXCSUM) != 0
}

// programName is "" for those who may not look.
func programName(id uint32) string {
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return ""
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}
