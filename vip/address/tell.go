package address

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"sluice/vip/announce"
)

// Announce tells the neighbours on each interface once where its VIPs are: by
// gratuitous ARP, as a request and as a reply by turns, beginning with a request
// at each Take, and by an unsolicited neighbour advertisement. On a backup it
// does nothing.
func (s *Set) Announce() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.active {
		return nil
	}
	links, err := lookAt(s.places)
	if err != nil {
		return err
	}
	form := announce.Request
	if s.replying {
		form = announce.Reply
	}
	s.replying = !s.replying
	var errs []error
	for _, p := range s.places {
		parent, found := links.named(p.parent)
		if !found {
			errs = append(errs, missing(p.parent))
			continue
		}
		for _, vip := range p.vips {
			errs = append(errs, s.tell(parent, p.mac, vip, form))
		}
	}
	return errors.Join(errs...)
}

func (s *Set) tell(parent link, mac net.HardwareAddr, vip netip.Addr, form announce.Form) error {
	if mac == nil {
		mac = parent.mac
	}
	frame, err := announce.Frame(vip, mac, form)
	if err != nil {
		return err
	}
	if err := s.host.sender.Send(parent.index, frame); err != nil {
		return fmt.Errorf("announce VIP %s on %q: %w", vip, parent.name, err)
	}
	return nil
}
