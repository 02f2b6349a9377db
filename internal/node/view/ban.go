package view

import (
	"errors"

	"sluice/internal/control"
	"sluice/loader"
	"sluice/steering/guard"
)

// Ban is one ban as clients see it.
func Ban(b guard.Ban) control.Ban {
	out := control.Ban{Prefix: b.Prefix, Reason: b.Reason, Since: b.Since, Packets: b.Packets, Bytes: b.Bytes}
	if !b.Until.IsZero() {
		out.Until = &b.Until
	}
	return out
}

// Bans are all that keeps clients out, and what never does.
func Bans(bans []guard.Ban, denied, exempt []loader.Rule) control.BanList {
	list := control.BanList{Denied: rules(denied), Exempt: rules(exempt)}
	for _, b := range bans {
		list.Bans = append(list.Bans, Ban(b))
	}
	return list
}

func rules(all []loader.Rule) (list []control.Rule) {
	for _, r := range all {
		list = append(list, control.Rule{Prefix: r.Prefix, Packets: r.Packets, Bytes: r.Bytes})
	}
	return list
}

// GuardError gives the guard's refusals the code that clients act on.
func GuardError(err error) error {
	switch {
	case errors.Is(err, guard.ErrExempt):
		return control.NewError(control.CodeInvalid, err.Error(), "ban something else, or change guard.exempt")
	case errors.Is(err, guard.ErrFull):
		return control.NewError(control.CodeUnavailable, err.Error(), "ban larger networks in place of single sources, or take bans back")
	}
	return err
}
