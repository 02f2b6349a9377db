package loader

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/cilium/ebpf"
)

// DecapOptions are what a Decap is opened with.
type DecapOptions struct {
	// Dir is the folder for pins, as in [Options].
	Dir string
	// Interfaces are those that the packets of gateways come in by. None of them
	// can carry the steering program, too.
	Interfaces []string
	XDP        XDPMode
	// From are the gateways that are trusted, and VIPs the addresses of this
	// node that packets may be taken out for.
	From []netip.Prefix
	VIPs []netip.Addr
}

// Decap is the program that takes the packets of modes ipip and gue out of
// those they came in, on a backend. Like a [Dataplane] it is pinned and goes on
// while processes come and go.
type Decap struct {
	objs        decapObjects
	pins        pins
	lock        *os.File
	attachments []Attachment
}

// OpenDecap loads the program, makes or adopts its maps, and attaches it to
// every interface of o. On error nothing that was not there before is left.
func OpenDecap(o DecapOptions) (*Decap, error) {
	if o.XDP == "" {
		o.XDP = XDPAuto
	}
	p, lock, err := openDecapPins(o.Dir)
	if err != nil {
		return nil, err
	}
	d := &Decap{pins: p, lock: lock}
	if err := d.open(o); err != nil {
		return nil, errors.Join(err, d.Close(), d.pins.undo())
	}
	return d, nil
}

func (d *Decap) open(o DecapOptions) error {
	spec, err := loadDecap()
	if err != nil {
		return fmt.Errorf("read embedded programs: %v", err)
	}
	pinByName(spec)
	opts := ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: d.pins.maps()}}
	if err := takeFragments(spec); err != nil {
		return err
	}
	if err := spec.LoadAndAssign(&d.objs, &opts); err != nil {
		return explainLoad(err)
	}
	if err := d.trust(o.From, o.VIPs); err != nil {
		return err
	}
	return d.attach(o)
}

// trust brings the maps to the settings: what is new first, so that a packet
// that was taken out before still is.
func (d *Decap) trust(from []netip.Prefix, vips []netip.Addr) error {
	sources := map[decapDecapSource]bool{}
	for _, p := range from {
		sources[toDecapSource(p)] = true
	}
	if err := holdOnly(d.objs.DecapSources, sources); err != nil {
		return fmt.Errorf("write trusted gateways: %v", err)
	}
	addrs := map[decapAddr]bool{}
	for _, a := range vips {
		addrs[decapAddr{B: a.As16()}] = true
	}
	if err := holdOnly(d.objs.DecapVips, addrs); err != nil {
		return fmt.Errorf("write VIPs to take packets out for: %v", err)
	}
	return nil
}

// holdOnly makes a map hold the keys and no others.
func holdOnly[K comparable](m *ebpf.Map, keys map[K]bool) error {
	for k := range keys {
		if err := m.Put(&k, uint8(1)); err != nil {
			return err
		}
	}
	var stale []K
	var k K
	var v uint8
	it := m.Iterate()
	for it.Next(&k, &v) {
		if !keys[k] {
			stale = append(stale, k)
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	for _, k := range stale {
		if err := m.Delete(&k); err != nil {
			return err
		}
	}
	return nil
}

// toDecapSource counts the bits of an IPv4 prefix from those of ::ffff:0:0/96.
func toDecapSource(p netip.Prefix) decapDecapSource {
	bits := p.Bits() + 128 - p.Addr().BitLen()
	return decapDecapSource{Bits: uint32(bits), Addr: decapAddr{B: p.Masked().Addr().As16()}}
}

// attach puts the program in place, and takes it off the interfaces that left
// the settings.
func (d *Decap) attach(o DecapOptions) error {
	var added []string
	for _, name := range o.Interfaces {
		a, fresh, err := d.pins.attach(name, d.objs.Decap, o.XDP)
		if fresh {
			added = append(added, name)
		}
		if err != nil {
			for _, name := range added {
				err = errors.Join(err, d.pins.release(name))
			}
			return err
		}
		d.attachments = append(d.attachments, a)
	}
	names, err := d.pins.attached()
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.Contains(o.Interfaces, name) {
			continue
		}
		if err := d.pins.release(name); err != nil {
			return err
		}
	}
	return nil
}

// Attachments says which interfaces carry the program and how, in the order of
// the settings.
func (d *Decap) Attachments() []Attachment { return slices.Clone(d.attachments) }

// DecapCounter is the sum over all CPUs of what became of packets.
type DecapCounter struct {
	Verdict string
	// Bytes are those of the packets inside.
	Packets, Bytes uint64
}

// decapNames are the verdicts as users see them, in the order of the enum.
var decapNames = [...]string{
	decapDecapVerdictDECAP_DONE:      "done",
	decapDecapVerdictDECAP_UNTRUSTED: "untrusted",
	decapDecapVerdictDECAP_MALFORMED: "malformed",
	decapDecapVerdictDECAP_CONGESTED: "congested",
	decapDecapVerdictDECAP_INTERNAL:  "internal",
}

// Counters returns the counter of every verdict, those at zero, too. Packets
// that were none of ours are not counted.
func (d *Decap) Counters() ([]DecapCounter, error) {
	out := make([]DecapCounter, 0, len(decapNames))
	for id, name := range decapNames {
		var cpus []decapDropCounter
		if err := d.objs.DecapCounts.Lookup(uint32(id), &cpus); err != nil {
			return nil, fmt.Errorf("read counters of decapsulation: %v", err)
		}
		c := DecapCounter{Verdict: name}
		for _, v := range cpus {
			c.Packets += v.Packets
			c.Bytes += v.Bytes
		}
		out = append(out, c)
	}
	return out, nil
}

// Close lets go of program and maps. They stay pinned and attached.
func (d *Decap) Close() error { return errors.Join(d.objs.Close(), d.lock.Close()) }

// DetachDecap takes the program off and removes its pins below dir, and leaves
// the steering program alone. That there is none is no error.
func DetachDecap(dir string) error {
	root := pinsOf(dir).decap().root
	if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	_, err := removePins(root)
	return err
}
