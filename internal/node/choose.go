package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"sluice/internal/config"
	"sluice/internal/node/store"
)

// choice is settings that may run.
type choice struct {
	// declared is what the text says, settings what of it can run in this
	// process: node.* and dataplane.max_flows hold until the next start.
	declared, settings *config.Settings
	text               []byte
	origin             store.Origin
	// generation is set where the store has the text already.
	generation store.Generation
}

// parse reads a text as settings. What came over the API says nothing about
// this node: node.* stays on its machine.
func (n *node) parse(file string, text []byte, origin store.Origin) (*choice, error) {
	declared, err := config.Parse(file, text)
	if err != nil {
		return nil, err
	}
	if origin == store.FromAPI {
		declared.Node = n.self
	}
	settings := *declared
	settings.Node = n.self
	return &choice{declared: declared, settings: &settings, text: text, origin: origin}, nil
}

// readFile reads the settings file, bounded.
func (n *node) readFile() ([]byte, error) {
	f, err := os.Open(n.boot.Settings)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("read settings: %v; let the user %q read it: chgrp %s FILE and chmod 640 FILE", err, n.boot.User, n.boot.User)
	}
	if err != nil {
		return nil, fmt.Errorf("read settings: %v", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, config.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read settings: %v", err)
	}
	return text, nil
}

// current is the generation the store holds; nil where it holds none.
func (n *node) current() (*choice, error) {
	g := n.store.Current()
	if g.Number == 0 {
		return nil, nil
	}
	c, err := n.parse(fmt.Sprintf("generation %d", g.Number), g.Text, g.Origin)
	if err != nil {
		return nil, fmt.Errorf("generation %d does not read with this program: %v", g.Number, err)
	}
	c.generation = g
	return c, nil
}

// begin finds the settings to start with and starts the engine by them: the
// file where it changed since it was last read, else what ran last.
//
// Whoever starts sluice is told what is wrong with the file and nothing runs. A
// node that the parent starts again has nobody to tell: it goes on by what ran
// last, for a mistake in a file must not turn a crash into an outage.
func (n *node) begin(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notes.set("store", storeAlarms(n.store.Alarms()))
	last, lastErr := n.current()
	if lastErr != nil {
		n.log.Warn("what ran last is of no use, the settings file has to do", "error", lastErr)
	}
	file, fileErr := n.fromFile(last)
	if fileErr == nil && file != nil {
		if fileErr = n.beginWith(ctx, file); fileErr == nil {
			return nil
		}
	}
	switch {
	case fileErr != nil && (last == nil || !n.boot.Again):
		// Somebody has just started this and is there to read it.
		return fileErr
	case last == nil:
		return lastErr
	case fileErr != nil:
		n.notes.set("file", fileAlarm(fileErr))
		n.log.Error("settings file not taken, going on with what ran last", "error", fileErr)
	}
	return n.beginWith(ctx, last)
}

// fromFile is the settings file where it is to run: nil where what the store
// has is. last is what the store has, nil where that is nothing, or nothing
// that reads.
func (n *node) fromFile(last *choice) (*choice, error) {
	text, err := n.readFile()
	if err != nil {
		return nil, err
	}
	verdict := n.store.Judge(text)
	if verdict == store.Unchanged && last != nil {
		return nil, nil
	}
	c, err := n.parse(n.boot.Settings, text, store.FromFile)
	if err != nil || last == nil || verdict == store.Next {
		return c, err
	}
	if len(config.Diff(last.declared, c.declared)) == 0 {
		return nil, n.store.NoteFile(text)
	}
	n.notes.set("file", conflictAlarm(n.store.Current().Number))
	return nil, nil
}

// beginWith starts the engine and stores the settings.
func (n *node) beginWith(ctx context.Context, c *choice) error {
	if err := n.openDecap(c.settings.Dataplane); err != nil {
		return err
	}
	if len(c.settings.Services) > 0 {
		e, err := n.startEngine(ctx, c.settings)
		if err != nil {
			n.closeDecap()
			return err
		}
		n.engine.Store(e)
	}
	if err := n.settle(c); err != nil {
		n.end(false)
		return err
	}
	return nil
}

// settle stores what runs now and makes it known. mu is held.
func (n *node) settle(c *choice) error {
	g := c.generation
	if g.Number == 0 {
		var err error
		if g, err = n.store.Commit(c.text, c.origin); err != nil {
			return err
		}
		n.notes.set("store", nil)
		n.notes.set("file", nil)
	}
	n.running.Store(&running{choice: *c, generation: g, behind: n.store.FileIsBehind()})
	return nil
}

// own says that a text is what the settings file holds.
func (n *node) own(text []byte) bool {
	file, err := n.readFile()
	return err == nil && bytes.Equal(file, text)
}
