/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Entries that do not come of a handshake here: another gateway has the flow.
 * Its backend may be another than this node's ring names. Run in process context,
 * a bounded batch at a time.
 *
 * While another gateway has the VIP, what it says of a flow is true; while this
 * one has, its own living flows are.
 */
#pragma once

#include "copy.h"

/* Whether the entry's flow goes on, or was ended here for good. */
static __always_inline int import_stands(const struct flow *f, __u32 tick)
{
	return !flow_expired(f, tick) && (flow_state(f) != FLOW_CLOSED || flow_in_doubt(f));
}

static __always_inline int import_same(const struct flow *f, const struct imported *a)
{
	const __u32 of = STATUS_HEADER | STATUS_ISN;

	return f->member == a->member && f->peer_port == a->source_port && addr_equal(&f->peer, &a->source) &&
	       (f->status & of) == (a->status & of) && f->isn_low == a->isn_low;
}

/* What a handshake that never finished here left under the key. 0 = it lasts. */
static __always_inline int import_over_embryo(const struct flow_key *key, const struct copied *c)
{
	struct embryo *e = bpf_map_lookup_elem(&embryos, key);

	if (!e)
		return 1;
	if (c->owned && (__s32)(c->tick - e->made) <= (__s32)embryo_lifetime)
		return 0;
	bpf_map_delete_elem(&embryos, key);
	return 1;
}

/* Makes room for the reverse key of c: another flow has no right to it, unless it
 * lives by this node's word. 0 = it does. */
__noinline int import_evict(const struct flow_key *key, const struct copied *c)
{
	struct flow_key other;
	struct flow *f, *forward;
	__u32 member, service;
	struct service *svc;
	struct member *m;
	__u64 hash;

	if (!key || !c || !import_over_embryo(key, c))
		return 0;
	f = flow_find(key, reverse_hash(key));
	if (!f)
		return 1;
	member = f->member;
	m = bpf_map_lookup_elem(&members, &member);
	if (!m || !m->port)
		return 1;
	service = m->service;
	if (service == c->key.owner && f->peer_port == c->key.port && addr_equal(&f->peer, &c->key.addr))
		return 1;
	svc = bpf_map_lookup_elem(&services, &service);
	if (!svc)
		return 1;
	service_key(&other, service, &f->peer, f->peer_port);
	hash = flow_hash(&other.addr, other.port, svc->salt);
	forward = flow_find(&other, hash);
	if (!forward || forward->peer_port != key->port || !addr_equal(&forward->peer, &key->addr))
		return 1;
	if (import_stands(forward, c->tick) && owned(svc->owner))
		return 0;
	flow_remove(&other, hash, 1);
	return 1;
}

/* Makes the entry for answers, which comes first so that the source port is never
 * free in between. 0 = it is another's, or there is no room. */
__noinline int import_reverse(const struct imported *a, const struct copied *c, struct flow *from)
{
	struct embryo back = {};
	struct flow_key key;
	struct member *m;
	__u32 member;
	int claim;

	if (!a || !c || !from)
		return 0;
	member = a->member;
	m = bpf_map_lookup_elem(&members, &member);
	if (!m)
		return 0;
	reverse_key(&key, m->host, &a->source, a->source_port);
	if (!import_evict(&key, c))
		return 0;
	back.peer = a->client;
	back.peer_port = a->port;
	back.member = member;
	back.made = c->tick;
	/* Packets may take ports meanwhile. */
	claim = c->owned && !flow_find(&key, reverse_hash(&key));
	if (claim && !reverse_claim(&key, &back))
		return 0;
	__builtin_memset(from, 0, sizeof(*from));
	from->peer = a->client;
	from->peer_port = a->port;
	from->member = member;
	from->isn_low = a->isn_low;
	from->seen = a->seen;
	from->sequence = a->back_sequence;
	from->status = a->status;
	if (!flow_put(&key, reverse_hash(&key), from))
		return 0;
	if (claim)
		bpf_map_delete_elem(&embryos, &key);
	return 1;
}

/* What the ring entry must say before the flow is in the table. */
static __always_inline void import_mark(const struct imported *a, __u32 service, const struct service *svc)
{
	__u32 *word = ring_word(&rings, service, ring_entry(&a->client, a->port, svc));

	ring_differs(word, a->member);
	if ((a->status & STATUS_STATE_MASK) != FLOW_ESTABLISHED)
		ring_mark(word, RING_PENDING_NEW);
}

