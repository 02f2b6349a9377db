/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The two directions of a flow that has a backend: to it, and back. */
#pragma once

#include "egress.h"
#include "encap.h"
#include "follow.h"
#include "handshake.h"
#include "icmp_reply.h"
#include "owner.h"
#include "proxy.h"
#include "reply.h"
#include "rewrite.h"

/* Nothing is known of the packet. Once every flow this node may learn of is
 * known, the sender is told. */
static __always_inline int unknown_packet(struct xdp_md *ctx, const struct packet *p)
{
	struct control *c = control();

	drop(p, DROP_UNKNOWN_FLOW);
	if (!c || !c->reset_unknown_from || bpf_ktime_get_ns() < c->reset_unknown_from)
		return XDP_DROP;
	return reset_reply(ctx, p);
}

/* Sends the packet to the member t names. */
static __noinline int to_backend(struct xdp_md *ctx, const struct frame *f, const struct packet *p,
				 const struct stage *s, const struct target *t)
{
	struct member *m = member_of(t->member, s->service);
	enum drop_reason reason;
	struct next_hop *n;
	__u32 room;
	int verdict;

	if (!m)
		return unknown_packet(ctx, p); /* the flow ended with its backend */
	note(TRACE_MEMBER, t->member);
	if (m->flags & MEMBER_LOCAL) {
		note(TRACE_PASSED, 0);
		count_steered(p, t->member, s->service);
		return XDP_PASS;
	}
	note(TRACE_NEXT_HOP, m->next_hop);
	n = next_hop(m->next_hop);
	if (!n)
		return drop(p, DROP_NO_NEXT_HOP);
	room = encap_room(m);
	if (room)
		note(TRACE_ENCAPSULATED, room);
	reason = refuse_hop(p, n, room);
	/* An ICMP error, which has no port, is never answered by another. */
	if (reason == DROP_TOO_BIG && p->dport)
		return too_big(ctx, p, n->mtu > room ? n->mtu - room : 0);
	if (reason)
		return drop(p, reason);
	verdict = transmit(ctx, p, n->ifindex);
	if (verdict == XDP_DROP)
		return verdict;
	if (!hop(f))
		return drop(p, DROP_TTL);
	if (room && !encapsulate(ctx, p, m, n, s->hash))
		return drop(p, DROP_NO_HEADROOM);
	count_steered(p, t->member, s->service);
	if (room)
		return verdict;
	/* An ICMP error, which comes here in one-way modes alone, has no tcp. */
	if (s->nat && f->tcp)
		rewrite(f, &m->addr, m->port, &t->peer, t->peer_port);
	address_frame(f, n);
	if (t->header == HEADER_OPEN && !proxy_forward(ctx, p, s, t, n->mtu))
		return drop(p, DROP_INTERNAL);
	return verdict;
}

/* What an answer from a backend belongs to. */
struct answer {
	struct addr client;
	__be16 client_port;
	__u8 header; /* enum header_state */
	__u8 zero;
	__u32 member;
	__u32 service;
	__u32 isn; /* the client's, unless there is no header */
};

/* The entry of what host answered, or NULL while the handshake lasts. a->member
 * is NO_MEMBER when the packet answers none of our flows. */
static __always_inline struct flow *find_answer(const struct flow_key *key, __u32 host, struct answer *a)
{
	struct flow *f = flow_find(key, reverse_hash(key));
	struct embryo *e;
	struct member *m;

	a->header = HEADER_NONE;
	if (f) {
		a->header = flow_header(f);
		a->isn = flow_isn(f);
		a->client = f->peer;
		a->client_port = f->peer_port;
		a->member = f->member;
	} else {
		e = bpf_map_lookup_elem(&embryos, key);
		if (!e)
			return NULL;
		a->client = e->peer;
		a->client_port = e->peer_port;
		a->member = e->member;
	}
	/* The entry may outlive the member, and the id may be another's by now. */
	m = bpf_map_lookup_elem(&members, &a->member);
	if (m && m->port && m->host == host)
		a->service = m->service;
	else
		a->member = NO_MEMBER;
	return f;
}

/* The handshake whose SYN the backend answers: by SYN|ACK, or by RST|ACK where
 * the port is closed. It may have taken data with the SYN, so its ack may stand
 * further on; what it knows of the SYN may stand a header's length earlier. */
static __always_inline struct embryo *answered(const struct packet *p, const struct answer *a)
{
	struct flow_key key;
	struct embryo *e;
	__u32 begin;

	if (!(p->flags & TCP_ACK) || !(p->flags & (TCP_SYN | TCP_RST)))
		return NULL;
	service_key(&key, a->service, &a->client, a->client_port);
	e = bpf_map_lookup_elem(&embryos, &key);
	if (!e || e->member != a->member)
		return NULL;
	begin = e->isn + 1 - (e->header == HEADER_OPEN ? proxy_length(p->v6) : 0);
	return p->ack - begin < HANDSHAKE_WINDOW ? e : NULL;
}

/*
 * Notes in the handshake that the backend answered it, and by which number, and
 * fills hop with where the SYN came from: the way back before the client's
 * neighbour is known. 0 = there is no such handshake.
 */
