package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/internal/node/engine"
	"sluice/internal/node/store"
	"sluice/internal/node/view"
)

// reload reads the settings file again, by the rule that it is the truth only
// when it changed. On error what ran before goes on.
func (n *node) reload(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	changes, err := n.reloadLocked(ctx)
	n.record(len(changes), err)
	if err != nil {
		n.log.Error("settings not reloaded", "error", err)
		n.notes.set("file", fileAlarm(err))
		return err
	}
	n.log.Info("settings reloaded", "generation", n.running.Load().generation.Number, "changes", len(changes))
	return nil
}

// reloadLocked is reload with mu held. Faults are found before anything is
// compared, so that a bad file is called bad and not a conflict.
func (n *node) reloadLocked(ctx context.Context) ([]config.Change, error) {
	text, err := n.readFile()
	if err != nil {
		return nil, err
	}
	if n.store.Judge(text) == store.Unchanged {
		return nil, nil
	}
	c, err := n.parse(n.boot.Settings, text, store.FromFile)
	if err != nil {
		return nil, err
	}
	return n.adopt(ctx, c, false)
}

// adopt makes settings the next generation: the difference, the dataplane, the
// store, in this order, and each step is taken back when the next one fails. A
// crash in between leaves the dataplane ahead of the store; the next start brings
// it back to the store, and then finds the changed file, if that is where the
// settings came from. mu is held.
func (n *node) adopt(ctx context.Context, c *choice, force bool) ([]config.Change, error) {
	now := n.running.Load()
	changes := config.Diff(now.declared, c.declared)
	if len(changes) == 0 {
		return nil, n.noChange(c)
	}
	if c.origin == store.FromFile && !force && n.store.FileIsBehind() {
		return nil, n.conflict(c)
	}
	// What began must end one way or the other, whoever asked for it is gone.
	ctx = context.WithoutCancel(ctx)
	if err := n.change(ctx, now.settings, c.settings); err != nil {
		return nil, err
	}
	// The store comes last: a generation on disk has run once, so that a node
	// that starts by it does not start by something nobody could try.
	if err := n.settle(c); err != nil {
		return nil, errors.Join(err, n.change(ctx, c.settings, now.settings))
	}
	return changes, nil
}

// noChange notes a file that means what runs already, so that it no longer
// counts as behind.
func (n *node) noChange(c *choice) error {
	if c.origin != store.FromFile {
		return nil
	}
	if err := n.store.NoteFile(c.text); err != nil {
		return err
	}
	now := *n.running.Load()
	now.behind = n.store.FileIsBehind()
	n.running.Store(&now)
	n.notes.set("file", nil)
	return nil
}

// conflict is the refusal that shows both changes, of which one would be lost.
func (n *node) conflict(c *choice) error {
	now := n.running.Load()
	refusal := control.NewError(control.CodeConflict,
		fmt.Sprintf("generation %d came another way since the settings file was read", now.generation.Number),
		"bring the file up to date (\"sluice show settings\"), or apply it with --force and lose what came since")
	seen, err := n.parse("the file as last read", n.store.Seen().Text, store.FromFile)
	if err != nil {
		return refusal // there is nothing to compare with
	}
	for _, change := range config.Diff(seen.declared, now.declared) {
		refusal.Details = append(refusal.Details, "since then: "+line(change))
	}
	for _, change := range config.Diff(seen.declared, c.declared) {
		refusal.Details = append(refusal.Details, "in the file: "+line(change))
	}
	return refusal
}

// line shows a change as `settings diff` does.
func line(c config.Change) string {
	switch {
	case c.Old == "":
		return fmt.Sprintf("+ %s: %s", c.Path, c.New)
	case c.New == "":
		return fmt.Sprintf("- %s: %s", c.Path, c.Old)
	default:
		return fmt.Sprintf("~ %s: %s -> %s", c.Path, c.Old, c.New)
	}
}

