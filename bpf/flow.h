/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of established flows: an array of cache lines. A flow stands in
 * one of FLOW_WAYS neighbouring lines; what finds them all taken by living
 * flows goes to an ordinary hash.
 *
 *	free --claim--> busy --publish--> live --claim--> busy --> live | free
 *
 * Writers own a line from the compare-and-swap to BUSY until they store the
 * next word; readers see a line only by its tag and compare the key in place.
 */
#pragma once

#include "count.h"
#include "hash.h"
#include "maps.h"
#include "source.h"

static __always_inline __u32 flow_state(const struct flow *f)
{
	return f->status & STATUS_STATE_MASK;
}

static __always_inline __u32 flow_isn(const struct flow *f)
{
	return (f->status >> STATUS_ISN_SHIFT << STATUS_ISN_SHIFT) | f->isn_low;
}

static __always_inline enum header_state flow_header(const struct flow *f)
{
	if (!(f->status & STATUS_HEADER))
		return HEADER_NONE;
	return f->status & STATUS_HEADER_CLOSED ? HEADER_CLOSED : HEADER_OPEN;
}

static __always_inline void event_of(__u32 kind, __u32 service, const struct flow *f)
{
	event_flow(kind, service, &f->addr, f->port, &f->peer, f->peer_port, f->member, flow_header(f), flow_isn(f));
}

static __always_inline int flow_is_reverse(const struct flow *f)
{
	return f->owner & FLOW_REVERSE;
}

/* It ended, or so says what anybody may have sent. The entry outlives that by
 * doubt_lifetime, so that a living session speaks first; one that was young,
 * and so must speak soon, by less: what only knocks fills no table. */
static __always_inline int flow_in_doubt(const struct flow *f)
{
	__u32 state = flow_state(f);

	return f->status & STATUS_DOUBTS && (state == FLOW_HALF_CLOSED || state == FLOW_CLOSED);
}

/* Past its lifetime an entry counts as absent, so correctness never waits for
 * a sweep. An answer's entry has no lifetime of its own: it owns a source port
 * and must outlive the entry it belongs to. */
static __always_inline int flow_expired(const struct flow *f, __u32 tick)
{
	__u32 state = flow_state(f), limit;

	if (flow_is_reverse(f) || state >= FLOW_STATES)
		return 0;
	if (state == FLOW_YOUNG && f->status & STATUS_ADVANCED)
		state = FLOW_ESTABLISHED;
	limit = lifetime[state];
	if (flow_in_doubt(f))
		limit = f->seen - f->opened < lifetime[FLOW_HALF_CLOSED] ? lifetime[FLOW_HALF_CLOSED] : doubt_lifetime;
	return (__s32)(tick - f->seen) > (__s32)limit;
}

static __always_inline int flow_has_key(const struct flow *f, const struct flow_key *key)
{
	return f->owner == key->owner && f->port == key->port && addr_equal(&f->addr, &key->addr);
}

static __always_inline struct flow *flow_line(__u64 hash, __u32 way)
{
	__u32 line = hash_line(hash) ^ way;

	return bpf_map_lookup_elem(&flows, &line);
}

/* The entry of key, or NULL. It may be past its lifetime. */
static __always_inline struct flow *flow_find(const struct flow_key *key, __u64 hash)
{
	__u32 tag = hash_tag(hash), way;
	struct flow *f;

#pragma unroll
	for (way = 0; way < FLOW_WAYS; way++) {
		f = flow_line(hash, way);
		if (f && f->word == tag && flow_has_key(f, key))
			return f;
	}
	return bpf_map_lookup_elem(&flows_overflow, key);
}

/* Counts the end of a flow once, whoever notices it. Atomic: the sweep calls
 * this in process context. 1 = it was counted now. */
static __always_inline int flow_tally_closed(struct flow *f)
{
	struct member_counters *c;

	if (flow_is_reverse(f))
		return 0;
	if (__sync_fetch_and_or(&f->status, STATUS_COUNTED_CLOSED) & STATUS_COUNTED_CLOSED)
		return 0;
	c = member_count(f->member);
	if (c)
		__sync_fetch_and_add(&c->flows_closed, 1);
	source_closed(&f->addr);
	return 1;
}

/* The same, and tells of it. */
__noinline int flow_count_closed(struct flow *f, __u32 service)
{
	if (!f || !flow_tally_closed(f))
		return 0;
	event_of(EVENT_CLOSED, service, f);
	return 1;
}