__noinline int note_answer(const struct packet *p, struct answer *a, struct next_hop *hop)
{
	struct embryo *e;

	if (!p || !a || !hop)
		return 0;
	e = answered(p, a);
	if (!e)
		return 0;
	if (p->flags & TCP_SYN && !dry) {
		e->server_isn = p->seq;
		__sync_fetch_and_or(&e->flags, EMBRYO_SYNACK);
	}
	if (!dry)
		__sync_fetch_and_or(&e->flags, EMBRYO_ANSWERED);
	a->header = e->header;
	a->isn = e->isn;
	hop->ifindex = e->ingress;
	__builtin_memcpy(hop->destination, e->mac, ETH_ALEN);
	__builtin_memcpy(hop->source, e->own_mac, ETH_ALEN);
	hop->vlan = p->vlan;
	hop->mtu = 0xffff;
	return 1;
}

static __always_inline enum drop_reason answer_way(struct xdp_md *ctx, const struct packet *p, struct answer *a,
						   const struct service *svc, struct flow *f, struct way *w)
{
	struct next_hop back = {};
	enum drop_reason reason;

	if (p->flags & (TCP_SYN | TCP_RST))
		note_answer(p, a, &back);
	w->cached = f ? f->next_hop : 0;
	reason = client_hop(ctx, p, &svc->vip, &a->client, w);
	if (f && f->next_hop != w->cached && !dry)
		f->next_hop = w->cached;
	if (reason == DROP_NO_NEXT_HOP && back.ifindex) {
		w->hop = back;
		reason = DROP_NONE;
	}
	return reason ? reason : refuse_hop(p, &w->hop, 0);
}

/* What an ICMP error quotes: the beginning of a packet of a flow. */
struct quote {
	struct addr src;
	struct addr dst;
	__be16 sport;
	__be16 dport;
	__u32 seq;
};

/* An ICMP error as it is to be. */
struct envelope {
	struct addr src;
	struct addr dst;
	struct quote quote;
	__u32 less; /* of an MTU, the quoted packet was this much longer than its sender knows */
};

/* What one packet needs while it is worked on, beside its frame: more than the
 * stack of the programs holds together with the functions they call. */
struct scratch {
	struct packet p;
	struct stage s;
	struct target t;
	struct answer a;
	struct flow_key key; /* of an answer */
	struct way w;
	struct quote q;
	struct envelope e;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Follows a flow's packet from the backend. */
static __always_inline void follow_backend(const struct packet *p, const struct answer *a, const struct service *svc,
					   struct flow *flow, struct flow_key *key)
{
	if (dry || !flow_follow(p, flow, STATUS_FIN_BACKEND, 0))
		return;
	service_key(key, a->service, &a->client, a->client_port);
	follow_counterpart(key, flow_hash(&key->addr, key->port, svc->salt), flow->status, STATUS_FIN_BACKEND,
			   a->service);
}

/* Follows the header of a flow, or of a handshake where there is none. 0 = a
 * helper failed. */
__noinline int follow_header(struct xdp_md *ctx, const struct packet *p, const struct answer *a, __u64 salt,
			     struct flow *flow)
{
	struct flow_key key;

	if (!p || !a)
		return 0;
	if (flow && flow_header(flow) == HEADER_OPEN && proxy_acknowledged(p, flow_isn(flow))) {
		service_key(&key, a->service, &a->client, a->client_port);
		proxy_close(flow, &key, flow_hash(&key.addr, key.port, salt));
	}
	return proxy_back(ctx, p, a->isn, a->member);
}

/* A packet from a nat backend's addr:port. Only what has an entry is ours: the
 * gateway may talk to the backend itself. */
static __noinline int from_backend(struct xdp_md *ctx, const struct frame *f, struct scratch *x, __u32 host)
{
	struct packet *p = &x->p;
	struct answer *a = &x->a;
	struct way *w = &x->w;
	struct flow_key *key = &x->key;
	enum drop_reason reason;
	struct service *svc;
	struct flow *flow;
	int verdict;

	reverse_key(key, host, &p->dst, p->dport);
	a->member = NO_MEMBER;
	flow = find_answer(key, host, a);
	if (a->member == NO_MEMBER)
		return XDP_PASS;
	svc = bpf_map_lookup_elem(&services, &a->service);
	if (!svc)
		return drop(p, DROP_INTERNAL);
	/* Two nodes may see an answer, and one has the VIP. */
	if (!owned(svc->owner))
		return drop(p, DROP_NOT_OWNER);
	/* The client may have begun anew on the tuple of a killed flow. */
	if (flow && flow_state(flow) == FLOW_KILLED && !answered(p, a)) {
		drop(p, DROP_KILLED);
		return reset_reply(ctx, p);
	}
	reason = answer_way(ctx, p, a, svc, flow, w);
	if (reason == DROP_TOO_BIG)
		return too_big(ctx, p, w->hop.mtu);
	if (reason)
		return drop(p, reason);
	verdict = transmit(ctx, p, w->hop.ifindex);
	if (verdict == XDP_DROP)
		return verdict;
	if (!hop(f))
		return drop(p, DROP_TTL);
	if (flow)
		follow_backend(p, a, svc, flow, key);
	count_out(p, a->member);
	rewrite(f, &a->client, a->client_port, &svc->vip, svc->port);
	address_frame(f, &w->hop);
	if (a->header == HEADER_OPEN && !follow_header(ctx, p, a, svc->salt, flow))
		return drop(p, DROP_INTERNAL);
	return verdict;
}
