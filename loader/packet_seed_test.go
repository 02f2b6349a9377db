package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// addSpecial takes frames that the program does more to than to change addresses
// and ports.
func (z *fuzzed) addSpecial(f testing.TB, fam family) {
	for _, k := range steering {
		c := z.greeted(f, stand{rig: z.rig, family: fam, kind: k, id: k.id(fam), svc: k.service(fam)}, 0)
		if k == proxied {
			z.addHeaders(f, c)
		}
		z.addErrors(f, c)
	}
	echo := frame.ICMP{Type: 8, Rest: 0x12340001}
	if fam.vip.Is6() {
		echo.Type = 128
	}
	z.add(f, z.ext, frame.Frame{
		Src: withPort(fam.client, 0), Dst: withPort(fam.vip, 0), SrcMAC: routerMAC, DstMAC: z.ext.mac, ICMP: &echo, Payload: []byte("ping"),
	})
}

// addHeaders takes what is said while a PROXY header is open.
func (z *fuzzed) addHeaders(f testing.TB, c *talk) {
	up, down, length := c.up, c.down, headerLen(c.client)
	say := func(from side, flags frame.Flags, data string, change func(*frame.Frame)) {
		c.up, c.down = up, down
		at, fr := c.segment(from, flags, data)
		if change != nil {
			change(&fr)
		}
		z.add(f, at, fr)
	}
	long := string(make([]byte, 1500-ipAndTCP(c.client)))
	say(fromClient, frame.SYN, "early data", func(fr *frame.Frame) { fr.Options = fastOpen })
	say(fromClient, frame.ACK, "", nil)
	say(fromClient, frame.ACK, "an odd number", func(fr *frame.Frame) { fr.Options = frame.NOPs(12) })
	say(fromClient, frame.ACK, "padded", func(fr *frame.Frame) { fr.Length = 200 })
	say(fromClient, frame.ACK|frame.URG, "urgent", func(fr *frame.Frame) { fr.Urgent = 6 })
	say(fromClient, frame.ACK|frame.FIN, long, nil)
	say(fromClient, frame.ACK, "k", func(fr *frame.Frame) { fr.Seq = c.up.isn })
	say(fromClient, frame.RST, "", nil)
	for _, flags := range []frame.Flags{frame.SYN | frame.ACK, frame.ACK, frame.RST | frame.ACK} {
		for _, short := range []uint32{length, 1, 0} {
			say(fromBackend, flags, "", func(fr *frame.Frame) {
				fr.Ack = c.up.isn + 1 - short
				if flags&frame.SYN != 0 {
					fr.Options = frame.MSS(1460)
				}
			})
		}
	}
}

// fastOpen are options of a SYN that an open header changes.
var fastOpen = frame.Options(frame.Option(frame.OptionFastOpen, 1, 2, 3, 4, 5, 6, 7, 8), frame.Option(frame.OptionMPTCP, 0, 1), frame.MSS(1460))

// addErrors takes ICMP errors about both directions of a flow.
func (z *fuzzed) addErrors(f testing.TB, c *talk) {
	_, sent := c.segment(fromClient, frame.ACK, "data of a client")
	answer := frame.Frame{Src: c.svc.Listen, Dst: c.client, Flags: frame.ACK, Payload: []byte("data of a backend")}
	each(icmpErrors(c.client.Addr().Is4()), func(e frame.ICMP) {
		for _, n := range []int{8, 1000} {
			at, in := c.report(fromClient, c.router, e, packet(f, answer, n))
			in.Dst = withPort(c.vip, 0)
			z.add(f, at, in)
			if c.svc.Mode != ModeNAT {
				continue
			}
			at, in = c.report(fromBackend, c.near.Addr(), e, packet(f, c.translated(fromClient, sent), n))
			in.Dst = withPort(c.source.Addr(), 0)
			z.add(f, at, in)
		}
	})
}
