package vip

import (
	"errors"
	"fmt"
)

// Apply changes to another plan: clusters that it has no more end, new ones begin,
// and what both have goes on without a gap. An error tells what does not run of it;
// the rest does.
func (d *Daemon) Apply(plan Plan) error {
	if err := plan.Check(); err != nil {
		return err
	}
	if err := writePlan(d.Directory, plan); err != nil {
		return err
	}
	return d.apply(plan)
}

func (d *Daemon) apply(plan Plan) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.applyLocked(plan)
}

// applyLocked is apply with mu held.
func (d *Daemon) applyLocked(plan Plan) error {
	if d.ctx == nil {
		return errors.New("apply plan: the daemon does not run")
	}
	d.plan = plan
	d.words = d.Owners
	if !plan.Steers || d.Owners == nil {
		d.words = d.kept
	}
	var errs []error
	wanted := map[string]bool{}
	for _, p := range plan.Clusters {
		wanted[p.Name] = true
	}
	for name, c := range d.clusters {
		if !wanted[name] {
			c.end(true)
			delete(d.clusters, name)
		}
	}
	var fresh []*cluster
	for _, p := range plan.Clusters {
		c, err := d.applyCluster(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("virtual cluster %q: %v", p.Name, err))
		}
		if c != nil {
			fresh = append(fresh, c)
		}
	}
	// Before anything is taken: what is left of a cluster of another name may have
	// the same virtual MAC.
	if swept, err := d.host.Sweep(); err != nil {
		errs = append(errs, err)
	} else if len(swept) > 0 {
		d.Log.Warn("removed what an earlier process left", "what", swept)
	}
	ctx := d.ctx // which stop takes away
	for _, c := range fresh {
		d.running.Go(func() { c.run(ctx) })
	}
	d.spread()
	return errors.Join(errs...)
}

// applyCluster brings a cluster to its plan, and returns one that is yet to run.
// What cannot change as it runs begins anew without giving the VIPs up: the new
// one goes on where the old one stopped, if it can.
func (d *Daemon) applyCluster(p Cluster) (*cluster, error) {
	if old := d.clusters[p.Name]; old != nil {
		old.inform(d)
		if old.wanted.equal(p) {
			return nil, nil
		}
		if old.wanted.changesTo(p) {
			return nil, old.change(d.ctx, p)
		}
		old.end(false)
		delete(d.clusters, p.Name)
		defer func() {
			if d.clusters[p.Name] == nil {
				// Nobody goes on where the old one stopped; its addresses are swept.
				_ = d.words.Set(old.vips, false, 0)
			}
		}()
	}
	c, err := newCluster(d, p)
	if err != nil {
		return nil, err
	}
	d.clusters[p.Name] = c
	return c, nil
}
