package address

import (
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"sluice/internal/dump"
)

const (
	// forever is the lifetime of an address without a lease (linux/if_addr.h).
	forever = ^uint32(0)
	// mark is the protocol of our addresses, the number of our routes: nobody
	// has registered it (linux/if_addr.h, IFA_PROTO; Linux 5.18). Older kernels
	// neither keep nor show it.
	mark     = 83
	ifaProto = 11
)

// lying is an address as it lies on an interface.
type lying struct {
	index  int
	prefix netip.Prefix
	flags  uint32
	valid  uint32
	proto  uint8
}

// parseAddr reads the body of an RTM_NEWADDR or RTM_DELADDR message; ok is false
// for what is no address of IPv4 or IPv6.
func parseAddr(body []byte) (a lying, ok bool) {
	if len(body) < unix.SizeofIfAddrmsg {
		return lying{}, false
	}
	msg := nl.DeserializeIfAddrmsg(body)
	a = lying{index: int(msg.Index), flags: uint32(msg.Flags), valid: forever}
	var addr, local netip.Addr
	for kind, v := range attributes(body[unix.SizeofIfAddrmsg:]) {
		switch {
		case kind == unix.IFA_ADDRESS:
			addr, _ = netip.AddrFromSlice(v)
		case kind == unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(v)
		case kind == unix.IFA_FLAGS && len(v) >= 4:
			a.flags = binary.NativeEndian.Uint32(v)
		case kind == unix.IFA_CACHEINFO && len(v) >= 8:
			a.valid = binary.NativeEndian.Uint32(v[4:])
		case kind == ifaProto && len(v) >= 1:
			a.proto = v[0]
		}
	}
	// On a point-to-point interface the first is the far end's.
	if local.IsValid() {
		addr = local
	}
	a.prefix = netip.PrefixFrom(addr, int(msg.Prefixlen))
	return a, a.prefix.IsValid()
}

// attributes goes through those of a message (struct rtattr of
// linux/rtnetlink.h), up to the first that is not whole.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			size := int(binary.NativeEndian.Uint16(b))
			if size < unix.SizeofRtAttr || size > len(b) || !yield(binary.NativeEndian.Uint16(b[2:]), b[unix.SizeofRtAttr:size]) {
				return
			}
			b = b[min(len(b), (size+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1)):]
		}
	}
}

// allAddrs lists the addresses of the namespace.
func allAddrs() ([]lying, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
	bodies, err := dump.Whole(func() ([][]byte, error) { return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %v", err)
	}
	list := make([]lying, 0, len(bodies))
	for _, body := range bodies {
		if a, ok := parseAddr(body); ok {
			list = append(list, a)
		}
	}
	return list, nil
}

// lease gives an interface an address, or renews it, for so many seconds.
func lease(index int, addr netip.Addr, seconds uint32) error {
	flags, preferred := uint32(unix.IFA_F_NOPREFIXROUTE), seconds
	if addr.Is6() {
		// The other gateway may have it for a moment more. And it must not be the
		// source of connections that nobody bound to it, which is what rule 8 of
		// RFC 6724 makes of a /128: they would break when it moves.
		flags, preferred = flags|unix.IFA_F_NODAD, 0
	}
	life := binary.NativeEndian.AppendUint32(nil, preferred)
	life = append(binary.NativeEndian.AppendUint32(life, seconds), make([]byte, 8)...)
	req := addrRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, index, netip.PrefixFrom(addr, addr.BitLen()))
	req.AddData(nl.NewRtAttr(unix.IFA_FLAGS, binary.NativeEndian.AppendUint32(nil, flags)))
	req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, life))
	req.AddData(nl.NewRtAttr(ifaProto, []byte{mark}))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// remove takes an address away. One that is not there is no error.
func remove(index int, prefix netip.Prefix) error {
	_, err := addrRequest(unix.RTM_DELADDR, 0, index, prefix).Execute(unix.NETLINK_ROUTE, 0)
	if err != nil && !gone(err) {
		return err
	}
	return nil
}

func addrRequest(kind, flags int, index int, prefix netip.Prefix) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	family := unix.AF_INET
	if prefix.Addr().Is6() {
		family = unix.AF_INET6
	}
	msg := nl.NewIfAddrmsg(family)
	msg.Index, msg.Prefixlen = uint32(index), uint8(prefix.Bits())
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, prefix.Addr().AsSlice()))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, prefix.Addr().AsSlice()))
	return req
}