/* A flow that has its entry. What this node follows itself stands. */
__noinline int import_again(const struct imported *a, const struct copied *c, struct flow *f)
{
	__u32 was, is;

	if (!a || !c || !f)
		return IMPORT_REFUSED;
	if ((__s32)(a->seen - f->seen) > 0)
		f->seen = a->seen;
	was = f->status;
	is = a->status | (was & (STATUS_COUNTED_CLOSED | STATUS_BESIDE));
	if (c->owned || is == was)
		return IMPORT_KNOWN;
	f->sequence = a->sequence;
	if (__sync_val_compare_and_swap(&f->status, was, is) != was)
		return IMPORT_KNOWN;
	if ((is & STATUS_STATE_MASK) == FLOW_CLOSED)
		flow_tally_closed(f);
	else
		flow_tally_revived(f);
	return IMPORT_REPLACED;
}

__noinline int import_forward(const struct imported *a, const struct copied *c, struct flow *from)
{
	struct member_counters *count;

	if (!a || !c || !from)
		return 0;
	__builtin_memset(from, 0, sizeof(*from));
	from->peer = a->source;
	from->peer_port = a->source_port;
	from->member = a->member;
	from->isn_low = a->isn_low;
	from->seen = a->seen;
	from->opened = a->opened;
	from->sequence = a->sequence;
	from->status = a->status;
	/* It counts again should it come back to life. */
	if ((a->status & STATUS_STATE_MASK) == FLOW_CLOSED)
		from->status |= STATUS_COUNTED_CLOSED;
	if (!flow_put(&c->key, c->hash, from))
		return 0;
	if (from->status & STATUS_COUNTED_CLOSED)
		return 1;
	count = member_count(a->member);
	if (count)
		__sync_fetch_and_add(&count->flows_opened, 1);
	source_opened(&a->client);
	return 1;
}

/* Returns what became of it, enum import_result. */
__noinline int import_flow(const struct imported *a, struct flow *from, __u32 tick)
{
	int stands, nat;
	struct copied c = { .tick = tick };
	__u32 service, member;
	struct service *svc;
	struct flow *f;

	if (!a || !from)
		return IMPORT_REFUSED;
	service = a->service;
	member = a->member;
	svc = bpf_map_lookup_elem(&services, &service);
	if (!svc || svc->mode == MODE_UNUSED || svc->mode == MODE_SSHD || !member_of(member, service))
		return IMPORT_REFUSED;
	nat = svc->mode == MODE_NAT;
	if (nat != !!a->source_port)
		return IMPORT_REFUSED;
	from->owner = service;
	from->status = a->status;
	from->seen = a->seen;
	from->opened = a->opened;
	if (flow_expired(from, tick))
		return IMPORT_REFUSED;
	c.owned = owned(svc->owner);
	service_key(&c.key, service, &a->client, a->port);
	c.hash = flow_hash(&a->client, a->port, svc->salt);
	f = flow_find(&c.key, c.hash);
	stands = f && import_stands(f, tick);
	if (stands && c.owned)
		return import_same(f, a) ? import_again(a, &c, f) : IMPORT_REFUSED;
	if (!nat)
		import_mark(a, service, svc);
	else if (!import_reverse(a, &c, from))
		return IMPORT_REFUSED;
	if (stands && import_same(f, a))
		return import_again(a, &c, f);
	return import_forward(a, &c, from) ? (stands ? IMPORT_REPLACED : IMPORT_MADE) : IMPORT_REFUSED;
}

SEC("syscall")
int import(void *ctx)
{
	struct import_args *args;
	struct flow from;
	__u32 tick = sweep_tick(), i, result, zero = 0;

	args = bpf_map_lookup_elem(&import_batch, &zero);
	if (!args)
		return 0;
	for (i = 0; i < IMPORT_BATCH; i++) {
		if (i >= args->count)
			break;
		result = import_flow(&args->flows[i], &from, tick);
		/* The compiler knows, and the verifier does not. */
		barrier_var(result);
		if (result < IMPORT_RESULTS)
			args->results[result]++;
	}
	return 0;
}
