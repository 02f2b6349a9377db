package loader

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ErrDataplaneGone says that the pinned maps of an Owners were removed, or
// removed and made again: what it writes would reach no program. Reopen.
var ErrDataplaneGone = errors.New("the pinned maps are not those that were opened")

// ErrNoWord says that the node has not said yet that an election decides about a
// VIP, or does not say so any more (see [Dataplane.SetElected]).
var ErrNoWord = errors.New("no owner word")

// Owners are the owner words of elected VIPs, for the process that holds the
// election. It opens these maps and nothing else, so it needs no more than
// CAP_BPF and the right to search the pin folder, and outlives the node, whose
// restarts and new programs use the same maps. Not for use by several goroutines
// at once.
type Owners struct {
	dir            string // of the pins
	words, elected *ebpf.Map
	pinned         [2]unix.Stat_t // the pins of both when they were opened
}

// closedUntil is the deadline of a closed word. It is past, so that between the
// two stores that close a word it is not open without one.
const closedUntil = 1

// OpenOwners opens the owner words pinned below the folder pins. The error wraps
// [ErrDataplaneGone] where there are none: the node has not started yet.
func OpenOwners(pins string) (*Owners, error) {
	o := &Owners{dir: pinsOf(pins).maps()}
	return o, o.Reopen()
}

// Reopen opens the words anew after [ErrDataplaneGone]. On error the words are as
// before, and it may be tried again.
func (o *Owners) Reopen() error {
	var fresh Owners
	for i, open := range []struct {
		name       string
		to         **ebpf.Map
		key, value uint32
	}{{"owners", &fresh.words, 4, 16}, {"elected", &fresh.elected, 16, 4}} {
		err := fresh.open(filepath.Join(o.dir, open.name), open.to, &fresh.pinned[i], open.key, open.value)
		if err != nil {
			return errors.Join(fmt.Errorf("open owner words: %w", err), fresh.Close())
		}
	}
	old := Owners{words: o.words, elected: o.elected}
	o.words, o.elected, o.pinned = fresh.words, fresh.elected, fresh.pinned
	return old.Close()
}

func (*Owners) open(path string, to **ebpf.Map, st *unix.Stat_t, key, value uint32) error {
	err := unix.Stat(path, st)
	if err == nil {
		*to, err = ebpf.LoadPinnedMap(path, nil)
	}
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w; start `sluice run`", path, ErrDataplaneGone)
	}
	if err != nil {
		return fmt.Errorf("%s: %v", path, err)
	}
	if m := *to; m.KeySize() != key || m.ValueSize() != value {
		return fmt.Errorf("%s: not a map of this version; run the same sluice everywhere", path)
	}
	return nil
}

// Set opens or closes the words of VIPs; an open one closes by itself at until on
// CLOCK_MONOTONIC, 0 for never. VIPs without a word are left out and named by an
// error that wraps [ErrNoWord]; all others are set nevertheless. After
// [ErrDataplaneGone] none is.
func (o *Owners) Set(vips []netip.Addr, active bool, until time.Duration) error {
	if err := o.stands(); err != nil {
		return fmt.Errorf("set owner words: %w", err)
	}
	word := bpfOwner{Until: closedUntil}
	if active {
		word = bpfOwner{Until: uint64(max(until, 0)), Active: 1}
	}
	var failed error
	for _, vip := range vips {
		// Each time anew: the node may have given the word to another VIP.
		i, err := o.index(vip)
		if err == nil {
			err = o.words.Put(i, &word)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("set owner word of VIP %s: %w", vip, err))
		}
	}
	return failed
}

// State returns whether the word of a VIP says active, and until when on
// CLOCK_MONOTONIC, 0 for ever; the deadline of one that is not active says
// nothing. Errors are as those of Set.
func (o *Owners) State(vip netip.Addr) (active bool, until time.Duration, err error) {
	var word bpfOwner
	i, err := uint32(0), o.stands()
	if err == nil {
		i, err = o.index(vip)
	}
	if err == nil {
		err = o.words.Lookup(i, &word)
	}
	if err != nil {
		return false, 0, fmt.Errorf("read owner word of VIP %s: %w", vip, err)
	}
	return word.Active != 0, time.Duration(word.Until), nil
}

func (o *Owners) index(vip netip.Addr) (i uint32, err error) {
	key := toAddr(vip)
	err = o.elected.Lookup(&key, &i)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return 0, ErrNoWord
	}
	return i, err
}

// stands says whether the pins are those that were opened.
func (o *Owners) stands() error {
	for i, name := range []string{"owners", "elected"} {
		var now unix.Stat_t
		err := unix.Stat(filepath.Join(o.dir, name), &now)
		switch {
		case errors.Is(err, unix.ENOENT):
			return ErrDataplaneGone
		case err != nil:
			return fmt.Errorf("look at pin %s: %v", name, err)
		case now.Dev != o.pinned[i].Dev || now.Ino != o.pinned[i].Ino:
			return ErrDataplaneGone
		}
	}
	return nil
}

// Close lets go of the maps. The words stay as they are.
func (o *Owners) Close() error {
	var err error
	for _, m := range []*ebpf.Map{o.words, o.elected} {
		if m != nil {
			err = errors.Join(err, m.Close())
		}
	}
	return err
}
