// Package loader is mechanism: it loads and attaches the XDP and socket-lookup
// programs of bpf/, pins and adopts their maps, and offers the maps as typed
// calls. It decides nothing: which backend serves whom is package steering's.
//
// Everything is pinned below one folder of a bpffs, in a folder named after
// the layout of the maps. A process that opens it adopts what stands there and
// puts its own programs in place of the old in one step per interface, so
// flows go on while processes come and go.
package loader

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// XDPMode says how programs may be attached.
type XDPMode string

// The modes of attachment. Auto takes native where the driver can and falls
// back to generic.
const (
	XDPAuto    XDPMode = "auto"
	XDPNative  XDPMode = "native"
	XDPGeneric XDPMode = "generic"
)

// Options are what a Dataplane is opened with.
type Options struct {
	// Dir is the folder for pins; it must be on a bpffs and is made if absent.
	Dir string
	// Interfaces carry the steering program. Those that no longer appear here
	// are let go of.
	Interfaces []string
	XDP        XDPMode
	// MaxFlows sizes the flow table [262144]. It cannot change while the maps
	// live.
	MaxFlows  int
	Key       [16]byte
	Lifetimes Lifetimes
	// AlwaysLookUp makes the programs ask the flow table for every packet, as
	// if every ring entry were in doubt.
	AlwaysLookUp bool
}

// Dataplane is the set of programs and maps of one node. Its methods may be
// called from several goroutines.
type Dataplane struct {
	objs  bpfObjects
	pins  pins
	lock  *os.File
	key   hashKey
	lines uint32

	lifetimes [6]uint32
	embryo    uint32 // ticks
	doubt     uint32 // ticks

	changes atomic.Uint64 // of services and members

	mu          sync.Mutex // guards what follows and changes of the records below
	attachments []Attachment
	services    map[ServiceID]Service
	published   map[ServiceID]bool
	listeners   map[ServiceID]uint32 // places in the map of listening sockets
	members     map[MemberID]Member
	hosts       map[MemberID]uint32
	owners      map[netip.Addr]uint32
	elected     map[netip.Addr]bool // VIPs whose words an election writes
	rings       map[ServiceID]*Ring
	seconds     map[ServiceID]*Ring // second choices
	hops        map[NextHopID]NextHop

	loads []byte // the map of loads, nil until it is needed

	// ringUse is held for reading where rings are read without mu, so that none
	// is unmapped meanwhile.
	ringUse sync.RWMutex

	expireMu sync.Mutex                    // one batch of the expire programs at a time
	around   func(call func() error) error // nil outside tests
	events   eventReader

	opened  Options    // what the programs were loaded with
	traceMu sync.Mutex // guards dry: one packet at a time
	dry     *dryRun    // nil until somebody asks
}

// Open loads the programs, makes or adopts the maps pinned below o.Dir, and
// attaches to every interface of o, replacing our own earlier programs without
// a gap. On error nothing that was not there before is left behind, and what
// was there goes on as it did.
//
// The error says what to do: another process holds the maps, the maps were
// made for another layout, size or key, the kernel lacks a feature, or an
// interface is missing or carries a program that is not ours.
func Open(o Options) (*Dataplane, error) {
	o = o.withDefaults()
	p, lock, err := openPins(o.Dir)
	if err != nil {
		return nil, err
	}
	d := &Dataplane{pins: p, lock: lock, key: newHashKey(o.Key), lines: flowLines(o.MaxFlows), opened: o}
	d.lifetimes, d.embryo, d.doubt = o.Lifetimes.byState(), ticks(o.Lifetimes.Embryo), ticks(o.Lifetimes.Doubt)
	if err := d.open(o); err != nil {
		return nil, errors.Join(err, d.abandon())
	}
	return d, nil
}

func (d *Dataplane) open(o Options) error {
	if err := d.load(o); err != nil {
		return err
	}
	if err := d.checkMeta(); err != nil {
		return err
	}
	if err := d.adopt(); err != nil {
		return err
	}
	if err := d.events.open(d.objs.Events); err != nil {
		return err
	}
	// Last, because it is what the network notices.
	return d.attach(o)
}

func (o Options) withDefaults() Options {
	if o.XDP == "" {
		o.XDP = XDPAuto
	}
	if o.MaxFlows == 0 {
		o.MaxFlows = 262144
	}
	o.Lifetimes = o.Lifetimes.withDefaults()
	return o
}

// load makes the collection against the pinned maps.
func (d *Dataplane) load(o Options) error {
	spec, err := d.programs(o)
	if err != nil {
		return err
	}
	opts := ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: d.pins.maps()}}
	err = spec.LoadAndAssign(&d.objs, &opts)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ebpf.ErrMapIncompatible):
		return fmt.Errorf("adopt pinned maps in %s: %v; dataplane.max_flows or the program changed: run `sluice detach`, which ends forwarded flows, and start again", d.pins.root, err)
	default:
		return explainLoad(err)
	}
}

// programs are the embedded ones, ready to be loaded against the pinned maps.
func (d *Dataplane) programs(o Options) (*ebpf.CollectionSpec, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, fmt.Errorf("read embedded programs: %v", err)
	}
	size(spec, o.MaxFlows)
	pinByName(spec)
	if err := setConstants(spec, d.key, d.lines, o); err != nil {
		return nil, err
	}
	return spec, takeFragments(spec)
}

// Close lets go of the maps and programs. Everything stays pinned and attached.
func (d *Dataplane) Close() error {
	d.traceMu.Lock()
	err := errors.Join(d.events.close(), d.dry.close())
	d.traceMu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, rings := range []map[ServiceID]*Ring{d.rings, d.seconds} {
		for _, r := range rings {
			err = errors.Join(err, r.close())
		}
	}
	d.rings, d.seconds = nil, nil
	if d.loads != nil {
		err = errors.Join(err, unix.Munmap(d.loads))
		d.loads = nil
	}
	return errors.Join(err, d.objs.Close(), d.lock.Close())
}

// abandon undoes an Open that failed.
func (d *Dataplane) abandon() error {
	err := d.Close()
	return errors.Join(err, d.pins.undo())
}
