// Package view turns what steering, loader and processes know into what the
// control API shows. Nothing is decided or kept here: every function is a
// value in and a value out.
package view

import (
	"time"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/loader"
	"sluice/steering"
)

// Totals are the sums over all backends and drop reasons. flowsMax is the
// number of flows the table was made for.
func Totals(s steering.Status, drops []loader.DropCounter, flowsMax int) control.Totals {
	t := control.Totals{FlowsMax: uint64(flowsMax)}
	for _, b := range s.Backends {
		t.FlowsNow += b.FlowsNow
		t.FlowsNowIsUpperBound = t.FlowsNowIsUpperBound || b.UpperBound
		t.FlowsOpened += b.Counters.FlowsOpened
		t.PacketsIn += b.Counters.PacketsIn
		t.BytesIn += b.Counters.BytesIn
		t.PacketsOut += b.Counters.PacketsOut
		t.BytesOut += b.Counters.BytesOut
	}
	for _, service := range s.Services {
		if service.Marks != nil {
			t.RingEntries += loader.RingEntries
			t.RingInDoubt += uint64(service.Marks.Any)
		}
	}
	for _, d := range drops {
		t.PacketsDropped += d.Packets
	}
	return t
}

// Services are shown in their order.
func Services(s steering.Status) []control.Service {
	list := make([]control.Service, 0, len(s.Services))
	for _, service := range s.Services {
		list = append(list, oneService(service))
	}
	return list
}

// oneService takes packets in from the service, which counts also what reached
// no backend, and packets out from its flows, where alone they are counted.
func oneService(s steering.ServiceStatus) control.Service {
	out := control.Service{
		Name: s.Name, Listen: s.Listen, Mode: serviceMode(s.Mode, s.Nodes), Removed: s.Removed,
		ClientAddress: string(s.Settings.ClientAddress), Select: string(s.Settings.Select),
		PacketsIn: s.Counters.PacketsIn, BytesIn: s.Counters.BytesIn,
		PacketsOut: s.Flows.PacketsOut, BytesOut: s.Flows.BytesOut,
		FlowsOpened: s.Flows.FlowsOpened, FlowsNow: s.FlowsNow, FlowsNowIsUpperBound: s.UpperBound,
		SYNs: s.Counters.SYNs, Refused: s.Counters.Refused,
		FlowsRevived:     s.Flows.FlowsRevived,
		FlowsUnprotected: s.Counters.FlowsUnprotected, NoReturnPath: s.Counters.NoReturnPath, ICMPErrors: s.Counters.ICMPErrors,
	}
	if c := s.Marks; c != nil {
		out.RingEntries, out.RingInDoubt = loader.RingEntries, uint64(c.Any)
		out.RingMoved, out.RingPending, out.RingRefresh = uint64(c.Moved), uint64(c.Pending), uint64(c.Refresh)
	}
	for _, m := range s.Members {
		out.Backends = append(out.Backends, control.ServiceMember{
			Name: m.Name, Addr: m.Addr, State: control.BackendState(m.State), Weight: m.Weight, FlowsNow: m.FlowsNow,
		})
	}
	return out
}

// serviceMode is the word of the settings for a service.
func serviceMode(m loader.Mode, nodes bool) string {
	if nodes {
		return string(config.ModeSSHD)
	}
	return mode(m)
}

// mode is the word of the settings. A mode of a newer program has none: it can
// only be met in maps that this one would have refused to open.
func mode(m loader.Mode) string {
	switch m {
	case loader.ModeNAT:
		return string(config.ModeNAT)
	case loader.ModeDSR:
		return string(config.ModeDSR)
	case loader.ModeSSHD:
		return string(config.ModeSSHD)
	case loader.ModeIPIP:
		return string(config.ModeIPIP)
	case loader.ModeGUE:
		return string(config.ModeGUE)
	}
	return ""
}

// Backends are shown in their order.
func Backends(s steering.Status) []control.Backend {
	list := make([]control.Backend, 0, len(s.Backends))
	for _, b := range s.Backends {
		out := control.Backend{
			Name: b.Name, Addr: b.Addr, State: control.BackendState(b.State), Weight: b.Weight,
			PacketsIn: b.Counters.PacketsIn, BytesIn: b.Counters.BytesIn,
			PacketsOut: b.Counters.PacketsOut, BytesOut: b.Counters.BytesOut,
			FlowsOpened: b.Counters.FlowsOpened, FlowsNow: b.FlowsNow, FlowsNowIsUpperBound: b.UpperBound,
			Services: b.Services, Since: b.Since, Reason: b.Reason, Health: string(b.Health),
			SYNs: b.Counters.SYNs, Resets: b.Counters.Resets,
		}
		if d := b.Drain; d != nil {
			out.FlowsSilent = d.Silent
			out.Deadline = when(d.Deadline)
		}
		list = append(list, out)
	}
	return list
}

// when is a time or nothing.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Attachments are shown in their order, with the program that they carry.
func Attachments(list []loader.Attachment, program string) []control.Attachment {
	out := make([]control.Attachment, 0, len(list))
	for _, a := range list {
		out = append(out, control.Attachment{
			Interface: a.Interface, Index: a.Index, Program: program, Mode: string(a.Mode), Driver: a.Driver, MTU: a.MTU,
		})
	}
	return out
}

// Decap are shown in their order.
func Decap(list []loader.DecapCounter) []control.DecapVerdict {
	out := make([]control.DecapVerdict, 0, len(list))
	for _, c := range list {
		out = append(out, control.DecapVerdict(c))
	}
	return out
}

// Alarms are shown in their order.
func Alarms(list []steering.Alarm) []control.Alarm {
	out := make([]control.Alarm, 0, len(list))
	for _, a := range list {
		out = append(out, control.Alarm{
			Severity: string(a.Severity), Subject: a.Subject, Text: a.Text, Hint: a.Hint, Since: a.Since,
		})
	}
	return out
}
