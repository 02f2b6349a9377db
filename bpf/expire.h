/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sweep's hand: user space finds candidates in the mapped table, these
 * programs look again, remove and count in one step. Run in process context,
 * a bounded batch at a time.
 */
#pragma once

#include "flow.h"
#include "follow.h"
#include "handshake.h"

/* Programs of this type have no coarse clock. */
static __always_inline __u32 sweep_tick(void)
{
	return bpf_ktime_get_ns() >> TICK_SHIFT;
}

/* An answer's entry is dead when the entry it belongs to is gone. */
static __always_inline int expire_orphaned(const struct flow *f, __u32 tick)
{
	struct service *svc;
	struct flow_key key;
	struct flow *forward;
	__u32 service, member = f->member;
	struct member *m = bpf_map_lookup_elem(&members, &member);

	if (!m)
		return 1;
	service = m->service;
	svc = bpf_map_lookup_elem(&services, &service);
	if (!svc)
		return 1;
	service_key(&key, service, &f->peer, f->peer_port);
	forward = flow_find(&key, flow_hash(&key.addr, key.port, svc->salt));
	if (!forward || flow_expired(forward, tick))
		return 1;
	/* The client came back by another source port. */
	return forward->peer_port != f->port || !addr_equal(&forward->peer, &f->addr);
}

static __always_inline int expire_due(const struct flow *f, __u32 tick)
{
	return flow_is_reverse(f) ? expire_orphaned(f, tick) : flow_expired(f, tick);
}

/* A half-closed flow in doubt counts as closed when it would be so beyond
 * doubt; only its entry stays. */
static __always_inline void expire_doubted(struct flow *f, __u32 tick)
{
	if (flow_is_reverse(f) || !flow_in_doubt(f) || flow_state(f) != FLOW_HALF_CLOSED)
		return;
	if ((__s32)(tick - f->seen) > (__s32)lifetime[FLOW_HALF_CLOSED])
		flow_count_closed(f, f->owner);
}

__noinline int expire_line(struct flow *f, __u32 word, __u32 tick)
{
	if (!f)
		return 0;
	if (f->word == word && word & LINE_LIVE)
		expire_doubted(f, tick);
	if (f->word != word || !(word & LINE_LIVE) || !expire_due(f, tick) || !flow_claim(f, word))
		return 0;
	/* Between the look and the claim the flow may have been used again. */
	if (!flow_is_reverse(f) && !flow_expired(f, tick)) {
		flow_publish(f, word);
		return 0;
	}
	flow_count_closed(f, f->owner);
	flow_publish(f, LINE_FREE);
	return 1;
}

static __always_inline int kill_status(struct flow *f)
{
	__u32 old = f->status;

	if ((old & STATUS_STATE_MASK) == FLOW_KILLED)
		return 0;
	return __sync_val_compare_and_swap(&f->status, old, (old & ~STATUS_STATE_MASK) | FLOW_KILLED) == old;
}

/* The backend's packets are to be answered, too. */
static __always_inline void kill_answers(const struct flow *f)
{
	__u32 member = f->member;
	struct member *m = bpf_map_lookup_elem(&members, &member);
	struct flow_key key;
	struct flow *back;

	if (!m || !f->peer_port || flow_is_reverse(f))
		return;
	reverse_key(&key, m->host, &f->peer, f->peer_port);
	back = flow_find(&key, reverse_hash(&key));
	if (back)
		kill_status(back);
}

/* The client's packets must come by the table to be answered. */
static __always_inline void kill_short_way(const struct flow *f)
{
	__u32 service = f->owner;
	struct service *svc = bpf_map_lookup_elem(&services, &service);

	if (svc && !flow_is_reverse(f))
		ring_mark(ring_word(&rings, service, ring_entry(&f->addr, f->port, svc)), RING_PENDING_NEW);
}

__noinline int kill_line(struct flow *f, __u32 word, __u32 tick)
{
	if (!f || f->word != word || flow_state(f) == FLOW_KILLED)
		return 0;
	kill_short_way(f);
	/* Its silence counts from here, or a long one would end it unanswered. */
	f->seen = tick;
	if (!kill_status(f))
		return 0;
	flow_count_closed(f, f->owner);
	kill_answers(f);
	return 1;
}

SEC("syscall")
int expire(void *ctx)
{
	__u32 tick = sweep_tick(), i, line, word, done = 0, zero = 0;
	struct expire_args *args = bpf_map_lookup_elem(&expire_batch, &zero);
	struct flow *f;

	if (!args)
		return 0;
	for (i = 0; i < EXPIRE_BATCH; i++) {
		if (i >= args->count)
			break;
		line = args->lines[i];
		word = args->words[i];
		f = bpf_map_lookup_elem(&flows, &line);
		if (!f)
			continue;
		if (args->verb == EXPIRE_KILL)
			done += kill_line(f, word, tick);
		else
			done += expire_line(f, word, tick);
	}
	args->done = done;
	return 0;
}

/* The same for the overflow table, by key. */
SEC("syscall")
int expire_overflow(void *ctx)
{
	__u32 tick = sweep_tick(), i, done = 0, zero = 0;
	struct expire_keys *args = bpf_map_lookup_elem(&expire_key_batch, &zero);
	struct flow_key key;
	struct flow *f;

	if (!args)
		return 0;
	for (i = 0; i < EXPIRE_KEYS; i++) {
		if (i >= args->count)
			break;
		key = args->keys[i];
		f = bpf_map_lookup_elem(&flows_overflow, &key);
		if (!f)
			continue;
		if (args->verb == EXPIRE_KILL) {
			done += kill_line(f, f->word, tick);
			continue;
		}
		expire_doubted(f, tick);
		if (!expire_due(f, tick))
			continue;
		flow_count_closed(f, f->owner);
		done += !bpf_map_delete_elem(&flows_overflow, &key);
	}
	args->done = done;
	return 0;
}
