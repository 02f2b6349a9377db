package loader

import (
	"bytes"
	"context"
	"net/netip"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
)

// TestDecapReload: while the settings change and the program is replaced, every
// packet that is trusted before and after is taken out.
func TestDecapReload(t *testing.T) {
	r := newDecapRig(t)
	o := decapOptions(t)
	o.Dir = r.d.pins.dir
	flow := r.flow(t)
	for n := range 40 {
		changed := o
		if n%2 == 0 {
			// Another prefix and VIP come and go; those of the flow stay.
			changed.From = append([]netip.Prefix{netip.MustParsePrefix("10.0.9.0/24")}, o.From...)
			changed.VIPs = append([]netip.Addr{addr("192.0.2.99")}, o.VIPs...)
		}
		mustRig(t, r.d.Close())
		r.open(t, changed)
		flow.moves(t)
	}
	flow.stop(t)
	if c := r.counts(t); len(c) != 1 || c["done"].Packets == 0 {
		t.Errorf("counted %+v, want packets that were taken out and no others", c)
	}
}

// decapFlow is packets in tunnels, one after the other, through the program that
// was attached when it began. Its maps are those of all that follow.
type decapFlow struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	change *sync.Cond
	rounds int
	lost   []byte
	err    error
}

func (r *decapRig) flow(t *testing.T) *decapFlow {
	t.Helper()
	program, err := r.d.objs.Decap.Clone()
	mustRig(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	f := &decapFlow{cancel: cancel, done: make(chan struct{})}
	f.change = sync.NewCond(&f.mu)
	var in, want [][]byte
	parcels(func(_ string, p parcelOf) {
		i, w := p.build(t)
		in, want = append(in, i), append(want, w)
	})
	go func() {
		defer close(f.done)
		defer program.Close()
		err := r.ns.Do(func() error {
			for ctx.Err() == nil {
				for i := range in {
					f.send(program, r.link, in[i], want[i])
				}
				f.mu.Lock()
				f.rounds++
				f.change.Broadcast()
				f.mu.Unlock()
			}
			return nil
		})
		f.note(nil, err)
	}()
	t.Cleanup(func() {
		cancel()
		<-f.done
	})
	return f
}

func (f *decapFlow) send(program *ebpf.Program, at iface, in, want []byte) {
	o := ebpf.RunOptions{
		Data: in, DataOut: make([]byte, maxFrame),
		Context: xdpContext{DataEnd: uint32(len(in)), IngressIfindex: uint32(at.index)},
	}
	v, err := program.Run(&o)
	if err != nil || verdict(v) != xdpPass || !bytes.Equal(o.DataOut, want) {
		f.note(in, err)
	}
}

// note keeps the first that went wrong.
func (f *decapFlow) note(lost []byte, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost == nil && f.err == nil {
		f.lost, f.err = lost, err
	}
	f.change.Broadcast()
}

// moves waits until every kind of packet has gone through once more.
func (f *decapFlow) moves(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for start := f.rounds; f.rounds < start+2 && f.err == nil; {
		f.change.Wait()
	}
}

func (f *decapFlow) stop(t *testing.T) {
	t.Helper()
	f.cancel()
	<-f.done
	mustRig(t, f.err)
	if f.lost != nil {
		t.Errorf("not taken out:\n%s", show(f.lost))
	}
}
