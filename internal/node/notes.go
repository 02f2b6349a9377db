package node

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/internal/control"
)

// notes are the alarms about the node itself, by what they are about. The zero
// value has none.
type notes struct {
	mu       sync.Mutex
	standing map[string]control.Alarm
}

// set lets an alarm stand, or with nil takes it away. One that stands already
// keeps its age.
func (n *notes) set(key string, a *control.Alarm) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a == nil {
		delete(n.standing, key)
		return
	}
	if n.standing == nil {
		n.standing = make(map[string]control.Alarm)
	}
	stands := *a
	if stands.Since = n.standing[key].Since; stands.Since.IsZero() {
		stands.Since = time.Now()
	}
	n.standing[key] = stands
}

// list returns the standing alarms, the critical ones first.
func (n *notes) list() []control.Alarm {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]control.Alarm, 0, len(n.standing))
	for _, a := range n.standing {
		list = append(list, a)
	}
	slices.SortFunc(list, worstFirst)
	return list
}

// worstFirst orders alarms: "critical" stands before "warning" in the alphabet,
// too.
func worstFirst(a, b control.Alarm) int {
	return cmp.Or(cmp.Compare(a.Severity, b.Severity), a.Since.Compare(b.Since), cmp.Compare(a.Subject, b.Subject))
}

const (
	warning  = "warning"
	critical = "critical"
)

func storeAlarms(damage []string) *control.Alarm {
	if len(damage) == 0 {
		return nil
	}
	return &control.Alarm{
		Severity: critical, Subject: "settings store", Text: strings.Join(damage, "; "),
		Hint: "apply the settings you want (\"sluice settings apply\"), and look at the disk",
	}
}

func fileAlarm(err error) *control.Alarm {
	return &control.Alarm{
		Severity: warning, Subject: "settings file", Text: "not taken: " + strings.ReplaceAll(err.Error(), "\n", "; "),
		Hint: "correct it and reload; until then what ran before goes on",
	}
}

func conflictAlarm(generation uint64) *control.Alarm {
	return &control.Alarm{
		Severity: warning, Subject: "settings file",
		Text: "changed, but newer settings had come another way: it is not taken",
		Hint: "\"sluice settings apply\" shows both changes",
	}
}

func orphanAlarm() *control.Alarm {
	return &control.Alarm{
		Severity: critical, Subject: "parent process", Text: "is gone: nobody starts the node again when it dies",
		Hint: "start \"sluice run\" again: it takes over without touching traffic",
	}
}

func countersAlarm(err error) *control.Alarm {
	return &control.Alarm{
		Severity: critical, Subject: "dataplane", Text: "cannot be read: " + err.Error(),
		Hint: "look at the log; \"sluice doctor\" looks for the cause",
	}
}

// pressureAlarm is nil without pressure.
func pressureAlarm(pressed bool) *control.Alarm {
	if !pressed {
		return nil
	}
	return &control.Alarm{
		Severity: warning, Subject: "guard", Text: "more handshakes begin than can be kept: unknown clients are asked to prove their address",
		Hint: "a SYN flood, or max_flows is small for so many clients; \"sluice show drops\" counts challenged and challenge_met",
	}
}

func interfaceAlarm(warnings []string) *control.Alarm {
	if len(warnings) == 0 {
		return nil
	}
	return &control.Alarm{
		Severity: warning, Subject: "interfaces", Text: strings.Join(warnings, "; "),
		Hint: "add the route or address and reload, or name the interfaces in dataplane.interfaces",
	}
}
