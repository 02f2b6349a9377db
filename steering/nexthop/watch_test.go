package nexthop

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// attr is one netlink attribute, padded.
func attr(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func message(kind uint16, parts ...[]byte) syscall.NetlinkMessage {
	m := syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind}}
	for _, p := range parts {
		m.Data = append(m.Data, p...)
	}
	return m
}

func TestDecode(t *testing.T) {
	ndmsg := func(family byte) []byte { return []byte{family, 0, 0, 0, 7, 0, 0, 0, unix.NUD_REACHABLE, 0, 0, 1} }
	rtmsg := func(family, bits byte) []byte { return []byte{family, bits, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0} }
	ifaddr := []byte{unix.AF_INET, 24, 0, 0, 7, 0, 0, 0}
	four := []byte{10, 0, 0, 1}
	tests := []struct {
		name string
		msg  syscall.NetlinkMessage
		want event
		ok   bool
	}{
		{
			"neighbour",
			message(unix.RTM_NEWNEIGH, ndmsg(unix.AF_INET), attr(netlink.NDA_DST, four...),
				attr(netlink.NDA_LLADDR, 2, 0, 0, 0, 0, 9), attr(netlink.NDA_FLAGS_EXT, 1, 0, 0, 0)),
			event{
				kind: eventNeighbour, key: key{7, addr("10.0.0.1")},
				neighbour: neighbour{state: unix.NUD_REACHABLE, mac: []byte{2, 0, 0, 0, 0, 9}, managed: true},
			},
			true,
		},
		{
			"neighbour without MAC or flags",
			message(unix.RTM_NEWNEIGH, ndmsg(unix.AF_INET), attr(netlink.NDA_DST, four...)),
			event{kind: eventNeighbour, key: key{7, addr("10.0.0.1")}, neighbour: neighbour{state: unix.NUD_REACHABLE}},
			true,
		},
		{
			"neighbour gone",
			message(unix.RTM_DELNEIGH, ndmsg(unix.AF_INET6), attr(netlink.NDA_DST, addr("fd00::1").AsSlice()...)),
			event{kind: eventNeighbourGone, key: key{7, addr("fd00::1")}},
			true,
		},
		{"bridge's forwarding table", message(unix.RTM_NEWNEIGH, ndmsg(unix.AF_BRIDGE), attr(netlink.NDA_DST, four...)), event{}, false},
		{"neighbour without address", message(unix.RTM_NEWNEIGH, ndmsg(unix.AF_INET)), event{}, false},
		{"neighbour with half an address", message(unix.RTM_NEWNEIGH, ndmsg(unix.AF_INET), attr(netlink.NDA_DST, 10, 0)), event{}, false},
		{"short neighbour", message(unix.RTM_NEWNEIGH, ndmsg(unix.AF_INET)[:8]), event{}, false},
		{"neighbour with short flags", message(unix.RTM_NEWNEIGH, ndmsg(unix.AF_INET), attr(netlink.NDA_DST, four...), attr(netlink.NDA_FLAGS_EXT, 1)),
			event{kind: eventNeighbour, key: key{7, addr("10.0.0.1")}, neighbour: neighbour{state: unix.NUD_REACHABLE}}, true},
		{
			"route",
			message(unix.RTM_NEWROUTE, rtmsg(unix.AF_INET, 24), attr(unix.RTA_DST, 10, 1, 2, 0)),
			event{kind: eventRoute, prefix: netip.MustParsePrefix("10.1.2.0/24")},
			true,
		},
		{"default route", message(unix.RTM_DELROUTE, rtmsg(unix.AF_INET, 0)), event{kind: eventRoute, prefix: netip.MustParsePrefix("0.0.0.0/0")}, true},
		{"default route, v6", message(unix.RTM_NEWROUTE, rtmsg(unix.AF_INET6, 0)), event{kind: eventRoute, prefix: netip.MustParsePrefix("::/0")}, true},
		{"MPLS route", message(unix.RTM_NEWROUTE, rtmsg(unix.AF_MPLS, 0)), event{}, false},
		{"route longer than its address", message(unix.RTM_NEWROUTE, rtmsg(unix.AF_INET, 64), attr(unix.RTA_DST, four...)), event{}, false},
		{"short route", message(unix.RTM_NEWROUTE, rtmsg(unix.AF_INET, 0)[:5]), event{}, false},
		{
			"point-to-point address: ours is the local one",
			message(unix.RTM_NEWADDR, ifaddr, attr(unix.IFA_ADDRESS, 10, 9, 9, 9), attr(unix.IFA_LOCAL, four...)),
			event{kind: eventAddress, prefix: netip.MustParsePrefix("10.0.0.1/24")},
			true,
		},
		{"link", message(unix.RTM_DELLINK, []byte{0, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), event{kind: eventLink, link: 9}, true},
		{"short link", message(unix.RTM_NEWLINK, []byte{0, 0, 1, 0, 9, 0}), event{}, false},
		{"rule", message(unix.RTM_NEWRULE), event{kind: eventPolicy}, true},
		{"nexthop object", message(unix.RTM_DELNEXTHOP), event{kind: eventPolicy}, true},
		{"something else", message(unix.RTM_NEWQDISC, rtmsg(0, 0)), event{}, false},
		{
			"last attribute without padding", // found by fuzzing, in a library's parser
			message(unix.RTM_NEWADDR, ifaddr, []byte{7, 0, 99, 0, 1, 2, 3}),
			event{kind: eventAddress, prefix: netip.MustParsePrefix("0.0.0.0/0")},
			true,
		},
		{"attribute shorter than itself", message(unix.RTM_NEWROUTE, rtmsg(unix.AF_INET, 8), []byte{3, 0, 1, 0, 10, 0, 0, 0}), event{}, false},
		{"attribute longer than the message", message(unix.RTM_NEWROUTE, rtmsg(unix.AF_INET, 8), []byte{200, 0, 1, 0, 10, 0, 0, 0}), event{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := decode(test.msg)
			if ok != test.ok {
				t.Fatalf("decode = %+v, %v; want ok %v", got, ok, test.ok)
			}
			if !ok {
				return
			}
			opts := cmp.Options{
				cmp.AllowUnexported(event{}, key{}, neighbour{}), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
			}
			if diff := cmp.Diff(test.want, got, opts); diff != "" {
				t.Errorf("decode (-want +got):\n%s", diff)
			}
		})
	}
}

// No message makes the decoder panic, and what it lets through is usable.
func FuzzDecode(f *testing.F) {
	f.Add(uint16(unix.RTM_NEWNEIGH), []byte{2, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 1, 8, 0, 1, 0, 10, 0, 0, 1})
	f.Add(uint16(unix.RTM_NEWROUTE), []byte{2, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0, 8, 0, 1, 0, 10, 0, 0, 1})
	f.Add(uint16(unix.RTM_NEWADDR), []byte{2, 24, 0, 0, 7, 0, 0, 0, 8, 0, 2, 0, 10, 0, 0, 1})
	f.Add(uint16(unix.RTM_NEWLINK), make([]byte, 16))
	f.Fuzz(func(t *testing.T, kind uint16, data []byte) {
		e, ok := decode(syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind}, Data: data})
		if !ok {
			return
		}
		switch e.kind {
		case eventNeighbour, eventNeighbourGone:
			if !e.key.addr.IsValid() {
				t.Errorf("neighbour without address: %+v", e)
			}
		case eventRoute, eventAddress:
			if !e.prefix.IsValid() {
				t.Errorf("invalid prefix: %+v", e)
			}
		case eventLink, eventPolicy:
		default:
			t.Errorf("decoded to nothing: %+v", e)
		}
	})
}
