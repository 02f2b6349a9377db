package view

import (
	"sluice/internal/control"
	"sluice/internal/node/process"
)

// Process is what a process may do. all is every capability the kernel knows:
// a set that holds them all is shown as "all".
func Process(name string, pid int, s process.Status, all process.CapSet) control.Process {
	names := func(set process.CapSet) []string {
		if all != 0 && set.Has(all) {
			return []string{"all"}
		}
		return set.Names()
	}
	return control.Process{
		Name: name, PID: pid, UID: uint32(s.UID), NoNewPrivileges: s.NoNewPrivs,
		Capabilities: control.Capabilities{
			Effective: names(s.Effective), Permitted: names(s.Permitted),
			Ambient: names(s.Ambient), Bounding: names(s.Bounding),
		},
	}
}

// Companion is the vip process.
func Companion(c process.Companion, all process.CapSet) control.Process {
	p := Process("vip", c.PID, c.Rights, all)
	p.StartedAt, p.Restarts, p.Schedule = c.Since, c.Restarts, c.Schedule.String()
	return p
}
