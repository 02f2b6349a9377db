package address

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// setting is one sysctl of an interface.
type setting struct {
	family string // "ipv4" or "ipv6"
	name   string
	value  int
	// inet is its index in IFLA_INET_CONF (linux/ip.h), by which it can be set
	// where /proc/sys is read-only; 0 for IPv6, which has no such way.
	inet int
	// most is the greatest value in force that will do, given that the kernel
	// takes the greater of the interface's and that of all interfaces; -1 if it
	// looks at the interface's alone.
	most int
}

const alone = -1

// quiet is what the physical interface and the macvlan both need. With
// arp_announce 2 no ARP request carries the VIP and the wrong MAC; with
// arp_ignore 1 each answers for its own addresses only. Greater values of
// arp_ignore keep back answers for single addresses, which VIPs are.
var quiet = []setting{
	{"ipv4", "arp_announce", 2, 18, 2},
	{"ipv4", "arp_ignore", 1, 19, 1},
}

func (s setting) path(of string) string {
	return filepath.Join("/proc/sys/net", s.family, "conf", of, s.name)
}

// read returns the value of an interface, "all" included.
func (s setting) read(of string) (int, error) {
	text, err := os.ReadFile(s.path(of))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// write sets it on an interface.
func (s setting) write(l link, value int) error {
	if s.inet != 0 {
		return setInet(l.index, s.inet, value)
	}
	return os.WriteFile(s.path(l.name), []byte(strconv.Itoa(value)), 0)
}

// set sets it on an interface, reads back what is in force there, and returns
// the interface's former value. A setting that this kernel does not have is
// left, with the wanted value as the former.
func (s setting) set(l link) (former int, err error) {
	former, err = s.read(l.name)
	if errors.Is(err, fs.ErrNotExist) && s.unknown() {
		return s.value, nil
	}
	if err == nil && former != s.value {
		err = s.write(l, s.value)
	}
	if err != nil {
		return former, fmt.Errorf("set %s to %d: %v; CAP_NET_ADMIN is needed, and for IPv6 a writable /proc/sys/net, or this value in %s before",
			s.path(l.name), s.value, err, s.path("default"))
	}
	return former, s.verify(l.name)
}

// unknown says whether it can be missing of an interface that exists: on a kernel
// without it, and for IPv6 also where an MTU below 1280 leaves no IPv6.
func (s setting) unknown() bool {
	_, err := s.read("all")
	return s.family == "ipv6" || errors.Is(err, fs.ErrNotExist)
}

// verify says whether what is in force on an interface will do.
func (s setting) verify(of string) error {
	got, err := s.read(of)
	if err != nil {
		return fmt.Errorf("read sysctl: %v", err)
	}
	if got != s.value {
		return fmt.Errorf("set %s to %d: it still reads %d; something else sets it, too", s.path(of), s.value, got)
	}
	if s.most == alone {
		return nil
	}
	all, err := s.read("all")
	if err != nil {
		return fmt.Errorf("read sysctl: %v", err)
	}
	if all > s.most {
		return fmt.Errorf("%s is %d, which holds on %q, too, and keeps VIPs from being reached: set it to %d or less", s.path("all"), all, of, s.most)
	}
	return nil
}

// setInet sets an IPv4 setting by netlink: it needs no file, nor a name.
func setInet(index, inet, value int) error {
	const iflaInetConf = 1 // linux/if_link.h
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(iflaInetConf, nil).
		AddRtAttr(inet, binary.NativeEndian.AppendUint32(nil, uint32(value)))
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	req.AddData(msg)
	req.AddData(spec)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
