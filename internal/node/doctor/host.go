package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"sluice/internal/node/process"
)

// checkRights compares what the processes may do with what they need: less
// does not work, more is a risk nobody needs.
func checkRights(_ context.Context, e *examination) {
	const subject = "capabilities"
	if e.node.answers {
		for _, p := range e.node.status.Processes {
			if p.Name != "node" {
				continue
			}
			switch want := process.NodeCaps.Names(); {
			case slices.Equal(p.Capabilities.Effective, want) && slices.Equal(p.Capabilities.Bounding, want):
				e.pass(subject, "the node runs as user id %d with %s and can get no others", p.UID, process.NodeCaps)
			default:
				e.warn(subject, fmt.Sprintf("the node has %v, bounded by %v", []string(p.Capabilities.Effective), []string(p.Capabilities.Bounding)),
					"start it by \"sluice run\", which leaves it "+process.NodeCaps.String()+" only")
			}
		}
		return
	}
	own, err := e.machine.Rights()
	if err != nil {
		e.warn(subject, err.Error(), "run doctor where /proc is mounted")
		return
	}
	if missing := process.NodeCaps &^ own.Effective; missing != 0 {
		e.warn(subject, "missing "+missing.String()+": some checks see nothing, and \"sluice run\" cannot start so", "run both as root")
		return
	}
	e.pass(subject, "all that the node needs can be given to it")
}

// checkKernel probes features and never asks for the version: distributions
// bring features to old kernels and leave them out of new ones.
func checkKernel(_ context.Context, e *examination) {
	const subject = "kernel"
	features := e.machine.Features()
	good := 0
	for _, f := range features {
		switch {
		case f.Err == nil:
			good++
		case errors.Is(f.Err, ebpf.ErrNotSupported):
			e.fail(subject, "lacks "+f.Name, "run Linux "+f.Since+" or newer, or one that has it backported")
		default:
			e.warn(subject, fmt.Sprintf("cannot tell whether it has %s: %v", f.Name, f.Err), "run doctor as root")
		}
	}
	if good == len(features) {
		e.pass(subject, "has all %d features that are needed", good)
	}
}

// checkBPFFS: pins are what outlives the processes, so it matters less that
// there is a bpffs, which sluice mounts itself, than that it lasts.
func checkBPFFS(_ context.Context, e *examination) {
	const subject = "bpffs"
	path := e.settings.Node.BPFFS
	on, ours, err := e.machine.OnBPFFS(path)
	switch {
	case err != nil:
		e.warn(subject, err.Error(), "run doctor as root")
	case on && ours:
		e.pass(subject, "%s is on one", path)
	case on:
		e.fail(subject, path+" is on one of a mount namespace of its own: pins vanish with the last process in it",
			"start sluice in the host's mount namespace: \"nsenter --net=/run/netns/NAME\" instead of \"ip netns exec NAME\"")
	case !ours:
		e.fail(subject, path+" is on none, and this is a mount namespace of its own, where one would not last",
			"mount it on the host: mount -t bpf bpf /sys/fs/bpf")
	default:
		e.pass(subject, "%s is on none yet: \"sluice run\" mounts it", path)
	}
}

// checkClock: nothing in steering depends on the wall clock, but signed adverts
// do, and who compares the logs of two machines.
func checkClock(_ context.Context, e *examination) {
	const subject = "clock"
	synchronised, err := e.machine.ClockSynchronised()
	signed, enforced := e.signs()
	switch {
	case err != nil:
		e.warn(subject, err.Error(), "look at your time service")
	case !synchronised && signed != "":
		level := Warn
		if enforced {
			level = Fail
		}
		e.add(level, subject, "is not synchronised, and adverts of virtual cluster "+signed+" prove themselves by the time: others refuse them once clocks differ",
			"run chrony or systemd-timesyncd on all gateways")
	case !synchronised:
		e.warn(subject, "is not synchronised: times in logs and status will not agree with other machines", "run chrony or systemd-timesyncd")
	default:
		e.pass(subject, "is synchronised")
	}
}
