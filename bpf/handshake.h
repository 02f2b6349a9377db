/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From SYN to established entry.
 *
 * A SYN chooses a backend and leaves an embryo; the packet that completes the
 * handshake turns it into an entry. A SYN on a living tuple goes to the
 * entry's backend and leaves an embryo beside it, and the entry is replaced
 * only when that handshake completes: a forged SYN changes nothing.
 *
 * The functions without static are checked by the verifier on their own; that
 * keeps its work small, and is why they take plain data and test it for NULL.
 */
#pragma once

#include "embryo.h"
#include "flow.h"
#include "choice.h"

/* Where a packet of a service goes: what an entry or an embryo says. */
struct target {
	struct addr peer; /* source towards the backend */
	__be16 peer_port;
	__u8 header; /* enum header_state */
	__u8 zero;
	__u32 member;
	__u32 isn; /* the client's, unless there is no header */
};

/* In place of a verdict: the packet goes where a target says. */
#define STEERED -1

/* What every stage behind the service look-up needs. */
struct stage {
	struct flow_key key;
	__u64 hash;
	__u64 salt;
	__u32 service;
	__u32 entry; /* of the ring */
	__u8 nat; /* else one-way: answers do not come through us */
	__u8 keep;
	__u8 proxy;
	__u8 choice;
	__u8 zero[4];
};

static __always_inline void stage_of(struct stage *s, const struct service *svc, __u32 id, const struct addr *client,
				     __be16 port)
{
	s->service = id;
	s->nat = svc->mode == MODE_NAT;
	s->keep = s->nat && svc->flags & SERVICE_KEEP;
	s->choice = svc->flags & SERVICE_CHOICE;
	s->proxy = s->nat && svc->flags & SERVICE_PROXY;
	s->salt = svc->salt;
	service_key(&s->key, id, client, port);
	s->hash = flow_hash(client, port, svc->salt);
	s->entry = svc->flags & SERVICE_CLIENT ? ring_entry(client, 0, svc) : hash_ring_entry(s->hash);
}

/* What a handshake is worked on with: more than the stack holds. Each member is
 * cleared by the one function that uses it. */
struct workbench {
	struct embryo fresh; /* of take_syn */
	struct embryo back; /* of take_source */
	struct flow entry; /* of the two promotions */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct workbench);
} workbenches SEC(".maps");

static __always_inline struct workbench *workbench(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&workbenches, &zero);
}

/* The ring word that a flow of a one-way service may pass the table by; NULL in
 * nat, where marks mean nothing. */
static __always_inline __u32 *marked_word(const struct stage *s)
{
	return s->nat ? NULL : ring_word(&rings, s->service, s->entry);
}

static __always_inline void target_flow(struct target *t, const struct flow *f)
{
	t->member = f->member;
	t->peer = f->peer;
	t->peer_port = f->peer_port;
	t->header = flow_header(f);
	t->isn = flow_isn(f);
}

static __always_inline void target_embryo(struct target *t, const struct embryo *e)
{
	t->member = e->member;
	t->peer = e->peer;
	t->peer_port = e->peer_port;
	t->header = e->header;
	t->isn = e->isn;
}

/* The record of a member of the service, or NULL: an entry may outlive it. */
static __always_inline struct member *member_of(__u32 id, __u32 service)
{
	struct member *m = bpf_map_lookup_elem(&members, &id);

	return m && m->port && m->service == service ? m : NULL;
}

static __always_inline int is_client(const struct stage *s, const struct addr *addr, __be16 port)
{
	return port == s->key.port && addr_equal(addr, &s->key.addr);
}

/* Whether the reverse key belongs to this client and service already. */
__noinline int reverse_is_ours(const struct flow_key *key, const struct stage *s)
{
	struct embryo *back;
	struct flow *f;
	__u32 member;

	if (!key || !s)
		return 0;
	back = bpf_map_lookup_elem(&embryos, key);
	if (back && is_client(s, &back->peer, back->peer_port)) {
		member = back->member;
	} else {
		f = flow_find(key, reverse_hash(key));
		if (!f || !is_client(s, &f->peer, f->peer_port))
			return 0;
		member = f->member;
	}
	return member_of(member, s->service) != NULL;
}

/* Makes sure that e has a source towards its backend: the one it had, if it is
 * still held. DROP_NONE, or why there is none. */