// change brings the dataplane from one settings to others; on error it is as
// before. mu is held.
func (n *node) change(ctx context.Context, from, to *config.Settings) error {
	if err := n.changeDecap(from.Dataplane, to.Dataplane); err != nil {
		return err
	}
	if err := n.changeEngine(ctx, from, to); err != nil {
		return errors.Join(err, n.changeDecap(to.Dataplane, from.Dataplane))
	}
	return nil
}

// changeEngine does so for what steers.
func (n *node) changeEngine(ctx context.Context, from, to *config.Settings) error {
	e := n.engine.Load()
	switch {
	case e == nil && len(to.Services) == 0:
		return nil
	case e == nil:
		return errors.New("apply settings: this node was started without services, and so without the rights to steer: restart \"sluice run\"")
	}
	anew, err := e.Restarts(from, to)
	if err != nil {
		return fmt.Errorf("apply settings: %v", err)
	}
	if anew {
		return n.replaceEngine(ctx, e, from, to)
	}
	changes, err := e.Apply(ctx, to)
	for _, c := range changes {
		n.log.Info("applied", "change", c.String())
	}
	return err
}

// replaceEngine opens the dataplane anew by the new settings. Flows go on in
// the programs meanwhile; only who is asked about them must wait.
func (n *node) replaceEngine(ctx context.Context, old *engine.Engine, from, to *config.Settings) error {
	n.engine.Store(nil)
	if err := old.Stop(); err != nil {
		n.log.Warn("engine not stopped cleanly", "error", err)
	}
	e, err := n.startEngine(ctx, to)
	if err != nil {
		back, backErr := n.startEngine(ctx, from)
		if backErr != nil {
			err = errors.Join(err, backErr)
			n.fail(err) // a new process starts from the store
			return err
		}
		n.engine.Store(back)
		return err
	}
	n.engine.Store(e)
	return nil
}

// record remembers how the last change went.
func (n *node) record(changes int, err error) {
	r := &control.Reload{At: time.Now(), OK: err == nil, Changes: changes}
	if err != nil {
		r.Error = err.Error()
	}
	n.lastReload.Store(r)
}

// Settings implements [control.SettingsStore].
func (n *node) Settings(context.Context) (control.Settings, error) {
	now := n.running.Load()
	return control.Settings{
		SettingsState: n.settingsState(), AppliedAt: now.generation.Time, Text: string(now.generation.Text),
	}, nil
}

// Diff implements [control.SettingsStore].
func (n *node) Diff(_ context.Context, f control.SettingsFile) ([]control.Change, error) {
	c, err := n.parse(f.File, []byte(f.Text), n.originOf(f))
	if err != nil {
		return nil, view.Faults(err)
	}
	return view.SettingsChanges(config.Diff(n.running.Load().declared, c.declared)), nil
}

// Apply implements [control.SettingsStore].
func (n *node) Apply(ctx context.Context, f control.SettingsFile, force bool) (control.ApplyResult, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c, err := n.parse(f.File, []byte(f.Text), n.originOf(f))
	if err != nil {
		n.record(0, err)
		return control.ApplyResult{}, view.Faults(err)
	}
	changes, err := n.adopt(ctx, c, force)
	n.record(len(changes), err)
	if err != nil {
		n.log.Error("settings not applied", "file", f.File, "error", err)
		return control.ApplyResult{}, refused(err)
	}
	return control.ApplyResult{
		Generation: n.running.Load().generation.Number,
		Changed:    len(changes) > 0,
		Changes:    view.SettingsChanges(slices.Clone(changes)),
	}, nil
}

// refused is an error of the dataplane as a client is to see it: what is in
// the way is on this machine, and the settings name it.
func refused(err error) error {
	if _, ok := errors.AsType[*control.Error](err); ok {
		return err
	}
	return control.NewError(control.CodeInvalidSettings, err.Error(), "what ran before goes on; \"sluice doctor\" looks for the cause")
}

// originOf says which way settings came that a client sent. Those that are what
// the settings file holds are the file's, whoever carried them here.
func (n *node) originOf(f control.SettingsFile) store.Origin {
	if n.own([]byte(f.Text)) {
		return store.FromFile
	}
	return store.FromAPI
}
