package loader

import "fmt"

// checkMeta notes what fresh maps are made for, and refuses maps made for
// something else: another key would look for every flow in the wrong line.
func (d *Dataplane) checkMeta() error {
	var have bpfMeta
	want := bpfMeta{Schema: schema, FlowLines: d.lines, KeyCheck: d.key.check()}
	if err := d.objs.Metas.Lookup(uint32(0), &have); err != nil {
		return fmt.Errorf("read pinned meta: %v", err)
	}
	if have == (bpfMeta{}) {
		if err := d.objs.Metas.Put(uint32(0), &want); err != nil {
			return fmt.Errorf("write pinned meta: %v", err)
		}
		return nil
	}
	if have.KeyCheck != want.KeyCheck {
		return fmt.Errorf("pinned maps in %s were made with another cluster key; put that key back, or run `sluice detach`, which ends forwarded flows, and start again", d.pins.root)
	}
	if have != want {
		return fmt.Errorf("pinned maps in %s were made for %d flow lines of layout %d, not %d of layout %d; run `sluice detach`, which ends forwarded flows, and start again",
			d.pins.root, have.FlowLines, have.Schema, want.FlowLines, want.Schema)
	}
	return nil
}
