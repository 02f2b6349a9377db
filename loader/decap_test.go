package loader

import (
	"bytes"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/nettest"
	"sluice/internal/nettest/frame"
)

// decapRig is a backend that takes packets out of others, and routes.
type decapRig struct {
	d    *Decap
	ns   *nettest.Namespace
	link iface
}

// The plan of addresses: what gateways and backend are called outside, and who
// talks to which VIP inside.
var (
	decapGateways = map[bool]netip.Addr{true: addr("10.0.0.1"), false: addr("2001:db8:2::1")}
	decapBackend  = map[bool]netip.Addr{true: addr("10.0.0.11"), false: addr("2001:db8:2::11")}
	decapStranger = map[bool]netip.Addr{true: addr("10.0.0.9"), false: addr("2001:db8:2::9")}
	decapVIPs     = map[bool]netip.Addr{true: addr("192.0.2.3"), false: addr("2001:db8:1::3")}
	decapClients  = map[bool]netip.Addr{true: addr("198.18.0.1"), false: addr("2001:db8:ffff::1")}
)

func newDecapRig(t *testing.T) *decapRig {
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	r := &decapRig{ns: nettest.ForTest(t)}
	host := &rig{ns: r.ns}
	r.link = host.addInterface(t, nettest.ForTest(t), "eth0", "10.0.0.11/24", "2001:db8:2::11/64")
	for _, key := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		mustRig(t, r.ns.SetSysctl(key, "1"))
	}
	mustRig(t, r.ns.Settled(t.Context()))
	r.open(t, decapOptions(t))
	return r
}

func decapOptions(t *testing.T) DecapOptions {
	return DecapOptions{
		Dir: filepath.Join(nettest.BPFFS(t), "sluice"), Interfaces: []string{"eth0"},
		From: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/29"), netip.MustParsePrefix("2001:db8:2::/125")},
		VIPs: []netip.Addr{decapVIPs[true], decapVIPs[false]},
	}
}

func (r *decapRig) open(t *testing.T, o DecapOptions) {
	t.Helper()
	mustRig(t, r.ns.Do(func() (err error) {
		r.d, err = OpenDecap(o)
		return err
	}))
	t.Cleanup(func() { _ = r.d.Close() }) // some cases have done so
}

func (r *decapRig) run(t *testing.T, in []byte) (verdict, []byte) {
	t.Helper()
	o := ebpf.RunOptions{
		Data: in, DataOut: make([]byte, maxFrame),
		Context: xdpContext{DataEnd: uint32(len(in)), IngressIfindex: uint32(r.link.index)},
	}
	var v uint32
	mustRig(t, r.ns.Do(func() (err error) {
		v, err = r.d.objs.Decap.Run(&o)
		return err
	}))
	return verdict(v), o.DataOut
}

// counts are the verdicts that were counted.
func (r *decapRig) counts(t *testing.T) map[string]DecapCounter {
	t.Helper()
	list, err := r.d.Counters()
	mustRig(t, err)
	out := map[string]DecapCounter{}
	for _, c := range list {
		if c.Packets != 0 {
			out[c.Verdict] = c
		}
	}
	return out
}

// parcelOf is a frame from a gateway with another packet in it.
type parcelOf struct {
	inner4, outer4, gue bool
	inner               frame.Frame
	outer               frame.Frame
	// change edits the finished packet inside before it is packed.
	change func([]byte) []byte
}

func newParcel(inner4, outer4, gue bool) parcelOf {
	return parcelOf{
		inner4: inner4, outer4: outer4, gue: gue,
		inner: frame.Frame{Src: withPort(decapClients[inner4], 40000), Dst: withPort(decapVIPs[inner4], 22), Flags: frame.ACK, Seq: 7, Payload: []byte("hello")},
		outer: frame.Frame{Src: withPort(decapGateways[outer4], 0), Dst: withPort(decapBackend[outer4], 0), DontFragment: outer4},
	}
}

