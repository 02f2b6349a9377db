package main

import (
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// duration is the value of a flag such as --deadline 10m; 0 while not given.
type duration time.Duration

// String returns what help shows as default: nothing.
func (d *duration) String() string {
	if d == nil || *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

// Set implements [flag.Value].
func (d *duration) Set(text string) error {
	v, err := control.ParseDuration(text)
	*d = duration(v)
	return err
}

// toggle is a flag without a value; help need not say that it is off.
func toggle(name string, into *bool, usage string) cli.Flag {
	return &cli.BoolFlag{Name: name, Destination: into, Usage: usage, DisableDefaultText: true}
}

// durationFlag is a flag with a length of time as the settings write it.
func durationFlag(name string, into *duration, usage string) cli.Flag {
	return &cli.GenericFlag{Name: name, Value: into, Usage: usage}
}

// patience is the value of --wait[=D].
type patience struct {
	wait  bool
	limit time.Duration // 0 for as long as it takes
}

// String implements [flag.Value].
func (p *patience) String() string {
	if p == nil || p.limit == 0 {
		return ""
	}
	return p.limit.String()
}

// Set implements [flag.Value]. The flag without a value arrives as "true",
// which is what package flag says of any flag that is like a bool.
func (p *patience) Set(text string) error {
	if on, err := strconv.ParseBool(text); err == nil && len(text) > 1 {
		*p = patience{wait: on}
		return nil
	}
	v, err := control.ParseDuration(text)
	*p = patience{wait: true, limit: v}
	return err
}

// IsBoolFlag tells package flag that the value may be missing; it must then be
// joined with "=" when it is there.
func (p *patience) IsBoolFlag() bool { return true }

// waitFlag is --wait[=D]: a flag whose value is optional, which the library
// does not know, so its help text is its own.
type waitFlag struct {
	*cli.GenericFlag
}

// newWaitFlag says in usage what is waited for.
func newWaitFlag(into *patience, usage string) cli.Flag {
	return waitFlag{&cli.GenericFlag{Name: "wait", Value: into, Usage: usage}}
}

// String returns the line for the help text.
func (f waitFlag) String() string { return "--wait[=D]\t" + f.Usage }
