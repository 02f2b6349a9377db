package loader

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Blocks of addresses, as deny_block of bpf/guard.h finds them.
const (
	denyBlocks    = 65536
	denySpread    = 0x9e3779b1
	denyBlockBits = 64 // in a word

	// How many bits of an address tell its block.
	denyBitsV4, denyBitsV6 = 16, 32
)

// blocks has a bit for each block of addresses that may hold a denied one.
type blocks [denyBlocks / denyBlockBits]uint64

func blocksOf(prefixes []netip.Prefix) *blocks {
	b := &blocks{}
	for _, p := range prefixes {
		b.add(p.Masked())
	}
	return b
}

func (b *blocks) set(block uint32) { b[block/denyBlockBits] |= 1 << (block % denyBlockBits) }

// add notes the blocks of a prefix. One of IPv6 that is shorter than a block
// may be anywhere: its blocks are found by a hash.
func (b *blocks) add(p netip.Prefix) {
	if p.Addr().Is6() {
		if p.Bits() < denyBitsV6 {
			b.fill(0, denyBlocks)
			return
		}
		first := p.Addr().As16()
		b.set(binary.LittleEndian.Uint32(first[:4]) * denySpread >> 16)
		return
	}
	first := p.Addr().As4()
	from := uint32(binary.BigEndian.Uint16(first[:2]))
	b.fill(from, from+1<<max(0, denyBitsV4-p.Bits()))
}

func (b *blocks) fill(from, to uint32) {
	for block := from; block < to; block++ {
		b.set(block)
	}
}

func (b *blocks) or(other *blocks) *blocks {
	both := *b
	for i := range both {
		both[i] |= other[i]
	}
	return &both
}

// setDenied makes prefixes those that are denied. Their blocks are named before
// they are there, and as long as they are.
func (d *Dataplane) setDenied(prefixes []netip.Prefix) error {
	have, err := rules(d.objs.Denies)
	if err != nil {
		return fmt.Errorf("read denied prefixes: %v", err)
	}
	was, is := &blocks{}, blocksOf(prefixes)
	for p := range have {
		was.add(p)
	}
	if err := d.putBlocks(is.or(was)); err != nil {
		return err
	}
	if err := d.setPrefixes(d.objs.Denies, "denied", prefixes); err != nil {
		return err
	}
	return d.putBlocks(is)
}

func (d *Dataplane) putBlocks(b *blocks) error {
	keys := make([]uint32, len(b))
	for i := range keys {
		keys[i] = uint32(i)
	}
	if _, err := d.objs.DenyBlocks.BatchUpdate(keys, b[:], nil); err != nil {
		return fmt.Errorf("name the blocks of denied prefixes: %v", err)
	}
	return nil
}
