package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// statusCommand shows everything at once and live the few things that move.
func statusCommand(g *globals) *cli.Command {
	var watch, asJSON bool
	interval := duration(time.Second)
	return leaf(&cli.Command{
		Name:  "status",
		Usage: "say how the node is; with --watch, live",
		Flags: []cli.Flag{
			toggle("watch", &watch, "redraw until Ctrl-C: flows, packets and bytes a second, state per backend"),
			durationFlag("interval", &interval, "redraw every `D`"),
			toggle("json", &asJSON, "one JSON object, for programs; with --watch one a line"),
		},
		Description: "Without a terminal --watch writes one block for each interval.",
	}, 0, 0, func(ctx context.Context, _ []string) error {
		if time.Duration(interval) < 100*time.Millisecond {
			return usage("write --interval 1s", "--interval: at least 100ms")
		}
		return g.with(func(n *remote) error {
			if watch {
				return g.watch(ctx, n, time.Duration(interval), asJSON)
			}
			s, err := n.Status(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(g.stdout, s)
			}
			return writeStatus(g.stdout, s)
		})
	})
}

// purpose says what a program is for where it is not steering.
func purpose(program string) string {
	if program == "decap" {
		return ", takes packets out"
	}
	return ""
}

// writeStatus writes the whole of a status, a subject a line.
func writeStatus(w io.Writer, s control.Status) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(subject, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", subject, printable(fmt.Sprintf(format, args...)))
	}
	line("node", "%s, %s, process %d, up %s", s.Node, buildText(s.Build), s.PID, spanText(time.Duration(s.Uptime)))
	for i, text := range settingsText(s.Settings) {
		line(first(i, "settings"), "%s", text)
	}
	for i, a := range s.Attachments {
		line(first(i, "interfaces"), "%s: XDP %s, driver %s, MTU %d%s", a.Interface, a.Mode, orDash(a.Driver), a.MTU, purpose(a.Program))
	}
	if len(s.Attachments) == 0 {
		line("interfaces", "none")
	}
	for _, p := range s.Processes {
		line(p.Name, "%s", processText(p))
		for _, set := range capabilityLines(p.Capabilities) {
			line("", "%s", set)
		}
	}
	total := s.Totals
	line("flows", "%s now, %d opened, room for %d", flowsText(total.FlowsNow, total.FlowsNowIsUpperBound), total.FlowsOpened, total.FlowsMax)
	if total.RingEntries > 0 {
		line("looked up", "flows of %.1f%% of the ring entries of one-way services", 100*float64(total.RingInDoubt)/float64(total.RingEntries))
	}
	line("in", "%s, %s", plural(total.PacketsIn, "packet"), bytesText(total.BytesIn))
	line("out", "%s, %s", plural(total.PacketsOut, "packet"), bytesText(total.BytesOut))
	line("dropped", "%s", plural(total.PacketsDropped, "packet"))
	for i, d := range s.Decap {
		line(first(i, "taken out"), "%s: %s, %s", d.Verdict, plural(d.Packets, "packet"), bytesText(d.Bytes))
	}
	for i, a := range alarmLines(s.Alarms) {
		line(first(i, "alarms"), "%s", a)
	}
	return t.Flush()
}

// processText says who a process is and how steadily it runs.
func processText(p control.Process) string {
	text := fmt.Sprintf("process %d, user id %d, no_new_privileges %t", p.PID, p.UID, p.NoNewPrivileges)
	if !p.StartedAt.IsZero() {
		text += ", since " + timeText(p.StartedAt)
	}
	if p.Restarts > 0 {
		text += ", restarted " + plural(p.Restarts, "time")
	}
	if p.Schedule != "" {
		text += ", " + p.Schedule
	}
	return text
}

// first returns the subject for the first line of several.
func first(i int, subject string) string {
	if i > 0 {
		return ""
	}
	return subject
}

// capabilityLines writes the four sets; the common case that three of them
// are equal takes one line.
func capabilityLines(c control.Capabilities) []string {
	effective, permitted, ambient := set(c.Effective), set(c.Permitted), set(c.Ambient)
	var lines []string
	if effective == permitted && permitted == ambient {
		lines = append(lines, "effective, permitted, ambient: "+effective)
	} else {
		lines = append(lines, "effective: "+effective, "permitted: "+permitted, "ambient: "+ambient)
	}
	return append(lines, "bounding: "+set(c.Bounding))
}

// set writes a capability set, the empty one in a word that cannot be missed.
func set(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " ")
}

// alarmLines writes each alarm with what to do about it.
func alarmLines(alarms []control.Alarm) []string {
	if len(alarms) == 0 {
		return []string{"none"}
	}
	var lines []string
	for _, a := range alarms {
		lines = append(lines, fmt.Sprintf("%s: %s: %s, since %s", a.Severity, a.Subject, a.Text, timeText(a.Since)))
		if a.Hint != "" {
			lines = append(lines, "  hint: "+a.Hint)
		}
	}
	return lines
}
