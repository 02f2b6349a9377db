package control

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Values writes q as the parameters of GET /v1/flows; what is zero is left out.
func (q FlowQuery) Values() url.Values {
	v := url.Values{}
	set := func(key, value string) {
		if value != "" {
			v.Set(key, value)
		}
	}
	set("service", q.Service)
	set("backend", q.Backend)
	set("state", string(q.State))
	if q.Client.IsValid() {
		set("client", q.Client.String())
	}
	if q.MinIdle > 0 {
		set("min_idle", q.MinIdle.String())
	}
	if q.Sort != "" {
		sort := string(q.Sort)
		if q.Descending {
			sort = "-" + sort
		}
		set("sort", sort)
	}
	if q.Offset > 0 {
		set("offset", strconv.Itoa(q.Offset))
	}
	if q.Limit > 0 {
		set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// parameters reads the parameters of one request: each at most once, none
// unknown, all faults ending in one error of CodeInvalid.
type parameters struct {
	values url.Values
	err    error
}

func newParameters(v url.Values, known ...string) *parameters {
	p := &parameters{values: v}
	for key, values := range v {
		switch {
		case !slices.Contains(known, key):
			p.fail(key, "unknown", "known are "+strings.Join(known, ", "))
		case len(values) != 1:
			p.fail(key, "given more than once", "give it once")
		}
	}
	return p
}

func (p *parameters) fail(key, what, hint string) {
	if p.err == nil {
		p.err = NewError(CodeInvalid, fmt.Sprintf("parameter %q: %s", key, what), hint)
	}
}

func (p *parameters) text(key string) string { return p.values.Get(key) }

// number reads a number within [low, high]; absent is absent.
func (p *parameters) number(key string, absent, low, high int) int {
	text := p.values.Get(key)
	if text == "" {
		return absent
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		p.fail(key, fmt.Sprintf("%q is not a number within %d to %d", text, low, high), "")
		return absent
	}
	return n
}

func (p *parameters) duration(key string) time.Duration {
	text := p.values.Get(key)
	if text == "" {
		return 0
	}
	d, err := ParseDuration(text)
	if err != nil {
		p.fail(key, err.Error(), "")
	}
	return d
}

func (p *parameters) addrPort(key string) netip.AddrPort {
	text := p.values.Get(key)
	if text == "" {
		return netip.AddrPort{}
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		p.fail(key, fmt.Sprintf("%q is not an address and port", text), "write 192.0.2.7:40022 or [2001:db8::7]:40022")
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func (p *parameters) prefix(key string) netip.Prefix {
	text := p.values.Get(key)
	if text == "" {
		return netip.Prefix{}
	}
	n, err := ParseClient(text)
	if err != nil {
		p.fail(key, err.Error(), "write 192.0.2.7 or 192.0.2.0/24")
	}
	return n
}

// ParseClient reads an address, or a network in CIDR notation, as the network
// a FlowQuery filters by. IPv4 mapped into IPv6 is IPv4, as clients are listed.
func ParseClient(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network", text)
	}
	if a := n.Addr(); a.Is4In6() && n.Bits() >= 96 {
		n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
	}
	return n.Masked(), nil
}

// flowQuery reads the parameters of GET /v1/flows.
func flowQuery(v url.Values) (FlowQuery, error) {
	p := newParameters(v, "service", "backend", "client", "state", "min_idle", "sort", "offset", "limit")
	q := FlowQuery{
		Service: p.text("service"),
		Backend: p.text("backend"),
		Client:  p.prefix("client"),
		State:   FlowState(p.text("state")),
		MinIdle: p.duration("min_idle"),
		Offset:  p.number("offset", 0, 0, 1<<31-1),
		Limit:   p.number("limit", DefaultFlowLimit, 1, MaxFlowLimit),
	}
	sort, descending := strings.CutPrefix(p.text("sort"), "-")
	q.Sort, q.Descending = FlowSort(sort), descending
	if sort == "" {
		q.Sort = SortClient
	}
	if !slices.Contains([]FlowSort{SortClient, SortBackend, SortAge, SortIdle}, q.Sort) {
		p.fail("sort", fmt.Sprintf("unknown order %q", sort), "orders are client, backend, age, idle; a leading - turns them")
	}
	if q.State != "" && !slices.Contains([]FlowState{FlowYoung, FlowEstablished, FlowHalfClosed, FlowClosed}, q.State) {
		p.fail("state", fmt.Sprintf("unknown state %q", q.State), "states are young, established, half_closed, closed")
	}
	return q, p.err
}

// Values writes f as the parameters of GET /v1/events.
func (f EventFilter) Values() url.Values {
	v := url.Values{}
	if len(f.Kinds) > 0 {
		kinds := make([]string, len(f.Kinds))
		for i, k := range f.Kinds {
			kinds[i] = string(k)
		}
		v.Set("kind", strings.Join(kinds, ","))
	}
	if f.Service != "" {
		v.Set("service", f.Service)
	}
	if f.Backend != "" {
		v.Set("backend", f.Backend)
	}
	return v
}

// eventFilter reads the parameters of GET /v1/events.
func eventFilter(v url.Values) (EventFilter, error) {
	p := newParameters(v, "kind", "service", "backend")
	f := EventFilter{Service: p.text("service"), Backend: p.text("backend")}
	known := []EventKind{EventFlowEstablished, EventFlowClosed, EventFlowRevived, EventFlowRefused, EventBackendState, EventDrainProgress}
	if text := p.text("kind"); text != "" {
		for name := range strings.SplitSeq(text, ",") {
			kind := EventKind(name)
			if !slices.Contains(known, kind) {
				p.fail("kind", fmt.Sprintf("unknown kind %q", name), "")
			}
			f.Kinds = append(f.Kinds, kind)
		}
	}
	return f, p.err
}
