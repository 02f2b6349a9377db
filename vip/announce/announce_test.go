package announce

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"
)

var (
	mac4 = net.HardwareAddr{0, 0, 0x5e, 0, 1, 51}
	mac6 = net.HardwareAddr{0, 0, 0x5e, 0, 2, 51}
)

// K18, K19: the bytes neighbours and switches learn from. Laid down by hand from
// RFC 826, RFC 4861 §4.4 and RFC 9568 §6.4.1.
func TestFrameBytes(t *testing.T) {
	for _, row := range []struct {
		name, vip string
		mac       net.HardwareAddr
		form      Form
		want      string
	}{
		{"request", "192.0.2.3", mac4, Request,
			"ffffffffffff 00005e000133 0806 0001 0800 06 04 0001 00005e000133 c0000203 000000000000 c0000203"},
		{"reply", "192.0.2.3", mac4, Reply,
			"ffffffffffff 00005e000133 0806 0001 0800 06 04 0002 00005e000133 c0000203 ffffffffffff c0000203"},
		{"mapped", "::ffff:192.0.2.3", mac4, Request,
			"ffffffffffff 00005e000133 0806 0001 0800 06 04 0001 00005e000133 c0000203 000000000000 c0000203"},
		{"advertisement", "2001:db8::3", mac6, Request,
			"333300000001 00005e000233 86dd 60000000 0020 3a ff 20010db8000000000000000000000003 ff020000000000000000000000000001 " +
				"88 00 1af4 a0000000 20010db8000000000000000000000003 02 01 00005e000233"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := Frame(netip.MustParseAddr(row.vip), row.mac, row.form)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(row.want, " ", ""); hex.EncodeToString(got) != want {
				t.Errorf("got\n%x, want\n%s", got, want)
			}
		})
	}
}

// Summing a message with its checksum gives all ones, whatever the address
// (RFC 1071), also where the carry folds twice.
func TestChecksumFolds(t *testing.T) {
	for _, vip := range []string{"2001:db8::3", "fe80::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "fd00::"} {
		frame, err := Frame(netip.MustParseAddr(vip), mac6, Request)
		if err != nil {
			t.Fatal(err)
		}
		if rest := checksum(netip.MustParseAddr(vip), allNodes, frame[ethLen+ipv6Len:]); rest != 0 {
			t.Errorf("%s: the checksum leaves %#x", vip, rest)
		}
	}
}

func TestFrameRefuses(t *testing.T) {
	for _, row := range []struct {
		vip  netip.Addr
		mac  net.HardwareAddr
		form Form
		word string
	}{
		{netip.Addr{}, mac4, Request, "not an address"},
		{netip.MustParseAddr("fe80::1%lo"), mac6, Request, "zone"},
		{netip.MustParseAddr("192.0.2.3"), nil, Request, "6 bytes"},
		{netip.MustParseAddr("192.0.2.3"), append(net.HardwareAddr{1, 2}, mac4...), Request, "6 bytes"},
		{netip.MustParseAddr("192.0.2.3"), mac4, 3, "operation 3"},
	} {
		frame, err := Frame(row.vip, row.mac, row.form)
		if err == nil || !strings.Contains(err.Error(), row.word) {
			t.Errorf("%v %v %v: frame %x, error %v; want one with %q", row.vip, row.mac, row.form, frame, err, row.word)
		}
	}
}
