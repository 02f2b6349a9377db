package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"sluice/internal/config"
	"sluice/internal/node"
)

// systemEnv is the real world.
func systemEnv() env {
	return env{
		stdin:         os.Stdin,
		stdout:        os.Stdout,
		stderr:        os.Stderr,
		getenv:        os.Getenv,
		now:           time.Now,
		after:         time.After,
		terminal:      terminalSize,
		interruptible: interruptible,
		runParent: func(ctx context.Context, settings string) error {
			return node.RunParent(ctx, node.ParentOptions{Settings: settings, Log: systemLog()})
		},
		runNode: func(ctx context.Context, args []string) error {
			return said(node.RunNode(ctx, node.Options{Args: args, Log: systemLog()}))
		},
		runVIP: func(ctx context.Context, args []string) error {
			return said(node.RunVIP(ctx, node.VIPOptions{Args: args, Log: systemLog()}))
		},
		doctor: examine,
		probe:  node.Probe,
		detach: node.Detach,
	}
}

// said is err unless the parent process says it.
func said(err error) error {
	if errors.Is(err, node.ErrReported) {
		return errSaid
	}
	return err
}

// systemLog writes to standard error: JSON where a journal collects it, text
// where a person reads it.
func systemLog() *slog.Logger {
	if _, _, terminal := terminalSize(os.Stderr); terminal {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, nil))
}

// examine gives the doctor's findings the names they have in JSON.
func examine(ctx context.Context, s *config.Settings) []finding {
	var list []finding
	for _, f := range node.Doctor(ctx, s) {
		list = append(list, finding{Level: string(f.Level), Subject: f.Subject, Text: f.Text, Hint: f.Hint})
	}
	return list
}

// interruptible also ends with SIGTERM: what ends a terminal or a unit shall
// give the screen back and say how things stand, as Ctrl-C does.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// terminalSize asks the kernel each time: windows change their size.
func terminalSize(w io.Writer) (width, height int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0, true // a terminal that does not know; nothing is cut
	}
	return width, height, true
}