/* Takes back that a flow was counted closed. */
static __always_inline int flow_tally_revived(struct flow *f)
{
	struct member_counters *c;

	if (flow_is_reverse(f))
		return 0;
	if (!(__sync_fetch_and_and(&f->status, ~STATUS_COUNTED_CLOSED) & STATUS_COUNTED_CLOSED))
		return 0;
	c = member_count(f->member);
	if (c)
		__sync_fetch_and_add(&c->flows_revived, 1);
	source_opened(&f->addr);
	return 1;
}

__noinline int flow_count_revived(struct flow *f, __u32 service)
{
	if (!f || !flow_tally_revived(f))
		return 0;
	event_of(EVENT_REVIVED, service, f);
	return 1;
}

/* Tells that another gateway can go on with the flow by what its entry says. */
__noinline int flow_tell_settled(const struct flow *f)
{
	if (!f)
		return 0;
	event_of(EVENT_SETTLED, f->owner, f);
	return 1;
}

static __always_inline int flow_claim(struct flow *f, __u32 word)
{
	return __sync_val_compare_and_swap(&f->word, word, LINE_BUSY) == word;
}

/* A store that no earlier one passes: the line is complete when it is seen. */
static __always_inline void flow_publish(struct flow *f, __u32 word)
{
	__sync_lock_test_and_set(&f->word, word);
}

/* Takes the first free line, else one past its lifetime, else a young one:
 * a handshake seen from one side only never displaces a proven flow. */
static __always_inline struct flow *flow_take_line(__u64 hash, __u32 tick)
{
	struct service_counters *c;
	struct flow *f;
	__u32 way, word;

	for (way = 0; way < FLOW_WAYS; way++) {
		f = flow_line(hash, way);
		if (f && f->word == LINE_FREE && flow_claim(f, LINE_FREE))
			return f;
	}
	for (way = 0; way < FLOW_WAYS; way++) {
		f = flow_line(hash, way);
		if (!f)
			continue;
		word = f->word;
		if (!(word & LINE_LIVE) || !flow_expired(f, tick) || !flow_claim(f, word))
			continue;
		flow_count_closed(f, f->owner);
		return f;
	}
	for (way = 0; way < FLOW_WAYS; way++) {
		f = flow_line(hash, way);
		if (!f)
			continue;
		word = f->word;
		if (!(word & LINE_LIVE) || flow_state(f) != FLOW_YOUNG || !flow_claim(f, word))
			continue;
		flow_count_closed(f, f->owner);
		c = service_count(f->owner);
		if (c)
			__sync_fetch_and_add(&c->flows_unprotected, 1); /* admit runs in process context */
		return f;
	}
	return NULL;
}

static __always_inline void flow_fill(struct flow *f, const struct flow_key *key, const struct flow *from)
{
	f->owner = key->owner;
	f->addr = key->addr;
	f->port = key->port;
	f->peer = from->peer;
	f->peer_port = from->peer_port;
	f->member = from->member;
	f->isn_low = from->isn_low;
	f->seen = from->seen;
	f->opened = from->opened;
	f->sequence = from->sequence;
	f->status = from->status;
}

/* Inserts or replaces the entry of key with what from says beside the key.
 * 0 = no room anywhere. */
__noinline int flow_put(const struct flow_key *key, __u64 hash, struct flow *from)
{
	__u32 tag = hash_tag(hash);
	struct flow *f;

	if (!key || !from)
		return 0;
	f = flow_find(key, hash);
	if (f && f->word == tag && flow_claim(f, tag)) {
		flow_count_closed(f, f->owner);
		flow_fill(f, key, from);
		flow_publish(f, tag);
		return 1;
	}
	f = flow_take_line(hash, from->seen);
	if (f) {
		flow_fill(f, key, from);
		flow_publish(f, tag);
		return 1;
	}
	from->word = tag;
	from->owner = key->owner;
	from->addr = key->addr;
	from->port = key->port;
	return bpf_map_update_elem(&flows_overflow, key, from, BPF_ANY) == 0;
}

/* 0 = lost to a concurrent change: the next packet tries again. */
static __always_inline int flow_set_state(struct flow *f, __u32 state)
{
	__u32 old = f->status;

	return __sync_val_compare_and_swap(&f->status, old, (old & ~STATUS_STATE_MASK) | state) == old;
}