__noinline enum drop_reason take_source(const struct stage *s, struct embryo *e)
{
	struct workbench *w = workbench();
	struct embryo *back, *old;
	struct flow_key key;
	struct member *m;

	if (!w || !s || !e)
		return DROP_INTERNAL;
	m = member_of(e->member, s->service);
	if (!m)
		return DROP_INTERNAL; /* the ring names what does not exist */
	back = &w->back;
	__builtin_memset(back, 0, sizeof(*back));
	back->peer = s->key.addr;
	back->peer_port = s->key.port;
	back->member = e->member;
	back->made = e->made;
	if (s->keep) {
		e->peer = s->key.addr;
		e->peer_port = s->key.port;
	}
	if (e->peer_port) {
		reverse_key(&key, m->host, &e->peer, e->peer_port);
		if (reverse_is_ours(&key, s)) {
			old = bpf_map_lookup_elem(&embryos, &key);
			if (old && !dry)
				old->made = e->made;
			return DROP_NONE;
		}
		if (s->keep)
			return reverse_claim(&key, back) ? DROP_NONE : DROP_PORT_CONFLICT;
	}
	return port_claim(s->service, m->host, s->hash, e, back) ? DROP_NONE : DROP_PORTS_EXHAUSTED;
}

/* What a repeated SYN keeps of the first: a backend that answered keeps the
 * handshake, one that did not loses it to where the ring points by now. */
static __always_inline void repeat_syn(const struct stage *s, const struct embryo *old, struct embryo *e)
{
	struct service_counters *c;

	e->retries = old->retries + 1;
	if (old->flags & EMBRYO_SYNACK)
		e->member = old->member;
	if (e->member == old->member) {
		e->peer = old->peer;
		e->peer_port = old->peer_port;
		e->header = old->header; /* the backend knows the number it was told */
		e->flags = old->flags & (EMBRYO_SYNACK | EMBRYO_ANSWERED);
		e->server_isn = old->server_isn;
	}
	if (!s->keep || old->flags & EMBRYO_ANSWERED)
		return;
	c = service_count(s->service);
	if (c)
		c->no_return_path++;
}

static __always_inline void note_ingress(struct xdp_md *ctx, struct embryo *e)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return;
	e->ingress = ctx->ingress_ifindex;
	__builtin_memcpy(e->mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(e->own_mac, eth->h_dest, ETH_ALEN);
}

/*
 * Leaves the embryo of a SYN and fills t with where it goes. t->member names
 * the living entry's backend on entry, NO_MEMBER where there is none.
 * DROP_NONE, or why the connection is refused.
 */
__noinline enum drop_reason take_syn(struct xdp_md *ctx, const struct packet *p, const struct stage *s,
				     struct target *t)
{
	enum drop_reason reason = DROP_NONE;
	struct workbench *w = workbench();
	struct embryo *e, *old;
	__u32 *word;

	if (!w || !p || !s || !t)
		return DROP_INTERNAL;
	e = &w->fresh;
	__builtin_memset(e, 0, sizeof(*e));
	e->made = p->tick;
	e->isn = p->seq;
	e->header = s->proxy ? HEADER_OPEN : HEADER_NONE;
	note_ingress(ctx, e);
	if (t->member != NO_MEMBER) {
		e->member = t->member;
		e->peer = t->peer;
		e->peer_port = t->peer_port;
	} else {
		old = embryo_find(&s->key, p->tick);
		if (old && old->isn != p->seq)
			old = NULL;
		if (s->choice)
			e->member = choose(s->service, s->entry, old ? old->member : NO_MEMBER);
		else
			e->member = ring_member(ring_word(&rings, s->service, s->entry));
		if (old)
			repeat_syn(s, old, e);
		if (e->member == NO_MEMBER)
			return DROP_NO_BACKEND;
		if (s->nat)
			reason = take_source(s, e);
	}
	if (reason)
		return reason;
	target_embryo(t, e);
	word = marked_word(s);
	ring_mark(word, RING_PENDING_NEW);
	ring_differs(word, e->member);
	note(TRACE_SYN, e->member);
	if (dry)
		return DROP_NONE;
	return bpf_map_update_elem(&embryos, &s->key, e, BPF_ANY) ? DROP_INTERNAL : DROP_NONE;
}

static __always_inline int completes(const struct packet *p, const struct stage *s, const struct embryo *e)
{
	if (!(p->flags & TCP_ACK) || p->flags & (TCP_SYN | TCP_RST))
		return 0;
	if (p->seq - (e->isn + 1) >= HANDSHAKE_WINDOW)
		return 0;
	if (!s->nat)
		return 1;
	/* The client has seen the backend's number, so its address is real. */
	return e->flags & EMBRYO_SYNACK && p->ack - (e->server_isn + 1) < HANDSHAKE_WINDOW;
}

/* The packet that completes a handshake may end its side at once: the ACK
 * before it was lost. */
static __always_inline __u32 first_status(const struct packet *p, __u32 state)
{
	return p->flags & TCP_FIN ? FLOW_HALF_CLOSED | STATUS_FIN_CLIENT : state;
}

