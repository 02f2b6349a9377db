package loader

import (
	"fmt"
	"time"
)

// importFlows is IMPORT_BATCH of bpf/shared.h.
const importFlows = 64

// Imported is what became of records.
type Imported struct {
	Made     int // new here
	Replaced int // in place of what this node knew of the flow, or of its state
	Known    int // as they were; only their age was renewed
	// Refused are those of a service or member without a record here, of another
	// mode, of nonsense, past their lifetime, without room, and those that this
	// node has another living flow in place of whose VIP it has.
	Refused int
}

// add sums up.
func (i *Imported) add(o Imported) {
	i.Made += o.Made
	i.Replaced += o.Replaced
	i.Known += o.Known
	i.Refused += o.Refused
}

// ImportFlows makes the entries of flows that another gateway has, whatever the
// rings here say; records are in this node's ids. In mode nat the source port
// stays, and whose it was here loses it, unless that flow lives and this node's
// own word says that it has the VIP. The same again changes nothing. A flow is
// counted opened when it is made and closed when it is removed or ends; that it
// was made is no event.
//
// An imported flow is not followed by its numbers, which went on after the record
// was read: a FIN or RST of either side is believed and doubted, as in one-way
// modes.
func (d *Dataplane) ImportFlows(records []FlowRecord) (sum Imported, err error) {
	now, err := monotonic()
	if err != nil {
		return sum, err
	}
	services, err := d.Services()
	if err != nil {
		return sum, err
	}
	var args bpfImportArgs
	flush := func() error {
		if args.Count == 0 {
			return nil
		}
		args.Results = [4]uint32{}
		if err := d.runImport(&args); err != nil {
			return fmt.Errorf("import flows: %v", err)
		}
		sum.add(Imported{Refused: int(args.Results[0]), Made: int(args.Results[1]), Replaced: int(args.Results[2]), Known: int(args.Results[3])})
		args.Count = 0
		return nil
	}
	for i := range records {
		r := &records[i]
		if !r.sensible(services[r.Service]) {
			sum.Refused++
			continue
		}
		args.Flows[args.Count] = r.encode(now)
		if args.Count++; args.Count == importFlows {
			if err := flush(); err != nil {
				return sum, err
			}
		}
	}
	return sum, flush()
}

// sensible says whether a flow of the service may be as the record has it.
func (r *FlowRecord) sensible(s Service) bool {
	vip := s.Listen.Addr()
	fins, doubts := r.Flags>>2&3, r.Flags>>4&3
	nat := s.Mode == ModeNAT
	switch {
	case !nat && !s.Mode.OneWay():
		return false
	case !r.Client.IsValid() || r.Client.Port() == 0 || r.Client.Addr().Is4() != vip.Is4():
		return false
	case r.Flags>>flowFlags != 0 || r.Idle < 0 || r.Age < r.Idle:
		return false
	case nat != r.Source.IsValid() || nat && (r.Source.Port() == 0 || r.Source.Addr().Is4() != vip.Is4()):
		return false
	case s.KeepClient && r.Source != r.Client:
		return false
	case r.Flags&FlowHeader != 0 && (!nat || s.KeepClient) || nat && r.Flags&FlowAdvanced != 0:
		return false
	}
	switch r.State {
	case FlowYoung:
		return !nat && fins|doubts == 0
	case FlowEstablished:
		return fins|doubts == 0
	case FlowHalfClosed: // one FIN, in doubt or not
		return (fins == 1 || fins == 2) && doubts&^fins == 0
	case FlowClosed: // by a reset in doubt, or two FINs of which neither was confirmed
		return doubts&^fins != 0 || fins == 3 && doubts == 3
	}
	return false
}

func (r *FlowRecord) encode(now uint32) bpfImported {
	f := bpfImported{
		Client: toAddr(r.Client.Addr()), Port: swap16(r.Client.Port()),
		Service: uint32(r.Service), Member: uint32(r.Member),
		Opened: now - agedTicks(r.Age), Seen: now - agedTicks(r.Idle),
		Sequence: r.Sequence, BackSequence: r.BackSequence, Status: uint32(r.State),
	}
	for i, bits := range recordBits {
		if r.Flags&(1<<i) != 0 {
			f.Status |= bits
		}
	}
	if r.Flags&FlowHeader != 0 {
		f.Status |= r.ISN & statusISN
		f.IsnLow = uint16(r.ISN)
	}
	if r.Source.IsValid() {
		f.Source, f.SourcePort = toAddr(r.Source.Addr()), swap16(r.Source.Port())
		f.Status |= statusAdopted
	}
	return f
}

// agedTicks is an age in ticks, at most half of what they count.
func agedTicks(age time.Duration) uint32 { return uint32(min(age>>tickShift, 1<<30)) }

func (d *Dataplane) runImport(args *bpfImportArgs) error {
	d.expireMu.Lock()
	defer d.expireMu.Unlock()
	return d.timed(func() error { return runBatch(d.objs.ImportBatch, d.objs.Import, args) })
}
