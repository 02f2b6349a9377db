package control

import "time"

// Settings is what the node runs with: GET /v1/settings.
type Settings struct {
	SettingsState
	AppliedAt time.Time `json:"applied_at"`
	// Text is the YAML the generation was made from.
	Text string `json:"text"`
}

// SettingsFile is a settings file as the operator sees it.
type SettingsFile struct {
	// File is the name that faults are reported under; it is never opened.
	File string `json:"file"`
	// Text is the YAML itself.
	Text string `json:"text"`
}

// ApplyRequest is the body of POST /v1/settings/apply.
type ApplyRequest struct {
	SettingsFile
	// Force applies although newer generations came by another way.
	Force bool `json:"force,omitempty"`
}

// ApplyResult is the answer of POST /v1/settings/apply.
type ApplyResult struct {
	// Generation is the one that runs now.
	Generation uint64 `json:"generation"`
	// Changed is false where the text was what already ran.
	Changed bool         `json:"changed"`
	Changes List[Change] `json:"changes"`
}

// DiffResult is the answer of POST /v1/settings/diff.
type DiffResult struct {
	Changes List[Change] `json:"changes"`
}

// Change is one setting that differs.
type Change struct {
	// Path names the setting, such as services[login].backends[blue].weight.
	Path string `json:"path"`
	// Old and New are the values as text; empty for absent.
	Old string `json:"old"`
	New string `json:"new"`
	// NeedsRestart says that it takes effect with the next start only.
	NeedsRestart bool `json:"needs_restart"`
}
