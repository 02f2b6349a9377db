package nexthop

import (
	"strings"
	"testing"
)

func TestDescend(t *testing.T) {
	card := link{index: 2, name: "eth2", kind: "device", up: true, mac: mac(1, 2), mtu: 1500}
	vlan := link{index: 3, name: "eth2.20", kind: "vlan", up: true, mac: mac(1, 2), mtu: 1496, parent: 2, vlan: 20}
	vmac := link{index: 4, name: "vrrp51", kind: "macvlan", up: true, mac: mac(5, 1), mtu: 1500, parent: 2}
	with := func(l link, change func(*link)) link { change(&l); return l }
	tests := []struct {
		name   string
		links  []link // the first is where the path begins
		want   path
		reason string
	}{
		{"card", []link{card}, path{name: "eth2", below: "eth2", carrier: 2, source: mac(1, 2), mtu: 1500}, ""},
		{"VLAN", []link{vlan, card}, path{name: "eth2.20", below: "eth2", carrier: 2, source: mac(1, 2), vlan: 20, mtu: 1496}, ""},
		{"macvlan sends its own MAC", []link{vmac, card}, path{name: "vrrp51", below: "eth2", carrier: 2, source: mac(5, 1), mtu: 1500}, ""},
		{
			"macvlan on VLAN",
			[]link{with(vmac, func(l *link) { l.parent = 3 }), vlan, card},
			path{name: "vrrp51", below: "eth2", carrier: 2, source: mac(5, 1), vlan: 20, mtu: 1500},
			"",
		},
		{
			"a bond is what carries XDP",
			[]link{with(card, func(l *link) { l.kind, l.name = "bond", "bond0" })},
			path{name: "bond0", below: "bond0", carrier: 2, source: mac(1, 2), mtu: 1500},
			"",
		},
		{
			"loopback's MTU does not fit",
			[]link{with(card, func(l *link) { l.mtu = 65536 })},
			path{name: "eth2", below: "eth2", carrier: 2, source: mac(1, 2), mtu: 65535},
			"",
		},
		{"down", []link{with(card, func(l *link) { l.up = false })}, path{}, `"eth2" is down`},
		{"carrier down", []link{vlan, with(card, func(l *link) { l.up = false })}, path{}, `"eth2" is down`},
		{"no Ethernet", []link{{index: 9, name: "wg0", kind: "wireguard", up: true}}, path{}, "no Ethernet address"},
		{"no such interface", []link{with(vlan, func(l *link) { l.parent = 77 })}, path{}, "interface 77"},
		{"parent abroad", []link{with(vmac, func(l *link) { l.abroad = true })}, path{}, "another namespace"},
		{
			"two tags",
			[]link{with(vlan, func(l *link) { l.index, l.parent, l.name = 5, 3, "qinq" }), vlan, card},
			path{},
			"second VLAN tag",
		},
		{"circle", []link{with(vmac, func(l *link) { l.parent = 4 })}, path{}, "lies on more than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := newFakeKernel()
			for _, l := range test.links {
				k.ifaces[l.index] = l
			}
			got, err := descend(newLinks(k), test.links[0].index)
			if test.reason != "" {
				if err == nil || !strings.Contains(err.Error(), test.reason) {
					t.Fatalf("descend = %+v, %v; want an error with %q", got, err, test.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.source.String() != test.want.source.String() {
				t.Errorf("source = %s, want %s", got.source, test.want.source)
			}
			got.source, test.want.source = nil, nil
			if got.name != test.want.name || got.below != test.want.below || got.carrier != test.want.carrier ||
				got.vlan != test.want.vlan || got.mtu != test.want.mtu {
				t.Errorf("descend = %+v, want %+v", got, test.want)
			}
		})
	}
}
