// Package failover holds tests of whole gateways that share virtual IPs: the
// faults of ha catalogues, SSH connections that outlive their gateway, and
// keepalived as the other gateway.
package failover
