package doctor

import (
	"encoding/binary"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Of linux/netdev.h: the generic netlink family "netdev", its command and the
// attributes that are used, and the bits of the last.
const (
	netdevGet         = 1
	netdevIfindex     = 1
	netdevXDPFeatures = 3

	xdpBasic    = 1 << 0 // runs programs in the driver
	xdpTransmit = 1 << 2 // takes frames that were redirected to it
	xdpPieces   = 1 << 5 // takes frames larger than a page
)

// genlHeader is a generic netlink header: command, version, and two bytes that
// must be zero. The library's own Genlmsg ends before those two and sends what
// happens to stand behind it in memory, which newer families refuse.
type genlHeader [nl.SizeofGenlmsg]byte

// Len implements nl.NetlinkRequestData.
func (genlHeader) Len() int { return nl.SizeofGenlmsg }

// Serialize implements nl.NetlinkRequestData.
func (h genlHeader) Serialize() []byte { return h[:] }

// xdpFeatures asks the kernel (6.3 and later) what a driver can do with XDP.
func xdpFeatures(index int) (features uint64, told bool) {
	family, err := netlink.GenlFamilyGet("netdev")
	if err != nil {
		return 0, false
	}
	request := nl.NewNetlinkRequest(int(family.ID), 0)
	request.AddData(genlHeader{netdevGet, 1})
	request.AddData(nl.NewRtAttr(netdevIfindex, nl.Uint32Attr(uint32(index))))
	answers, err := request.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return 0, false
	}
	for _, answer := range answers {
		if len(answer) < nl.SizeofGenlmsg {
			continue
		}
		attrs, err := nl.ParseRouteAttr(answer[nl.SizeofGenlmsg:])
		if err != nil {
			return 0, false
		}
		for _, a := range attrs {
			if a.Attr.Type == netdevXDPFeatures && len(a.Value) == 8 {
				return binary.NativeEndian.Uint64(a.Value), true
			}
		}
	}
	return 0, false
}
