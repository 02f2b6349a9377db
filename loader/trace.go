package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
)

// Stage is a decision of the program.
type Stage uint32

// The stages, with the values of enum trace_stage. What a step's Value means
// is said with them.
const (
	StageService      Stage = iota + 1 // a ServiceID
	StageEntry                         // the entry of the ring
	StageWord                          // the ring word: a MemberID, and marks above it
	StageShort                         // the word is beyond doubt; a MemberID
	StageFlow                          // the flow table has it; a FlowState
	StageEmbryo                        // a handshake is known; a MemberID
	StageCompletes                     // and the packet completes it
	StageUnknown                       // neither flow nor handshake is known
	StageSYN                           // a connection begins with a MemberID
	StageMember                        // the packet goes to a MemberID
	StageNextHop                       // by a NextHopID
	StageEncapsulated                  // inside an outer header of so many bytes
	StageDrop                          // a drop reason; see Step.Reason
	StageReset                         // answered by a reset
	StagePassed                        // passed up to a listener of this node
	StageSocket                        // a connection of this node has it; a MemberID
)

// Step is one decision about a packet.
type Step struct {
	Stage Stage
	Value uint32
	// Reason is the name of the drop reason of StageDrop.
	Reason string
}

// Trace is what the program would do with a packet.
type Trace struct {
	Steps []Step
	// Verdict is one of enum xdp_action, such as "XDP_TX".
	Verdict string
	// Packet is the frame as it would leave.
	Packet []byte
}

// Probe is a packet of a client to ask about.
type Probe struct {
	Client, Listen netip.AddrPort
	// SYN asks about the first packet of a connection, else about one of a
	// connection that exists.
	SYN bool
	// Interface is where it comes in, by index; 0 is the one by which the client
	// is reached, if it carries the program, else any that does.
	Interface int
}

// private are the maps that count: a program which changes nothing has its own.
var private = []string{"drops", "member_counts", "service_counts", "events", "event_paces", "paces"}

// Trace says what the program would do with a packet, by running a second
// instance of it that changes nothing. The first call loads it.
func (d *Dataplane) Trace(p Probe) (Trace, error) {
	d.traceMu.Lock()
	defer d.traceMu.Unlock()
	if d.dry == nil {
		dry, err := d.loadDry()
		if err != nil {
			return Trace{}, fmt.Errorf("trace packet: %v", err)
		}
		d.dry = dry
	}
	if p.Interface == 0 {
		p.Interface = d.inbound(p.Client.Addr())
	}
	return d.dry.run(p)
}

// inbound is the interface a client's packet most likely comes in by.
func (d *Dataplane) inbound(client netip.Addr) (index int) {
	routes, err := netlink.RouteGet(client.AsSlice())
	for _, a := range d.Attachments() {
		if err == nil && len(routes) > 0 && routes[0].LinkIndex == a.Index {
			return a.Index
		}
		index = a.Index
	}
	return index
}

// dryRun is the second instance.
type dryRun struct {
	steer  *ebpf.Program
	traces *ebpf.Map
}

// loadDry shares the pinned maps as any other process does.
func (d *Dataplane) loadDry() (*dryRun, error) {
	spec, err := d.programs(d.opened)
	if err != nil {
		return nil, err
	}
	if err := spec.Variables["dry"].Set(uint32(1)); err != nil {
		return nil, fmt.Errorf("set constant \"dry\": %v", err)
	}
	for _, name := range private {
		spec.Maps[name].Pinning = ebpf.PinNone
	}
	spec.Programs = map[string]*ebpf.ProgramSpec{"steer": spec.Programs["steer"]}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: d.pins.maps()}})
	if err != nil {
		return nil, explainLoad(err)
	}
	defer c.Close()
	return &dryRun{steer: c.DetachProgram("steer"), traces: c.DetachMap("traces")}, nil
}

func (r *dryRun) close() error {
	if r == nil {
		return nil
	}
	return errors.Join(r.steer.Close(), r.traces.Close())
}

func (r *dryRun) run(p Probe) (Trace, error) {
	if err := r.traces.Put(uint32(0), &bpfTrace{}); err != nil {
		return Trace{}, fmt.Errorf("clear trace: %v", err)
	}
	in := p.frame()
	o := ebpf.RunOptions{
		Data: in, DataOut: make([]byte, len(in)+256),
		Context: xdpMd{DataEnd: uint32(len(in)), IngressIfindex: uint32(p.Interface)},
	}
	verdict, err := r.steer.Run(&o)
	if err != nil {
		return Trace{}, fmt.Errorf("run the program for a trace: %v", err)
	}
	var raw bpfTrace
	if err := r.traces.Lookup(uint32(0), &raw); err != nil {
		return Trace{}, fmt.Errorf("read trace: %v", err)
	}
	t := Trace{Verdict: verdictName(verdict), Packet: o.DataOut}
	for _, s := range raw.Steps[:min(int(raw.Count), len(raw.Steps))] {
		step := Step{Stage: Stage(s.Stage), Value: s.Value}
		if step.Stage == StageDrop {
			step.Reason = bpfDropReason(s.Value).name()
		}
		t.Steps = append(t.Steps, step)
	}
	return t, nil
}

func verdictName(v uint32) string {
	names := []string{"XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"}
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("verdict %d", v)
}

// xdpMd is struct xdp_md of linux/bpf.h.
type xdpMd struct {
	Data, DataEnd, DataMeta                     uint32
	IngressIfindex, RxQueueIndex, EgressIfindex uint32
}

// frame builds the packet. Its checksums are right, so that what comes out is.
func (p Probe) frame() []byte {
	const ether, tcp = 14, 20
	src, dst := p.Client.Addr(), p.Listen.Addr()
	ip := 20
	if src.Is6() {
		ip = 40
	}
	f := make([]byte, ether+ip+tcp)
	h, t := f[ether:ether+ip], f[ether+ip:]
	var pseudo []byte
	if src.Is4() {
		binary.BigEndian.PutUint16(f[12:], 0x0800)
		h[0], h[8], h[9] = 0x45, 64, 6
		binary.BigEndian.PutUint16(h[2:], uint16(ip+tcp))
		copy(h[12:], src.AsSlice())
		copy(h[16:], dst.AsSlice())
		binary.BigEndian.PutUint16(h[10:], checksum(h))
		pseudo = h[12:20]
	} else {
		binary.BigEndian.PutUint16(f[12:], 0x86dd)
		h[0], h[6], h[7] = 0x60, 6, 64
		binary.BigEndian.PutUint16(h[4:], tcp)
		copy(h[8:], src.AsSlice())
		copy(h[24:], dst.AsSlice())
		pseudo = h[8:40]
	}
	binary.BigEndian.PutUint16(t, p.Client.Port())
	binary.BigEndian.PutUint16(t[2:], p.Listen.Port())
	t[12], t[13] = tcp/4<<4, 0x10 // ACK
	if p.SYN {
		t[13] = 0x02
	}
	binary.BigEndian.PutUint16(t[16:], checksum(slices.Concat(pseudo, []byte{0, 6, 0, tcp}, t)))
	return f
}

// checksum is the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
