package engine

import (
	"fmt"
	"net/netip"
	"os"

	"sluice/loader"
)

// SetListener makes f's listening socket the one that accepts connections to a
// service, which must be in mode sshd. It stays so until every process has
// closed the socket, also over a restart of the node.
func (e *Engine) SetListener(service string, f *os.File) error {
	listen, err := e.sshdService(service)
	if err != nil {
		return err
	}
	records, err := e.dp.Services()
	if err != nil {
		return fmt.Errorf("set listener of service %q: %v", service, err)
	}
	for id, r := range records {
		if r.Listen == listen && r.Ends() && !r.Removed {
			return e.dp.SetListener(id, f)
		}
	}
	return fmt.Errorf("set listener of service %q: the dataplane does not have it yet; try again", service)
}

// sshdService finds the address of a service by its name.
func (e *Engine) sshdService(name string) (netip.AddrPort, error) {
	s, err := e.table.Status()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("set listener of service %q: %v", name, err)
	}
	for _, service := range s.Services {
		if service.Name != name || service.Removed {
			continue
		}
		if service.Mode != loader.ModeSSHD && !service.Nodes {
			return netip.AddrPort{}, fmt.Errorf("set listener of service %q: it is not in mode sshd", name)
		}
		return service.Listen, nil
	}
	return netip.AddrPort{}, fmt.Errorf("set listener of service %q: there is none of that name; \"sluice show services\" lists them", name)
}

// HasListener says whether anything accepts the connections of the sshd service
// that listens at an address.
func (e *Engine) HasListener(listen netip.AddrPort) (bool, error) {
	records, err := e.dp.Services()
	if err != nil {
		return false, fmt.Errorf("look for the listener of %s: %v", listen, err)
	}
	for id, r := range records {
		if r.Listen == listen && r.Ends() && !r.Removed {
			return e.dp.HasListener(id)
		}
	}
	return false, nil
}
