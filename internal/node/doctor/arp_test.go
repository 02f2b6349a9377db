package doctor

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
)

var asked = netip.MustParseAddr("192.0.2.3")

// reply is what the owner of an address answers.
func reply() []byte {
	return []byte{
		0, 1, 8, 0, 6, 4, 0, 2,
		2, 0, 0, 0, 0, 11, 192, 0, 2, 3,
		2, 0, 0, 0, 0, 1, 0, 0, 0, 0,
	}
}

func TestMarshalARP(t *testing.T) {
	want := []byte{
		0, 1, 8, 0, 6, 4, 0, 1,
		2, 0, 0, 0, 0, 1, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 192, 0, 2, 3,
	}
	if got := marshalARP(net.HardwareAddr{2, 0, 0, 0, 0, 1}, asked); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestParseARP(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(p []byte) []byte
		want bool
	}{
		"reply":         {func(p []byte) []byte { return p }, true},
		"padded":        {func(p []byte) []byte { return append(p, make([]byte, 18)...) }, true},
		"short":         {func(p []byte) []byte { return p[:27] }, false},
		"empty":         {func([]byte) []byte { return nil }, false},
		"request":       {func(p []byte) []byte { p[7] = 1; return p }, false},
		"other sender":  {func(p []byte) []byte { p[17] = 4; return p }, false},
		"no Ethernet":   {func(p []byte) []byte { p[1] = 6; return p }, false},
		"no IPv4":       {func(p []byte) []byte { p[2] = 0x86; return p }, false},
		"other lengths": {func(p []byte) []byte { p[4], p[5] = 8, 16; return p }, false},
	} {
		t.Run(name, func(t *testing.T) {
			mac, ok := parseARP(c.edit(reply()), asked)
			if ok != c.want || ok && mac.String() != "02:00:00:00:00:0b" {
				t.Errorf("%v, %t", mac, ok)
			}
		})
	}
}

func FuzzParseARP(f *testing.F) {
	f.Add(reply())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		if mac, ok := parseARP(p, asked); ok && len(mac) != 6 {
			t.Errorf("%x answered by %v", p, mac)
		}
	})
}

func TestBoundedBuffer(t *testing.T) {
	b := &boundedBuffer{left: 5}
	if _, err := b.Write([]byte("1234")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write([]byte("56")); err != io.ErrShortBuffer || b.String() != "1234" {
		t.Errorf("%v with %q", err, b)
	}
}
