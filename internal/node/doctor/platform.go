package doctor

import (
	"os"
	"path/filepath"
	"strings"
)

// What machines run on.
const (
	platformVirtualBox = "VirtualBox"
	platformHyperV     = "Hyper-V"
	platformVMware     = "VMware"
	platformXen        = "Xen"
	platformKVM        = "KVM"
	platformCloud      = "a public cloud"
)

// allow says what lets frames of a virtual MAC pass.
func allow(platform string) string {
	const without = ", or use virtual_mac: off"
	switch platform {
	case platformVirtualBox:
		return "set the adapter's promiscuous mode to \"Allow All\"" + without
	case platformHyperV:
		return "switch on \"Enable MAC address spoofing\" of the network adapter" + without
	case platformVMware:
		return "accept promiscuous mode, MAC address changes and forged transmits in the port group" + without
	case platformXen:
		return "Xen itself filters none: look at the switch port (port security) and the bridge of the host" + without
	case platformKVM:
		return "let the host pass other MAC addresses: no filter no-mac-spoofing in libvirt, trustGuestRxFilters with macvtap, MAC filter off in Proxmox, port security off in OpenStack" + without
	case platformCloud:
		return "clouds deliver no other MAC address than the adapter's: use virtual_mac: off and unicast: true, and have notify move the address by the cloud's own means"
	}
	return "switch port security off on the switch's ports, so that a MAC address may be on several of them" + without
}

// vendors are words of DMI's manufacturer and product, as they are found there.
// The first that fits counts: clouds build on what follows.
var vendors = []struct{ word, platform string }{
	{"amazon ec2", platformCloud}, {"google", platformCloud}, {"alibaba", platformCloud}, {"digitalocean", platformCloud},
	{"innotek", platformVirtualBox}, {"virtualbox", platformVirtualBox},
	{"vmware", platformVMware},
	{"xen", platformXen},
	{"qemu", platformKVM}, {"kvm", platformKVM}, {"red hat", platformKVM}, {"openstack", platformKVM}, {"ovirt", platformKVM}, {"proxmox", platformKVM},
}

// platformOf reads what firmware says of itself.
func platformOf(vendor, product string) string {
	text := strings.ToLower(vendor + " " + product)
	if strings.Contains(text, "microsoft") && strings.Contains(text, "virtual machine") {
		return platformHyperV // Microsoft builds iron, too
	}
	for _, v := range vendors {
		if strings.Contains(text, v.word) {
			return v.platform
		}
	}
	return ""
}

// readPlatform reads it below /sys; what is not there is "".
func readPlatform(sys string) string {
	read := func(parts ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{sys}, parts...)...))
		if err != nil {
			return "" // no firmware that tells, as on ARM
		}
		return strings.TrimSpace(string(text))
	}
	if p := platformOf(read("class", "dmi", "id", "sys_vendor"), read("class", "dmi", "id", "product_name")); p != "" {
		return p
	}
	if read("hypervisor", "type") == "xen" {
		return platformXen
	}
	return ""
}

// Platform implements [gateway].
func (system) Platform() string { return readPlatform("/sys") }