// build returns the parcel and what must come out of it.
func (p parcelOf) build(t *testing.T) (in, out []byte) {
	t.Helper()
	p.inner.VLANs = p.outer.VLANs
	out = build(t, p.inner)
	content := out[14+4*len(p.outer.VLANs):]
	if p.change != nil {
		content = p.change(bytes.Clone(content))
	}
	f := p.outer
	f.Payload, f.Protocol = content, 41
	if p.inner4 {
		f.Protocol = 4
	}
	if p.gue {
		f.Protocol, f.Payload = frame.ProtoUDP, datagram(t, f.Src.Addr(), f.Dst.Addr(), 50000, content)
	}
	return build(t, f), out
}

// parcels are all combinations of families and modes.
func parcels(run func(name string, p parcelOf)) {
	names := map[bool]string{true: "4", false: "6"}
	for _, inner4 := range []bool{true, false} {
		for _, outer4 := range []bool{true, false} {
			for _, gue := range []bool{true, false} {
				mode := map[bool]string{true: " gue", false: " ipip"}[gue]
				run(names[inner4]+"in"+names[outer4]+mode, newParcel(inner4, outer4, gue))
			}
		}
	}
}

func TestDecapTakesOut(t *testing.T) {
	r := newDecapRig(t)
	parcels(func(name string, p parcelOf) {
		for tagged, tags := range tagsets {
			t.Run(name+" "+tagged, func(t *testing.T) {
				p.outer.VLANs = tags
				in, want := p.build(t)
				before := r.counts(t)["done"]
				v, out := r.run(t, in)
				if v != xdpPass || !bytes.Equal(out, want) {
					t.Fatalf("%s\nin:\n%s\nout:\n%s\nwant:\n%s", v, show(in), show(out), show(want))
				}
				after := r.counts(t)["done"]
				if after.Packets != before.Packets+1 || after.Bytes != before.Bytes+uint64(ipLength(want)) {
					t.Errorf("counted %+v, before %+v", after, before)
				}
			})
		}
	})
}

// TestDecapECN has the table of RFC 6040, section 4.2.
func TestDecapECN(t *testing.T) {
	r := newDecapRig(t)
	const drop = 0xff
	for inner, row := range [4][4]uint8{ // by the outer field: Not-ECT, ECT(1), ECT(0), CE
		0: {0, 0, 0, drop},
		1: {1, 1, 1, 3},
		2: {2, 1, 2, 3},
		3: {3, 3, 3, 3},
	} {
		for outer, want := range row {
			parcels(func(name string, p parcelOf) {
				p.inner.TOS, p.outer.TOS = 0xb8|uint8(inner), 0x20|uint8(outer)
				in, _ := p.build(t)
				v, out := r.run(t, in)
				if want == drop {
					if v != xdpDrop {
						t.Errorf("%s, %d outside and %d inside: %s, want that it is dropped", name, outer, inner, v)
					}
					return
				}
				p.inner.TOS = 0xb8 | want
				if v != xdpPass || !bytes.Equal(out, build(t, p.inner)) {
					t.Errorf("%s, %d outside and %d inside: %s\n%s", name, outer, inner, v, show(out))
				}
			})
		}
	}
	if got := r.counts(t)["congested"].Packets; got != 8 {
		t.Errorf("%d packets were counted congested, want 8", got)
	}
}

// TestDecapRefuses: what is for a VIP and must not be taken out is dropped and
// counted, what is none of ours passes as it is.
func TestDecapRefuses(t *testing.T) {
	r := newDecapRig(t)
	longer := func(b []byte) []byte { return append(b, 0) }
	for name, tt := range map[string]struct {
		change func(*parcelOf)
		counts string // "" passes
	}{
		"a stranger":               {func(p *parcelOf) { p.outer.Src = withPort(decapStranger[p.outer4], 0) }, "untrusted"},
		"longer than it says":      {func(p *parcelOf) { p.change = longer }, "malformed"},
		"shorter than it says":     {func(p *parcelOf) { p.change = func(b []byte) []byte { return b[:len(b)-1] } }, "malformed"},
		"UDP inside":               {func(p *parcelOf) { p.inner.Protocol = frame.ProtoUDP }, "malformed"},
		"another parcel inside":    {func(p *parcelOf) { p.inner.Protocol = 4 }, "malformed"},
		"not for a VIP":            {func(p *parcelOf) { p.inner.Dst = withPort(decapBackend[p.inner4], 22) }, ""},
		"for another machine":      {func(p *parcelOf) { p.outer.Dst = withPort(decapStranger[p.outer4], 0) }, ""},
		"no packet inside":         {func(p *parcelOf) { p.change = func([]byte) []byte { return []byte{0x45} } }, ""},
		"a fragment":               {func(p *parcelOf) { p.outer.MoreFragments = true }, ""},
		"another version inside":   {func(p *parcelOf) { p.change = func(b []byte) []byte { b[0] = 0x50; return b } }, ""},
		"no TCP, but bare payload": {func(p *parcelOf) { p.change = func(b []byte) []byte { return nil } }, ""},
	} {
		parcels(func(combination string, p parcelOf) {
			t.Run(name+" "+combination, func(t *testing.T) {
				tt.change(&p)
				in, _ := p.build(t)
				before := r.counts(t)
				v, out := r.run(t, in)
				want := xdpPass
				if tt.counts != "" {
					want = xdpDrop
				}
				if v != want || !bytes.Equal(in, out) {
					t.Errorf("%s, want %s, of\n%s\nout:\n%s", v, want, show(in), show(out))
				}
				for verdict, c := range r.counts(t) {
					if counted := c.Packets != before[verdict].Packets; counted != (verdict == tt.counts) {
						t.Errorf("counted %s: %v, want %q", verdict, counted, tt.counts)
					}
				}
			})
		})
	}
}

