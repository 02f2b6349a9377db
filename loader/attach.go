package loader

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Attachment says how an interface carries the steering program.
type Attachment struct {
	Interface string
	Index     int
	// Mode is XDPNative or XDPGeneric.
	Mode   XDPMode
	Driver string
	MTU    int
}

// attach puts the programs in place. A failure takes off what this call added
// and leaves replaced links with the new program, which reads the same maps.
func (d *Dataplane) attach(o Options) error {
	var added []string
	undo := func(err error) error {
		for _, name := range added {
			err = errors.Join(err, d.release(name))
		}
		return err
	}
	for _, name := range o.Interfaces {
		a, fresh, err := d.attachEgress(name, d.objs.Steer, o.XDP)
		if fresh {
			added = append(added, name)
		}
		if err != nil {
			return undo(err)
		}
		d.attachments = append(d.attachments, a)
	}
	if err := d.attachDispatch(); err != nil {
		return undo(err)
	}
	return d.releaseOthers(o.Interfaces)
}

// attachEgress attaches to an interface and lets frames leave by it.
func (d *Dataplane) attachEgress(name string, prog *ebpf.Program, mode XDPMode) (Attachment, bool, error) {
	a, fresh, err := d.pins.attach(name, prog, mode)
	if err == nil {
		err = d.allowEgress(a.Index, a.Index)
	}
	return a, fresh, err
}

// attach replaces our program on an interface, or attaches it where there was
// none; fresh says which.
func (p pins) attach(name string, prog *ebpf.Program, mode XDPMode) (a Attachment, fresh bool, err error) {
	ifc, err := netlink.LinkByName(name)
	if err != nil {
		return a, false, fmt.Errorf("attach to interface %q: %v; name an existing one in dataplane.interfaces", name, err)
	}
	a = Attachment{Interface: name, Index: ifc.Attrs().Index, MTU: ifc.Attrs().MTU, Driver: driver(name)}
	replaced, err := p.replace(ifc, prog, mode)
	if err != nil {
		return a, false, err
	}
	if !replaced {
		if err := refuseForeign(ifc); err != nil {
			return a, false, err
		}
		if err := p.attachFresh(a, prog, mode); err != nil {
			return a, false, err
		}
	}
	a.Mode, err = attachedMode(a.Index)
	return a, !replaced, err
}

// replace swaps the program of a pinned link: every frame meets the old or the
// new one. A pin whose link is not on this interface is dropped: the interface
// was made anew, or has the name of one in another namespace.
func (p pins) replace(ifc netlink.Link, prog *ebpf.Program, mode XDPMode) (bool, error) {
	name := ifc.Attrs().Name
	path := p.link(name)
	l, err := link.LoadPinnedLink(path, nil)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open pinned link of interface %q: %v", name, err)
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return false, fmt.Errorf("read pinned link of interface %q: %v", name, err)
	}
	if !isOn(info, ifc) {
		if err := removeLink(path); err != nil {
			return false, fmt.Errorf("drop stale link of interface %q: %v", name, err)
		}
		return false, nil
	}
	if have := modeOf(ifc); mode != XDPAuto && mode != have {
		return false, fmt.Errorf("attach to interface %q: its program runs in %s mode, dataplane.xdp asks for %s; run `sluice detach`, which ends forwarded flows, and start again", name, have, mode)
	}
	if err := l.Update(prog); err != nil {
		return false, fmt.Errorf("replace program on interface %q: %v", name, err)
	}
	return true, nil
}

// isOn says whether the link holds the program that the interface shows. The
// index alone would not do: namespaces number their interfaces alike.
func isOn(info *link.Info, ifc netlink.Link) bool {
	x, shown := info.XDP(), ifc.Attrs().Xdp
	return x != nil && int(x.Ifindex) == ifc.Attrs().Index &&
		shown != nil && shown.Attached && ebpf.ProgramID(shown.ProgId) == info.Program
}

func (p pins) attachFresh(a Attachment, prog *ebpf.Program, mode XDPMode) error {
	l, err := attachXDP(a, prog, mode)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Pin(p.link(a.Interface)); err != nil {
		return fmt.Errorf("pin link of interface %q: %v", a.Interface, err)
	}
	return nil
}

func attachXDP(a Attachment, prog *ebpf.Program, mode XDPMode) (link.Link, error) {
	try := func(flags link.XDPAttachFlags) (link.Link, error) {
		return link.AttachXDP(link.XDPOptions{Program: prog, Interface: a.Index, Flags: flags})
	}
	if mode == XDPGeneric {
		l, err := try(link.XDPGenericMode)
		return l, explainAttach(err, a, "generic")
	}
	l, err := try(link.XDPDriverMode)
	if err == nil || mode == XDPNative {
		return l, explainAttach(err, a, "native")
	}
	l, generic := try(link.XDPGenericMode)
	if generic != nil {
		return nil, explainAttach(errors.Join(err, generic), a, "native nor generic")
	}
	return l, nil
}

