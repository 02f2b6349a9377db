package main

import (
	"context"
	"errors"
)

// bringUp opens the site of a name and takes steps, until one fails.
func bringUp(ctx context.Context, name string, r report, opened **site, steps ...func(context.Context) error) error {
	s, swept, err := openSite(name)
	if err != nil {
		return err
	}
	*opened = s
	if swept {
		r.line("swept", "what a lab that died had left")
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// takeDown ends the site when everything else is down, with what was met there;
// then it stays for the next lab to find the leftovers by.
func (s *site) takeDown(met ...error) error {
	if s == nil {
		return nil
	}
	if err := errors.Join(met...); err != nil {
		return errors.Join(err, s.abandon())
	}
	return s.close()
}