// TestDecapMangled: whatever a byte says, a frame leaves as it came or as the
// packet inside, and what is passed on for a VIP has the length it claims.
func TestDecapMangled(t *testing.T) {
	r := newDecapRig(t)
	parcels(func(name string, p parcelOf) {
		good, _ := p.build(t)
		for at := 12; at < len(good); at++ {
			for _, v := range []byte{0, 1, good[at] ^ 1, 0x45, 0x60, 0x80, 0xff} {
				in := bytes.Clone(good)
				in[at] = v
				action, out := r.run(t, in)
				switch {
				case action != xdpPass && action != xdpDrop:
					t.Fatalf("%s, byte %d is %#x: %s", name, at, v, action)
				case bytes.Equal(in, out):
				case action == xdpDrop || len(out) >= len(in) || int(ipLength(out)) != len(out)-14:
					t.Fatalf("%s, byte %d is %#x: %s\n%s", name, at, v, action, show(out))
				}
			}
			if _, out := r.run(t, good[:max(at, 14)]); !bytes.Equal(out, good[:max(at, 14)]) {
				t.Fatalf("%s, cut to %d bytes, was taken out", name, at)
			}
		}
	})
}

// TestDecapLife: the pins outlive the process, the next one changes what they
// say, and detaching leaves nothing.
func TestDecapLife(t *testing.T) {
	r := newDecapRig(t)
	in, _ := newParcel(true, true, false).build(t)
	r.run(t, in)
	o := decapOptions(t)
	o.Dir = r.d.pins.dir
	if _, err := OpenDecap(o); err == nil {
		t.Error("a second process opened the pins of the first")
	}
	mustRig(t, r.d.Close())
	o.From = []netip.Prefix{netip.MustParsePrefix("10.0.0.8/29")}
	r.open(t, o)
	if v, _ := r.run(t, in); v != xdpDrop {
		t.Errorf("a gateway that left the settings: %s", v)
	}
	want := map[string]DecapCounter{"done": {"done", 1, 45}, "untrusted": {"untrusted", 1, 45}}
	if diff := cmp.Diff(want, r.counts(t)); diff != "" {
		t.Errorf("counters differ over the restart (-want +got):\n%s", diff)
	}
	if a := r.d.Attachments(); len(a) != 1 || a[0].Interface != "eth0" || a[0].Mode != XDPNative {
		t.Errorf("attached as %+v", a)
	}
	mustRig(t, r.d.Close())
	removed, err := Detach(o.Dir)
	mustRig(t, err)
	if !slices.ContainsFunc(removed, func(path string) bool { return filepath.Base(path) == "eth0" }) {
		t.Errorf("detaching removed %v, not the link of eth0", removed)
	}
	mustRig(t, r.ns.Do(func() error {
		ifc, err := r.ns.Netlink().LinkByName("eth0")
		if err == nil && ifc.Attrs().Xdp != nil && ifc.Attrs().Xdp.Attached {
			err = errors.New("eth0 still carries a program")
		}
		return err
	}))
}
