package address

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Watch calls fn with each change of the machine that matters to the set, from
// this goroutine and as soon as the kernel tells, beginning with what is wrong at
// its start, until ctx ends. fn may call the set's methods.
//
// The kernel is asked how things stand whenever something changed: what came and
// went between two looks is not told, and neither is anything lost when changes
// come faster than they are read.
func (s *Set) Watch(ctx context.Context, fn func(Event)) error {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return fmt.Errorf("watch interfaces: %v", err)
	}
	defer context.AfterFunc(ctx, socket.Close)()
	defer socket.Close()
	return s.follow(ctx, socket.Receive, fn)
}

// receive is a subscription's; ENOBUFS from it says that messages were lost.
type receive func() ([]syscall.NetlinkMessage, *unix.SockaddrNetlink, error)

func (s *Set) follow(ctx context.Context, next receive, fn func(Event)) error {
	var (
		last  condition
		scene *scene
		err   error
	)
	for {
		if scene, last, err = s.report(last, fn); err != nil {
			return fmt.Errorf("watch virtual cluster %q: %w", s.cluster, err)
		}
		for stale := false; !stale; {
			messages, _, err := next()
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, unix.ENOBUFS):
				stale = true
			case err != nil:
				return fmt.Errorf("watch virtual cluster %q: %w", s.cluster, err)
			default:
				stale = scene.contradicts(messages)
			}
		}
	}
}

// report looks and tells what changed since the last condition.
func (s *Set) report(last condition, fn func(Event)) (*scene, condition, error) {
	// Under the lock, so that what Take and Release do is not taken for another's.
	s.mu.Lock()
	scene, err := look()
	var now condition
	if err == nil {
		now = s.condition(scene, last)
	}
	s.mu.Unlock()
	if err != nil {
		return nil, last, err
	}
	for _, e := range events(last, now) {
		fn(e)
	}
	return scene, now, nil
}

// contradicts says whether messages tell more than that leases were renewed,
// which is told twice a second for each VIP.
func (sc *scene) contradicts(messages []syscall.NetlinkMessage) bool {
	for _, m := range messages {
		if m.Header.Type != unix.RTM_NEWADDR {
			return true
		}
		a, ok := parseAddr(m.Data)
		if !ok || !sc.knows(a) {
			return true
		}
	}
	return false
}

func (sc *scene) knows(a lying) bool {
	for _, b := range sc.on(a.index) {
		if b.prefix == a.prefix && b.proto == a.proto {
			return true
		}
	}
	return false
}
