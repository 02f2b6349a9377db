package loader

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
)

// PutCheck makes an address stand for a member of a one-way service: what is sent
// to it over the health-check veth goes to the member as a client's packet
// would.
func (d *Dataplane) PutCheck(check netip.Addr, m MemberID) error {
	key := toAddr(check)
	if err := d.objs.Checks.Put(&key, uint32(m)); err != nil {
		return fmt.Errorf("put check address %s: %v", check, err)
	}
	return nil
}

// DeleteCheck removes a check address. It is not an error if there was none.
func (d *Dataplane) DeleteCheck(check netip.Addr) error {
	key := toAddr(check)
	if err := d.objs.Checks.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete check address %s: %v", check, err)
	}
	return nil
}

// AttachCheck attaches the programs of the health-check veth: steering to our
// end, and to the stack's end one that passes everything, without which frames
// redirected to it never arrive. Native only: both ends are ours. It may be
// called again; where it fails, an end that was free is free again.
func (d *Dataplane) AttachCheck(ours, stack string) error {
	_, fresh, err := d.attachEgress(ours, d.objs.Steer, XDPNative)
	if err != nil {
		return err
	}
	if _, _, err := d.attachEgress(stack, d.objs.Pass, XDPNative); err != nil {
		if fresh {
			err = errors.Join(err, d.release(ours))
		}
		return err
	}
	return nil
}
