package socket

import (
	"bytes"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// openNetlink subscribes to groups of route messages in this namespace.
func openNetlink(link Link, groups []int) (*Socket, error) {
	mask := uint32(0)
	for _, g := range groups {
		mask |= 1 << (g - 1)
	}
	bind := Custom("groups of messages", func(fd int) error {
		return unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: mask})
	})
	return Open(Kind{Domain: unix.AF_NETLINK, Type: unix.SOCK_RAW, Protocol: unix.NETLINK_ROUTE}, link, bind)
}

// look reads all of the state.
func (w *Watch) look() error {
	l, err := w.handle.LinkByIndex(w.link.Index)
	if missing(err) {
		w.set(func(s *state) { s.gone = "was deleted" })
		return nil
	}
	if err != nil {
		return err
	}
	present := !w.source.IsValid()
	if !present {
		addrs, err := usable(w.handle, w.link, familyOf(w.source))
		if err != nil {
			return err
		}
		for _, p := range addrs {
			present = present || p.Addr() == w.source
		}
	}
	w.set(func(s *state) { s.link(w.link, l); s.present = present })
	return nil
}

// hear applies messages of the kernel.
func (w *Watch) hear(packet []byte) {
	messages, err := syscall.ParseNetlinkMessage(packet)
	if err != nil {
		return
	}
	for _, m := range messages {
		switch m.Header.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			w.hearLink(m)
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			w.hearAddr(m)
		}
	}
}

func (w *Watch) hearLink(m syscall.NetlinkMessage) {
	// A bridge tells of its ports by the same messages, of another family: a
	// port that leaves it is not deleted.
	if len(m.Data) < unix.SizeofIfInfomsg || m.Data[0] != unix.AF_UNSPEC {
		return
	}
	if int(nl.DeserializeIfInfomsg(m.Data).Index) != w.link.Index {
		return
	}
	if m.Header.Type == unix.RTM_DELLINK {
		w.set(func(s *state) { s.gone = "was deleted" })
		return
	}
	header := unix.NlMsghdr(m.Header)
	if l, err := netlink.LinkDeserialize(&header, m.Data); err == nil {
		w.set(func(s *state) { s.link(w.link, l) })
	}
}

// link takes over what a message says of the interface.
func (s *state) link(opened Link, now netlink.Link) {
	a := now.Attrs()
	switch {
	case a.Name != opened.Name:
		s.gone = fmt.Sprintf("was renamed to %q", a.Name)
	default:
		// It may have been renamed back.
		s.gone = ""
	}
	s.up = a.RawFlags&unix.IFF_UP != 0
	s.carrier = a.RawFlags&unix.IFF_LOWER_UP != 0
	s.mtu = a.MTU
}

func (w *Watch) hearAddr(m syscall.NetlinkMessage) {
	if len(m.Data) < unix.SizeofIfAddrmsg {
		return
	}
	head := nl.DeserializeIfAddrmsg(m.Data)
	if int(head.Index) != w.link.Index {
		return
	}
	attributes, err := nl.ParseRouteAttr(m.Data[unix.SizeofIfAddrmsg:])
	if err != nil {
		return
	}
	ours, flags := false, uint32(head.Flags)
	for _, a := range attributes {
		switch a.Attr.Type {
		case unix.IFA_LOCAL, unix.IFA_ADDRESS:
			// Both are given, and differ on links with two ends only; then
			// IFA_LOCAL is the own one.
			ours = ours || w.source.IsValid() && bytes.Equal(a.Value, w.source.AsSlice())
		case unix.IFA_FLAGS:
			if len(a.Value) >= 4 {
				flags = nl.NativeEndian().Uint32(a.Value)
			}
		}
	}
	present := m.Header.Type == unix.RTM_NEWADDR && usableFlags(familyOf(w.source), flags)
	w.set(func(s *state) {
		if ours {
			s.present = present
		}
	})
}

// familyOf is 4 or 6.
func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}
