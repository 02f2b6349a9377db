package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"sluice/internal/control"
)

// sample is what the live view is drawn from.
type sample struct {
	at       time.Time
	status   control.Status
	backends []control.Backend
}

// watch draws the node again and again until Ctrl-C, which is its normal end.
// Once it has been seen, a node that stays away is waited for: that is when an
// operator looks most closely.
func (g *globals) watch(ctx context.Context, n *remote, interval time.Duration, asJSON bool) error {
	ctx, stop := g.interruptible(ctx)
	defer stop()
	before, err := g.sample(ctx, n)
	if err != nil {
		return endOfWatch(ctx, err)
	}
	draw, closeScreen := g.screen()
	defer closeScreen()
	now, away := before, error(nil)
	for {
		if asJSON {
			err = json.NewEncoder(g.stdout).Encode(now.status)
		} else {
			err = draw(frame(before, now, away))
		}
		if err != nil {
			return err
		}
		select {
		case <-g.after(interval):
		case <-ctx.Done():
			return nil
		}
		next, err := g.sample(ctx, n)
		if ctx.Err() != nil {
			return nil
		}
		if away = err; err == nil {
			before, now = now, next
		}
	}
}

// endOfWatch turns an error that Ctrl-C caused into none.
func endOfWatch(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// sample asks for everything a picture shows.
func (g *globals) sample(ctx context.Context, n *remote) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	status, err := n.Status(ctx)
	if err != nil {
		return sample{}, err
	}
	list, err := n.Backends(ctx)
	return sample{g.now(), status, list.Backends}, err
}

// frame is the text of one picture; rates are those between the two samples.
func frame(before, now sample, away error) string {
	var b bytes.Buffer
	s := now.status
	fmt.Fprintf(&b, "%s  %s  up %s  generation %d\n", s.Node, s.Build.Version, spanText(time.Duration(s.Uptime)), s.Settings.Generation)
	seconds := now.at.Sub(before.at).Seconds()
	total, was := s.Totals, before.status.Totals
	fmt.Fprintf(&b, "flows %s  in %s pkt/s %s/s  out %s pkt/s %s/s  dropped %s pkt/s\n",
		flowsText(total.FlowsNow, total.FlowsNowIsUpperBound),
		rateText(rate(was.PacketsIn, total.PacketsIn, seconds)), rateBytes(was.BytesIn, total.BytesIn, seconds),
		rateText(rate(was.PacketsOut, total.PacketsOut, seconds)), rateBytes(was.BytesOut, total.BytesOut, seconds),
		rateText(rate(was.PacketsDropped, total.PacketsDropped, seconds)))
	modes := []string{"no interface"}
	if len(s.Attachments) > 0 {
		modes = nil
	}
	for _, a := range s.Attachments {
		modes = append(modes, fmt.Sprintf("%s: XDP %s", a.Interface, a.Mode))
	}
	b.WriteString(strings.Join(modes, "  ") + "\n")
	if s.Settings.FileIsBehind {
		b.WriteString("settings file is behind what runs\n")
	}
	for _, alarm := range s.Alarms {
		fmt.Fprintf(&b, "%s: %s: %s\n", alarm.Severity, printable(alarm.Subject), printable(alarm.Text))
	}
	if away != nil {
		fmt.Fprintf(&b, "the node does not answer, the figures are old: %s\n", printable(away.Error()))
	}
	b.WriteByte('\n')
	_ = writeTable(&b, now.backends, watchColumns(before, seconds)) // a buffer takes everything
	return b.String()
}

// watchColumns compares each backend with what it was; one that is new has no
// rate yet.
func watchColumns(before sample, seconds float64) []column[control.Backend] {
	type b = control.Backend
	was := make(map[string]b)
	for _, r := range before.backends {
		was[r.Addr.String()] = r
	}
	old := func(r b) b {
		if o, known := was[r.Addr.String()]; known {
			return o
		}
		return r
	}
	perSecond := func(head string, value func(b) uint64) column[b] {
		return column[b]{head: head, right: true, value: func(r b) string { return rateText(rate(value(old(r)), value(r), seconds)) }}
	}
	bytesPerSecond := func(head string, value func(b) uint64) column[b] {
		return column[b]{head: head, right: true, value: func(r b) string { return rateBytes(value(old(r)), value(r), seconds) }}
	}
	return []column[b]{
		{head: "BACKEND", value: func(r b) string { return r.Name }},
		{head: "STATE", value: func(r b) string { return string(r.State) }},
		{head: "WEIGHT", right: true, value: func(r b) string { return strconv.Itoa(r.Weight) }},
		{head: "FLOWS", right: true, value: func(r b) string { return flowsText(r.FlowsNow, r.FlowsNowIsUpperBound) }},
		perSecond("NEW/S", func(r b) uint64 { return r.FlowsOpened }),
		perSecond("PKT-IN/S", func(r b) uint64 { return r.PacketsIn }),
		bytesPerSecond("IN/S", func(r b) uint64 { return r.BytesIn }),
		perSecond("PKT-OUT/S", func(r b) uint64 { return r.PacketsOut }),
		bytesPerSecond("OUT/S", func(r b) uint64 { return r.BytesOut }),
		size("TOTAL-IN", "", func(r b) uint64 { return r.BytesIn }),
		size("TOTAL-OUT", "", func(r b) uint64 { return r.BytesOut }),
		{head: "REASON", value: func(r b) string { return orDash(r.Reason) }},
	}
}

// rate is 0 where no time passed and where the node counts anew.
func rate(before, now uint64, seconds float64) float64 {
	if seconds <= 0 || now < before {
		return 0
	}
	return float64(now-before) / seconds
}

// rateBytes is rate for bytes, in words.
func rateBytes(before, now uint64, seconds float64) string {
	return bytesText(uint64(rate(before, now, seconds)))
}

// screen returns how a frame gets on standard output. On a terminal it takes
// the alternate screen, so that what was there before is there again
// afterwards; done must be called. Elsewhere frames follow each other.
func (g *globals) screen() (draw func(frame string) error, done func()) {
	if _, _, terminal := g.terminal(g.stdout); !terminal {
		return func(frame string) error {
			_, err := io.WriteString(g.stdout, frame+"\n")
			return err
		}, func() {}
	}
	const enter, leave = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
	fmt.Fprint(g.stdout, enter)
	return func(frame string) error {
		width, height, _ := g.terminal(g.stdout)
		_, err := io.WriteString(g.stdout, picture(frame, width, height))
		return err
	}, func() { fmt.Fprint(g.stdout, leave) }
}

// picture fits a frame to the terminal and overwrites the one before it
// without clearing first, which would flicker.
func picture(frame string, width, height int) string {
	lines := strings.Split(strings.TrimRight(frame, "\n"), "\n")
	if height > 1 && len(lines) > height-1 {
		hidden := len(lines) - (height - 2)
		lines = append(lines[:height-2], fmt.Sprintf("... %d more lines", hidden))
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for _, line := range lines {
		b.WriteString(clip(line, width) + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	return b.String()
}
