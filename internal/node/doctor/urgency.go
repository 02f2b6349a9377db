package doctor

import (
	"context"
	"fmt"
)

// checkUrgency looks whether the vip process is late when the machine is busy: a
// late one loses its role.
func checkUrgency(_ context.Context, e *examination) {
	const subject = "vip process"
	if len(e.clusters()) == 0 || !e.node.answers {
		return
	}
	pid := 0
	for _, p := range e.node.status.Processes {
		if p.Name == "vip" {
			pid = p.PID
		}
	}
	if pid == 0 {
		e.fail(subject, "there is none, so nobody holds the elections", "look at the log of \"sluice run\"")
		return
	}
	u, err := e.machine.Urgency(pid)
	if err != nil {
		e.warn(subject, err.Error(), "run doctor as root")
		return
	}
	if !u.Realtime {
		e.warn(subject, fmt.Sprintf("runs with %s: it may be late when the machine is busy", u.Schedule),
			"start \"sluice run\" with CAP_SYS_NICE, and see cpu.rt_runtime_us of its control group")
	}
	if !u.Locked {
		e.warn(subject, "its memory is not locked: it may be late when memory is short",
			"start \"sluice run\" with LimitMEMLOCK=infinity or CAP_SYS_RESOURCE")
	}
	if u.Realtime && u.Locked {
		e.pass(subject, "runs with %s, its memory is locked", u.Schedule)
	}
}

// checkKeepalived looks for another program that elects on the same networks.
func checkKeepalived(_ context.Context, e *examination) {
	const subject = "keepalived"
	if len(e.clusters()) == 0 {
		return
	}
	list, err := e.machine.Keepalived()
	if err != nil {
		e.warn(subject, err.Error(), "run doctor where /proc is mounted")
		return
	}
	for _, k := range list {
		e.checkOneKeepalived(subject, k)
	}
}

func (e *examination) checkOneKeepalived(subject string, k keepalived) {
	for _, c := range e.clusters() {
		for _, r := range k.Routers {
			for _, name := range interfacesOf(c) {
				if r.VRID == c.VRID && r.Interface == name {
					e.fail(subject, fmt.Sprintf("process %d holds VRID %d on %s, too, by %s", k.PID, r.VRID, name, k.File),
						"stop it, or take this vrrp_instance away; \"sluice import keepalived\" reads its settings")
					return
				}
			}
		}
	}
	if k.Fault != "" {
		e.warn(subject, fmt.Sprintf("process %d runs beside, and which virtual routers it has is not known: %s", k.PID, k.Fault), "see that it has none of ours")
		return
	}
	e.pass(subject, "process %d runs beside, with none of our virtual routers", k.PID)
}
