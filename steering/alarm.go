package steering

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Severity says how soon an alarm needs somebody.
type Severity string

// The severities.
const (
	SeverityWarning  Severity = "warning"
	SeverityCritical Severity = "critical"
)

// Alarm is a condition that needs an operator. It stands until the condition
// is gone.
type Alarm struct {
	Severity Severity
	// Subject is what it is about, Text what is wrong, Hint what to do.
	Subject, Text, Hint string
	Since               time.Time
}

// alarms are the standing ones, by a key of their own.
type alarms struct {
	now func() time.Time

	mu       sync.Mutex
	standing map[string]Alarm
}

// raise lets an alarm stand. One that stands already keeps its age.
func (a *alarms) raise(key string, alarm Alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.standing == nil {
		a.standing = map[string]Alarm{}
	}
	if alarm.Since = a.standing[key].Since; alarm.Since.IsZero() {
		alarm.Since = a.now()
	}
	a.standing[key] = alarm
}

func (a *alarms) clear(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.standing, key)
}

// list returns the standing alarms, critical ones first, then by age.
func (a *alarms) list() []Alarm {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]Alarm, 0, len(a.standing))
	for _, alarm := range a.standing {
		list = append(list, alarm)
	}
	slices.SortFunc(list, func(x, y Alarm) int {
		return cmp.Or(cmp.Compare(x.Severity, y.Severity), x.Since.Compare(y.Since), cmp.Compare(x.Subject, y.Subject))
	})
	return list
}