/* What an entry keeps of the header it began with. */
static __always_inline void flow_begin(struct flow *f, const struct packet *p, const struct target *t, __u32 state)
{
	f->member = t->member;
	f->status = first_status(p, state);
	if (t->header == HEADER_NONE)
		return;
	f->isn_low = t->isn;
	f->status |= STATUS_HEADER | t->isn >> STATUS_ISN_SHIFT << STATUS_ISN_SHIFT;
}

/* The entry for answers. It comes before the other, so that the source port is
 * never free in between. 0 = no room, or the port is no longer ours. */
__noinline int promote_reverse(const struct packet *p, const struct stage *s, const struct target *t)
{
	struct workbench *w = workbench();
	struct flow *from;
	struct flow_key key;
	struct member *m;

	if (!w || !p || !s || !t)
		return 0;
	m = member_of(t->member, s->service);
	if (!m)
		return 0;
	reverse_key(&key, m->host, &t->peer, t->peer_port);
	if (!reverse_is_ours(&key, s))
		return 0;
	from = &w->entry;
	__builtin_memset(from, 0, sizeof(*from));
	from->peer = s->key.addr;
	from->peer_port = s->key.port;
	from->seen = p->tick;
	from->sequence = p->ack;
	flow_begin(from, p, t, FLOW_ESTABLISHED);
	if (!flow_put(&key, reverse_hash(&key), from))
		return 0;
	bpf_map_delete_elem(&embryos, &key);
	return 1;
}

__noinline int promote_forward(const struct packet *p, const struct stage *s, const struct target *t)
{
	struct member_counters *c;
	struct workbench *w = workbench();
	struct flow *from;

	if (!w || !p || !s || !t)
		return 0;
	from = &w->entry;
	__builtin_memset(from, 0, sizeof(*from));
	from->peer = t->peer;
	from->peer_port = t->peer_port;
	from->seen = p->tick;
	from->opened = p->tick;
	from->sequence = p->seq;
	flow_begin(from, p, t, s->nat ? FLOW_ESTABLISHED : FLOW_YOUNG);
	ring_differs(marked_word(s), t->member);
	if (!flow_put(&s->key, s->hash, from))
		return 0;
	c = member_count(t->member);
	if (c)
		c->flows_opened++;
	source_opened(&s->key.addr);
	if (s->nat)
		source_proved(&s->key.addr, p->tick);
	event_flow(EVENT_ESTABLISHED, s->service, &s->key.addr, s->key.port, &t->peer, t->peer_port, t->member,
		   t->header, t->isn);
	return 1;
}

/*
 * Makes the entries of a completed handshake. DROP_NONE also where the flow
 * goes on without one.
 */
__noinline enum drop_reason promote(const struct packet *p, const struct stage *s, const struct target *t)
{
	struct service_counters *c;
	struct embryo *e;

	if (!p || !s || !t)
		return DROP_INTERNAL;
	note(TRACE_COMPLETES, t->member);
	if (dry)
		return DROP_NONE;
	e = bpf_map_lookup_elem(&embryos, &s->key);
	if (!e || __sync_fetch_and_or(&e->flags, EMBRYO_PROMOTING) & EMBRYO_PROMOTING)
		return DROP_NONE; /* another CPU is at it, or has done it */
	if (s->nat && (!promote_reverse(p, s, t) || !promote_forward(p, s, t))) {
		__sync_fetch_and_and(&e->flags, ~EMBRYO_PROMOTING);
		return DROP_TABLE_FULL;
	}
	if (!s->nat && !promote_forward(p, s, t)) {
		c = service_count(s->service);
		if (c)
			c->flows_unprotected++;
	}
	bpf_map_delete_elem(&embryos, &s->key);
	return DROP_NONE;
}

/* What is known of a packet that is no SYN and has no entry. */
enum known {
	KNOWN_NOTHING,
	KNOWN_EMBRYO, /* part of a handshake */
	KNOWN_COMPLETES, /* the part that completes it */
	KNOWN_RING, /* dsr: the ring still knows a way for a flow whose entry was lost */
};

/* Fills t where anything is known. */
__noinline enum known take_embryo(const struct packet *p, const struct stage *s, struct target *t)
{
	struct embryo *e;

	if (!p || !s || !t)
		return KNOWN_NOTHING;
	e = embryo_find(&s->key, p->tick);
	if (e) {
		note(TRACE_EMBRYO, e->member);
		target_embryo(t, e);
		return completes(p, s, e) ? KNOWN_COMPLETES : KNOWN_EMBRYO;
	}
	note(TRACE_UNKNOWN, 0);
	t->member = ring_member(marked_word(s));
	return t->member == NO_MEMBER ? KNOWN_NOTHING : KNOWN_RING;
}
