package vrrp_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"sluice/vip/vrrp"
)

// What keepalived 2.2.7 sent on a veth pair, byte for byte.
func TestKeepalived(t *testing.T) {
	const from4, from6 = "192.0.2.1", "fe80::ff:fe00:a"
	for _, row := range []struct {
		name, source, payload string
		advert                vrrp.Advert
		rules                 vrrp.Rules
		mismatch              bool
		refusal               vrrp.Refusal
	}{
		{name: "version 2", source: from4, payload: "2133 9602 0001 c3fe c000 0264 c000 0265 0000 0000 0000 0000",
			advert: vrrp.Advert{Version: 2, Interval: time.Second, Addresses: addresses("192.0.2.100,192.0.2.101")}},
		{name: "version 2 with a password", source: from4, payload: "2133 9601 0101 4919 c000 0264 7365 6372 6574 0000",
			advert: vrrp.Advert{Version: 2}, refusal: vrrp.AuthPassword},
		{name: "version 3", source: from4, payload: "3133 9602 000a 1161 c000 0264 c000 0265", mismatch: true,
			advert: vrrp.Advert{Version: 3, Interval: 100 * time.Millisecond, Addresses: addresses("192.0.2.100,192.0.2.101")}},
		{name: "version 3, as expected", source: from4, payload: "3133 9602 000a 1161 c000 0264 c000 0265",
			rules:  vrrp.Rules{Dialect: vrrp.WithPseudoHeader},
			advert: vrrp.Advert{Version: 3, Interval: 100 * time.Millisecond, Addresses: addresses("192.0.2.100,192.0.2.101")}},
		{name: "IPv6", source: from6, payload: "3133 9602 0032 0d26 fe80 0000 0000 0000 0000 0000 0000 0100 2001 0db8 0000 0000 0000 0000 0000 0100",
			advert: vrrp.Advert{Version: 3, Interval: 500 * time.Millisecond, Addresses: addresses("fe80::100,2001:db8::100")}},
		{name: "IPv6 without a link-local address", source: from6, payload: "3133 9601 0032 0cb8 2001 0db8 0000 0000 0000 0000 0000 0100",
			advert: vrrp.Advert{Version: 3}, refusal: vrrp.FirstNotLinkLocal},
		{name: "the same, allowed", source: from6, payload: "3133 9601 0032 0cb8 2001 0db8 0000 0000 0000 0000 0000 0100",
			rules:  vrrp.Rules{AnyFirst: true},
			advert: vrrp.Advert{Version: 3, Interval: 500 * time.Millisecond, Addresses: addresses("2001:db8::100")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := vrrp.Packet{Path: vrrp.Path{Source: netip.MustParseAddr(row.source), Destination: vrrp.Group4}, HopLimit: 255, Payload: unhex(t, row.payload)}
			if p.Source.Is6() {
				p.Destination = vrrp.Group6
			}
			row.advert.VRID = 51
			if row.refusal == vrrp.Accepted {
				row.advert.Priority = 150
			}
			r, refusal := vrrp.Parse(p, row.rules)
			if refusal != row.refusal || r.Mismatch != row.mismatch || !same(r.Advert, row.advert) {
				t.Errorf("%v, mismatch %v, %+v", refusal, r.Mismatch, r.Advert)
			}
			if refusal != vrrp.Accepted || row.mismatch {
				return
			}
			if made, err := vrrp.Append(nil, &r.Advert, p.Path, row.rules.Dialect, nil); err != nil || !bytes.Equal(made, p.Payload) {
				t.Errorf("ours is %x, %v", made, err)
			}
		})
	}
}
