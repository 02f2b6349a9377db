package control

import (
	"cmp"
	"slices"
	"time"
)

// Status is how one node is: GET /v1/status.
type Status struct {
	// Node is the node's name in the settings.
	Node      string    `json:"node"`
	Build     Build     `json:"build"`
	StartedAt time.Time `json:"started_at"`
	Uptime    Seconds   `json:"uptime_seconds"`
	// PID is the node process, the one that answers.
	PID int `json:"pid"`
	// Processes are the node and, as far as they live, the vip process and their
	// parent.
	Processes   List[Process]    `json:"processes"`
	Attachments List[Attachment] `json:"attachments"`
	Settings    SettingsState    `json:"settings"`
	Totals      Totals           `json:"totals"`
	// Decap counts what became of packets inside others; empty where none are
	// taken out.
	Decap List[DecapVerdict] `json:"decap"`
	// Alarms are what needs an operator now, worst first.
	Alarms List[Alarm] `json:"alarms"`
}

// Process is one process of the product and what it may do.
type Process struct {
	// Name is "node", "vip" or "parent".
	Name      string    `json:"name"`
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	// Restarts is how often the parent started it again because it had ended.
	Restarts int `json:"restarts"`
	// Schedule is how soon it runs when it is due, where that matters; else empty.
	Schedule        string       `json:"schedule"`
	UID             uint32       `json:"uid"`
	NoNewPrivileges bool         `json:"no_new_privileges"`
	Capabilities    Capabilities `json:"capabilities"`
}

// Capabilities are the capability sets of a process by their kernel names in
// lower case, such as "cap_net_admin". A set that holds all the kernel knows is
// the one element "all".
type Capabilities struct {
	Effective List[string] `json:"effective"`
	Permitted List[string] `json:"permitted"`
	Ambient   List[string] `json:"ambient"`
	Bounding  List[string] `json:"bounding"`
}

// Attachment is one interface that the XDP program runs on.
type Attachment struct {
	Interface string `json:"interface"`
	Index     int    `json:"index"`
	// Program is "steer", which leads flows to backends, or "decap", which takes
	// packets out of others.
	Program string `json:"program"`
	// Mode is "native" or "generic".
	Mode   string `json:"mode"`
	Driver string `json:"driver"`
	// MTU is the largest IP packet in bytes.
	MTU int `json:"mtu"`
}

// DecapVerdict counts packets inside others with one outcome: "done", or why
// they were dropped.
type DecapVerdict struct {
	Verdict string `json:"verdict"`
	Packets uint64 `json:"packets"`
	// Bytes are those of the packets inside.
	Bytes uint64 `json:"bytes"`
}

// SettingsState is which settings run and whether the file agrees.
type SettingsState struct {
	// Generation numbers the settings that run, from 1.
	Generation uint64 `json:"generation"`
	// File is the settings file of this node.
	File string `json:"file"`
	// FileIsBehind says that newer generations came otherwise than by the file.
	FileIsBehind bool `json:"file_is_behind"`
	// LastReload is the outcome of the last reload or apply; null before one.
	LastReload *Reload `json:"last_reload"`
}

// Reload is the outcome of one reload or apply.
type Reload struct {
	At time.Time `json:"at"`
	OK bool      `json:"ok"`
	// Changes counts what it changed.
	Changes int `json:"changes"`
	// Error says why the old settings were kept; empty when OK.
	Error string `json:"error"`
}

// Totals are sums over all services of the node.
type Totals struct {
	FlowsNow             uint64 `json:"flows_now"`
	FlowsNowIsUpperBound bool   `json:"flows_now_is_upper_bound"`
	FlowsMax             uint64 `json:"flows_max"`
	FlowsOpened          uint64 `json:"flows_opened"`
	// RingEntries are those of all services whose packets may pass the flow
	// table by, RingInDoubt those of them whose flows are looked up.
	RingEntries    uint64 `json:"ring_entries"`
	RingInDoubt    uint64 `json:"ring_in_doubt"`
	PacketsIn      uint64 `json:"packets_in"`
	BytesIn        uint64 `json:"bytes_in"`
	PacketsOut     uint64 `json:"packets_out"`
	BytesOut       uint64 `json:"bytes_out"`
	PacketsDropped uint64 `json:"packets_dropped"`
}

// The severities of an Alarm.
const (
	SeverityWarning  = "warning"
	SeverityCritical = "critical"
)

// worstFirst orders alarms; those alike stay as they were.
func worstFirst(alarms []Alarm) []Alarm {
	slices.SortStableFunc(alarms, func(a, b Alarm) int {
		return cmp.Compare(severityRank(a.Severity), severityRank(b.Severity))
	})
	return alarms
}

func severityRank(severity string) int {
	if severity == SeverityCritical {
		return 0
	}
	return 1
}

// Alarm is a condition that needs an operator.
type Alarm struct {
	// Severity is SeverityWarning or SeverityCritical.
	Severity string    `json:"severity"`
	Subject  string    `json:"subject"`
	Text     string    `json:"text"`
	Hint     string    `json:"hint"`
	Since    time.Time `json:"since"`
}