func explainAttach(err error, a Attachment, mode string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("attach %s to interface %q (driver %s, MTU %d): %v; `sluice doctor` names what stands against it", mode, a.Interface, a.Driver, a.MTU, err)
}

// refuseForeign names the program of somebody else.
func refuseForeign(ifc netlink.Link) error {
	x := ifc.Attrs().Xdp
	if x == nil || !x.Attached {
		return nil
	}
	name := fmt.Sprintf("id %d", x.ProgId)
	if p, err := ebpf.NewProgramFromID(ebpf.ProgramID(x.ProgId)); err == nil {
		if info, err := p.Info(); err == nil && info.Name != "" {
			name = fmt.Sprintf("%q (id %d)", info.Name, x.ProgId)
		}
		p.Close()
	}
	return fmt.Errorf("attach to interface %q: another XDP program, %s, is on it; take that off first, or leave the interface out of dataplane.interfaces", ifc.Attrs().Name, name)
}

// Values of IFLA_XDP_ATTACHED, linux/if_link.h.
const xdpAttachedSKB = 2

// attachedMode asks the kernel what it made of the attachment.
func attachedMode(index int) (XDPMode, error) {
	ifc, err := netlink.LinkByIndex(index)
	if err != nil {
		return "", fmt.Errorf("read interface %d: %v", index, err)
	}
	if x := ifc.Attrs().Xdp; x == nil || !x.Attached {
		return "", fmt.Errorf("attach to interface %q: the kernel shows no program after it; another process took it off", ifc.Attrs().Name)
	}
	return modeOf(ifc), nil
}

// modeOf is the mode of the program an interface carries.
func modeOf(ifc netlink.Link) XDPMode {
	if ifc.Attrs().Xdp.AttachMode == xdpAttachedSKB {
		return XDPGeneric
	}
	return XDPNative
}

// allowEgress lets frames leave by an interface: named is what the routing
// table says, carrier what carries XDP.
func (d *Dataplane) allowEgress(named, carrier int) error {
	if err := d.objs.Egress.Put(uint32(named), uint32(carrier)); err != nil {
		return fmt.Errorf("allow interface %d as egress: %v", named, err)
	}
	return nil
}

// SetUpper says which interfaces lie above those that carry the programs, such as
// the macvlan of a virtual MAC, by their indexes: upper to carrier. Where the
// routing table names the former, frames leave by the latter. What an earlier call
// named and this one does not is forgotten.
func (d *Dataplane) SetUpper(carriers map[int]int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	have, err := d.uppers()
	if err != nil {
		return err
	}
	for upper := range have {
		if _, stays := carriers[upper]; stays {
			continue
		}
		if err := d.objs.Egress.Delete(uint32(upper)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("forbid interface %d as egress: %v", upper, err)
		}
	}
	for upper, carrier := range carriers {
		if upper == carrier {
			return fmt.Errorf("allow interface %d as egress: it cannot lie above itself", upper)
		}
		if err := d.allowEgress(upper, carrier); err != nil {
			return err
		}
	}
	// What flows remember of their way back may name another carrier.
	return d.changeControl(func(c *bpfControl) { c.RouteEpoch++ })
}

// uppers are the interfaces that leave by another.
func (d *Dataplane) uppers() (map[int]int, error) {
	out := map[int]int{}
	var named, carrier uint32
	it := d.objs.Egress.Iterate()
	for it.Next(&named, &carrier) {
		if named != carrier {
			out[int(named)] = int(carrier)
		}
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read egress interfaces: %v", err)
	}
	return out, nil
}

// releaseOthers takes our program off interfaces that left the settings.
func (d *Dataplane) releaseOthers(keep []string) error {
	names, err := d.pins.attached()
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.Contains(keep, name) || name == dispatchLink {
			continue
		}
		if err := d.release(name); err != nil {
			return err
		}
	}
	return nil
}

// attached are the names of the pinned links.
func (p pins) attached() ([]string, error) {
	entries, err := os.ReadDir(p.links())
	if err != nil {
		return nil, fmt.Errorf("list pinned links: %v", err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, linkName(e.Name()))
	}
	return names, nil
}

// release takes our program off an interface, which may be gone by now: then
// the kernel has forbidden it as egress already.
func (d *Dataplane) release(name string) error {
	if ifc, err := net.InterfaceByName(name); err == nil {
		if err := d.objs.Egress.Delete(uint32(ifc.Index)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("forbid interface %q as egress: %v", name, err)
		}
	}
	return d.pins.release(name)
}

// release takes our program off an interface.
func (p pins) release(name string) error {
	if err := removeLink(p.link(name)); err != nil {
		return fmt.Errorf("take program off interface %q: %v", name, err)
	}
	return nil
}

// Attachments says which interfaces carry the program and how, in the order of
// the settings.
func (d *Dataplane) Attachments() []Attachment {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.attachments)
}
