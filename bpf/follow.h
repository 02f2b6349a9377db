/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Following an established flow: what its packets make of its entry. */
#pragma once

#include "flow.h"

/* Whether a FIN or RST stands near enough to what this side sent to be its
 * own: a blind sender would end flows it cannot see. */
static __always_inline int believed(const struct packet *p, const struct flow *f)
{
	return p->seq + p->payload - f->sequence + SEQUENCE_WINDOW < 2 * SEQUENCE_WINDOW;
}

static __always_inline void flow_touch(const struct packet *p, struct flow *f)
{
	__u32 end = p->seq + p->payload;

	if (f->seen != p->tick)
		f->seen = p->tick;
	if (end != f->sequence && end - f->sequence < SEQUENCE_WINDOW)
		f->sequence = end;
}

/* What a FIN or RST of one side makes of status. */
static __always_inline __u32 status_after(const struct packet *p, __u32 status, __u32 fin)
{
	__u32 both = STATUS_FIN_CLIENT | STATUS_FIN_BACKEND, state = FLOW_HALF_CLOSED;

	if ((status & STATUS_STATE_MASK) >= FLOW_CLOSED)
		return status;
	if (p->flags & TCP_RST)
		return (status & ~STATUS_STATE_MASK) | FLOW_CLOSED;
	status |= fin;
	if ((status & both) == both)
		state = FLOW_CLOSED;
	return (status & ~STATUS_STATE_MASK) | state;
}

/* Follows FIN and RST. fin is the bit of the side that sent it. 1 = the state
 * changed. */
static __always_inline int flow_follow(const struct packet *p, struct flow *f, __u32 fin)
{
	__u32 was = f->status, is;

	if (!(p->flags & (TCP_FIN | TCP_RST)) || !believed(p, f))
		return 0;
	is = status_after(p, was, fin);
	return is != was && __sync_val_compare_and_swap(&f->status, was, is) == was;
}

/* A young flow is proven by data and by going on after young_proof. */
static __always_inline void flow_prove(const struct packet *p, struct flow *f)
{
	if (flow_state(f) != FLOW_YOUNG)
		return;
	if (p->payload && !(f->status & STATUS_ADVANCED))
		__sync_fetch_and_or(&f->status, STATUS_ADVANCED);
	if (f->status & STATUS_ADVANCED && p->tick - f->opened >= young_proof)
		flow_set_state(f, FLOW_ESTABLISHED);
}

/* What both directions' entries have seen. A state never goes back: the other
 * CPU may have seen the end already, or the operator may have. */
static __always_inline __u32 status_merged(__u32 status, __u32 other)
{
	__u32 both = STATUS_FIN_CLIENT | STATUS_FIN_BACKEND, fins = (status | other) & both;
	__u32 state = status & STATUS_STATE_MASK;

	if (state < (other & STATUS_STATE_MASK))
		state = other & STATUS_STATE_MASK;
	if (fins == both && state < FLOW_CLOSED)
		state = FLOW_CLOSED;
	return (status & ~STATUS_STATE_MASK) | fins | state;
}

/* Carries a change of one direction's entry over to the other's. */
__noinline int follow_counterpart(const struct flow_key *key, __u64 hash, __u32 status, __u32 service)
{
	struct flow *f;
	__u32 was, is;

	if (!key)
		return 0;
	f = flow_find(key, hash);
	if (!f)
		return 0;
	was = f->status;
	is = status_merged(was, status);
	__sync_val_compare_and_swap(&f->status, was, is);
	if ((is & STATUS_STATE_MASK) == FLOW_CLOSED)
		flow_count_closed(f, service);
	return 1;
}
