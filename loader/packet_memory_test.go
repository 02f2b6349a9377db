package loader

import (
	"net/netip"
	"testing"

	"sluice/internal/nettest/frame"
)

// testMemory changes what VIP and port name between two packets: the programs
// remember services, and must not remember what is no longer so.
func testMemory(t *testing.T, r *rig) {
	const other = ServiceID(200)
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			here := empty.service(f).Listen
			in := build(t, frame.Frame{
				SrcMAC: routerMAC, DstMAC: r.ext.mac, Flags: frame.SYN,
				Src: netip.AddrPortFrom(f.client, 40000), Dst: here,
			})
			want := func(when string, want verdict) {
				t.Helper()
				for range 2 {
					if v, _ := r.mustRun(t, r.ext, in); v != want {
						t.Errorf("%s: %s, want %s", when, v, want)
					}
				}
			}
			want("refused by a service without backends", xdpTX)
			mustRig(t, r.d.PutService(other, Service{Listen: here, Mode: ModeSSHD}))
			want("before the other is published", xdpTX)
			mustRig(t, r.d.Publish(other))
			want("passed up by the other", xdpPass)
			mustRig(t, r.d.Publish(empty.id(f)))
			want("refused again", xdpTX)
			mustRig(t, r.d.DeleteService(other))
			mustRig(t, r.d.Withdraw(empty.id(f)))
			want("none of ours", xdpPass)
			mustRig(t, r.d.Publish(empty.id(f)))
			want("ours again", xdpTX)
		})
	}
}
