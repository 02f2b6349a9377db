package keepalived

import (
	"net/netip"
	"time"
)

// real is a real server.
type real struct {
	at     position
	addr   netip.AddrPort
	weight int
	check  *check
}

// check is how a real server is checked; nil for not at all.
type check struct {
	at      position
	timeout time.Duration
	retry   int
}

// readReal takes in a real server.
func (c *configuration) readReal(v *server, of *statement) {
	r := &real{at: of.at, weight: 1}
	addr := c.address(of.at, "real_server", of.word(1))
	port := 0
	if len(of.words) > 2 {
		port = c.port(of, of.word(2))
	}
	r.addr = netip.AddrPortFrom(addr, uint16(port))
	for _, s := range of.block {
		switch s.keyword() {
		case "weight":
			r.weight = c.number(s, 0, 65535)
		case "inhibit_on_failure": // as on_down: keep
		case "lvs_method", "lb_kind":
			c.leave(s, "all backends of a service get their packets the same way")
		case "TCP_CHECK":
			r.check = c.readCheck(s)
		case "HTTP_GET", "SSL_GET", "SMTP_CHECK", "DNS_CHECK", "MISC_CHECK", "UDP_CHECK", "PING_CHECK", "BFD_CHECK", "FILE_CHECK":
			c.leave(s, "a health check dials, and reads the banner of SSH")
			if r.check == nil {
				r.check = &check{at: s.at, timeout: 5 * time.Second, retry: 1}
			}
		case "notify_up", "notify_down":
			c.leave(s, "states of backends are in metrics and \"show backends\", and run no program")
		default:
			c.unknown(s)
		}
	}
	if addr.IsValid() {
		v.reals = append(v.reals, r)
	}
}

// readCheck takes in a check by TCP.
func (c *configuration) readCheck(of *statement) *check {
	k := &check{at: of.at, timeout: 5 * time.Second, retry: 1}
	for _, s := range of.block {
		switch s.keyword() {
		case "connect_timeout":
			k.timeout = c.seconds(s)
		case "retry", "nb_get_retry":
			k.retry = c.number(s, 0, 1000)
		case "delay_before_retry":
			c.leave(s, "the interval is that of all checks")
		default:
			c.unknown(s)
		}
	}
	return k
}
