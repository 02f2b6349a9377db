package view

import (
	"errors"
	"strings"
	"time"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/steering"
)

// Selection is what steering is asked for s.
func Selection(s control.Selection) steering.Selection {
	return steering.Selection{Backends: s.Backends, All: s.All, Service: s.Service}
}

// DrainOptions is what steering is asked for o.
func DrainOptions(o control.DrainOptions) steering.DrainOptions {
	return steering.DrainOptions{Deadline: time.Duration(o.Deadline), IdleDone: time.Duration(o.IdleDone), Yes: o.Yes}
}

// BackendChanges are what an order did.
func BackendChanges(list []steering.BackendChange) []control.BackendChange {
	out := make([]control.BackendChange, 0, len(list))
	for _, c := range list {
		out = append(out, control.BackendChange{
			Name: c.Name, Addr: c.Addr, Services: c.Services,
			StateWas: control.BackendState(c.StateWas), State: control.BackendState(c.State),
			WeightWas: c.WeightWas, Weight: c.Weight, FlowsNow: c.FlowsNow,
		})
	}
	return out
}

// SettingsChanges are the differences of two settings.
func SettingsChanges(list []config.Change) []control.Change {
	out := make([]control.Change, 0, len(list))
	for _, c := range list {
		out = append(out, control.Change{Path: c.Path, Old: c.Old, New: c.New, NeedsRestart: c.NeedsRestart})
	}
	return out
}

// Error gives steering's refusals the code and hint that clients act on. Any
// other error is passed on as it is.
func Error(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, steering.ErrLastBackend):
		return control.NewError(control.CodeLastBackend, err.Error(), "add --yes to do it all the same")
	case errors.Is(err, steering.ErrUnknown):
		return control.NewError(control.CodeNotFound, err.Error(), "\"sluice show backends\" and \"sluice show services\" list the names")
	case errors.Is(err, steering.ErrNeedListen):
		return control.NewError(control.CodeInvalid, err.Error(), "name it: --to ADDR:PORT")
	case errors.Is(err, steering.ErrNotReady):
		return control.NewError(control.CodeUnavailable, err.Error(), "ask again when the node is ready")
	}
	return err
}

// Faults turns what is wrong with settings into a refusal with one detail a
// fault.
func Faults(err error) error {
	var faults *config.Faults
	if !errors.As(err, &faults) {
		return err
	}
	refusal := control.NewError(control.CodeInvalidSettings, "the settings have faults; nothing was changed", "correct them and apply again")
	refusal.Details = strings.Split(faults.Error(), "\n")
	return refusal
}
