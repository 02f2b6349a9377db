package config

import "time"

// HealthCheck is how the backends of a service are probed.
type HealthCheck struct {
	Type HealthCheckType
	// Interval is the time between two probes, 100ms to 1h, and Timeout how
	// long one waits, 50ms to 1m and less than Interval.
	Interval, Timeout time.Duration
	// Rise is how many probes must succeed in a row before a backend that is
	// down counts as up, Fall how many must fail for the reverse, 1 to 100.
	Rise, Fall int
}

// HealthCheckType is what a probe asks for.
type HealthCheckType string

// What a probe asks for.
const (
	HealthCheckSSH HealthCheckType = "ssh" // the banner of an SSH server
	HealthCheckTCP HealthCheckType = "tcp" // a connection
	HealthCheckOff HealthCheckType = "off" // nothing; backends count as up
)

var healthCheckShape = record[HealthCheck]{
	noun:     "a mapping about the health check",
	doc:      "How backends are probed.",
	defaults: defaults.Service.HealthCheck,
	fields: []field[HealthCheck]{
		key("type", "ssh waits for the server's banner, tcp for a connection, off probes nothing.",
			func(h *HealthCheck) *HealthCheckType { return &h.Type }, choice(HealthCheckSSH, HealthCheckTCP, HealthCheckOff)),
		key("interval", "Time between two probes.",
			func(h *HealthCheck) *time.Duration { return &h.Interval }, duration(100*time.Millisecond, time.Hour)),
		key("timeout", "How long a probe waits, less than interval.",
			func(h *HealthCheck) *time.Duration { return &h.Timeout }, duration(50*time.Millisecond, time.Minute)),
		key("rise", "Probes that must succeed in a row before a backend is up.",
			func(h *HealthCheck) *int { return &h.Rise }, integer(1, 100)),
		key("fall", "Probes that must fail in a row before a backend is down.",
			func(h *HealthCheck) *int { return &h.Fall }, integer(1, 100)),
	},
}
