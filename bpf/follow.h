/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Following an established flow: what its packets make of its entry.
 *
 * A FIN or RST may be anybody's: its numbers prove little, and in one-way modes,
 * where living packets pass by the table, nothing. So it is believed, and
 * doubted until the flow itself confirms it: the flow counts as closed, but its
 * entry stays for long, and comes back to life with the next packet of that side
 * that has no place after the end. What confirms a FIN is a packet exactly
 * behind it, such as the ACK of the other side's FIN; nothing confirms a reset.
 *
 * A flow that another gateway saw begin is followed as in one-way modes as long
 * as it lives, also in nat: its numbers went on after they were told, by how much
 * nobody here can know. To take those of its first packet for true would let a
 * forged one choose what is believed later; not to believe any would keep the
 * entry of a flow that ended for days. So its ends are believed and doubted, and
 * a living session takes them back.
 *
 * A side is named by its FIN bit.
 */
#pragma once

#include "flow.h"

#define FOLLOW_TRIES 4 /* changes of a status word that others change, too */

/* For how many ticks after a reset what was sent before it may arrive. */
#define REORDER_TICKS 2

static __always_inline __u32 side_doubt(__u32 side)
{
	return side << STATUS_DOUBT_SHIFT;
}

/* Whether numbers stand near enough to what this side sent to be its own. */
static __always_inline int believed(const struct packet *p, const struct flow *f)
{
	return p->seq + p->payload - f->sequence + SEQUENCE_WINDOW < 2 * SEQUENCE_WINDOW;
}

static __always_inline int numbers_prove_nothing(const struct flow *f, int one_way)
{
	return one_way || f->status & STATUS_ADOPTED;
}

static __always_inline void flow_see(const struct packet *p, struct flow *f)
{
	if (f->seen != p->tick)
		f->seen = p->tick;
}

/* Notes that one side sent up to end. */
static __always_inline void flow_progress(struct flow *f, __u32 tick, __u32 end)
{
	if (f->seen != tick)
		f->seen = tick;
	if (end != f->sequence && end - f->sequence < SEQUENCE_WINDOW)
		f->sequence = end;
}

/* The status that follows from what both sides did; alive is the state where
 * neither ended. Killed is for good. */
static __always_inline __u32 status_settled(__u32 status, __u32 alive)
{
	__u32 fins = status & STATUS_FINS, resets;

	if ((status & STATUS_STATE_MASK) == FLOW_KILLED)
		return status;
	/* Both ended, one of them beyond doubt: so did the flow. */
	if (status & STATUS_RESET || (fins == STATUS_FINS && (status & STATUS_DOUBTS) != STATUS_DOUBTS))
		status &= ~STATUS_DOUBTS;
	resets = status >> STATUS_DOUBT_SHIFT & STATUS_FINS & ~fins;
	if (status & STATUS_RESET || resets || fins == STATUS_FINS)
		alive = FLOW_CLOSED;
	else if (fins)
		alive = FLOW_HALF_CLOSED;
	return (status & ~STATUS_STATE_MASK) | alive;
}

/* What a FIN or RST of one side makes of status. */
static __always_inline __u32 status_ended(const struct packet *p, __u32 status, __u32 side)
{
	if ((status & STATUS_STATE_MASK) >= FLOW_CLOSED)
		return status;
	if (p->flags & TCP_RST) {
		if ((status & (side | side_doubt(side))) == side)
			status |= STATUS_RESET;
		else
			status = (status & ~side) | side_doubt(side);
	} else if (!(status & side)) {
		status |= side | side_doubt(side);
	}
	return status_settled(status, status & STATUS_STATE_MASK);
}

static __always_inline int flow_end(const struct packet *p, struct flow *f, __u32 side)
{
	__u32 was, is, i;

	for (i = 0; i < FOLLOW_TRIES; i++) {
		was = f->status;
		is = status_ended(p, was, side);
		/* A FIN again, perhaps the true one after a forged one. */
		if (is == was && (!(was & side_doubt(side)) || p->flags & TCP_RST || !(was & side)))
			return 0;
		f->sequence = p->seq + p->payload + !!(p->flags & TCP_FIN);
		flow_see(p, f);
		if (is == was)
			return 0;
		if (__sync_val_compare_and_swap(&f->status, was, is) == was)
			return 1;
	}
	return 0;
}

/* What a packet without FIN and RST says of the end of its side. */
enum evidence {
	EVIDENCE_NONE,
	EVIDENCE_OF_END,
	EVIDENCE_OF_LIFE,
};

static __always_inline enum evidence evidence(const struct packet *p, const struct flow *f, __u32 side, int any)
{
	__u32 behind = f->sequence - (p->seq + p->payload);

	if (p->flags & TCP_SYN || (!any && !believed(p, f)))
		return EVIDENCE_NONE;
	if (f->status & side) {
		if (!behind)
			return EVIDENCE_OF_END;
		/* Perhaps what was lost before the FIN. */
		return behind < SEQUENCE_WINDOW ? EVIDENCE_NONE : EVIDENCE_OF_LIFE;
	}
	if (behind < SEQUENCE_WINDOW && p->tick - f->seen <= REORDER_TICKS)
		return EVIDENCE_NONE;
	return EVIDENCE_OF_LIFE;
}

/* A young flow is proven by data and by going on after young_proof. */
static __always_inline int flow_proven(const struct packet *p, const struct flow *f)
{
	return f->status & STATUS_ADVANCED && p->tick - f->opened >= young_proof;
}

static __always_inline int flow_weigh(const struct packet *p, struct flow *f, __u32 side, int one_way)
{
	enum evidence e = evidence(p, f, side, numbers_prove_nothing(f, one_way));
	/* What was not proven before is not proven by an end. */
	__u32 alive = one_way && !flow_proven(p, f) ? FLOW_YOUNG : FLOW_ESTABLISHED;
	__u32 was, is, gone, i;

	if (f->status & side)
		flow_see(p, f);
	if (e == EVIDENCE_NONE)
		return 0;
	gone = e == EVIDENCE_OF_END ? side_doubt(side) : side | side_doubt(side);
	for (i = 0; i < FOLLOW_TRIES; i++) {
		was = f->status;
		is = status_settled(was & ~gone, alive);
		if (is == was)
			return 0;
		if (__sync_val_compare_and_swap(&f->status, was, is) != was)
			continue;
		f->sequence = p->seq + p->payload;
		flow_see(p, f);
		return 1;
	}
	return 0;
}

/* Follows a packet of one side. 1 = the status changed. */
static __always_inline int flow_follow(const struct packet *p, struct flow *f, __u32 side, int one_way)
{
	if (p->flags & (TCP_FIN | TCP_RST))
		return numbers_prove_nothing(f, one_way) || believed(p, f) ? flow_end(p, f, side) : 0;
	if (f->status & side_doubt(side))
		return flow_weigh(p, f, side, one_way);
	flow_progress(f, p->tick, p->seq + p->payload);
	return 0;
}

/* Counts what a change of status came to. */
static __always_inline void flow_count_change(struct flow *f, __u32 service)
{
	if (flow_state(f) == FLOW_CLOSED)
		flow_count_closed(f, service);
	else if (flow_state(f) < FLOW_CLOSED && f->status & STATUS_COUNTED_CLOSED)
		flow_count_revived(f, service);
}

static __always_inline void flow_prove(const struct packet *p, struct flow *f)
{
	if (flow_state(f) != FLOW_YOUNG)
		return;
	if (p->payload && !(f->status & STATUS_ADVANCED))
		__sync_fetch_and_or(&f->status, STATUS_ADVANCED);
	if (flow_proven(p, f) && flow_set_state(f, FLOW_ESTABLISHED))
		flow_tell_settled(f);
}

/* Carries what one side did, as its own direction's entry has it, over to the
 * other's. The other CPU may have seen the other side's end already, or the
 * operator may have killed the flow. */
__noinline int follow_counterpart(const struct flow_key *key, __u64 hash, __u32 status, __u32 side, __u32 service)
{
	__u32 bits = side | side_doubt(side), was, is, i;
	struct flow *f;

	if (!key)
		return 0;
	f = flow_find(key, hash);
	if (!f)
		return 0;
	for (i = 0; i < FOLLOW_TRIES; i++) {
		was = f->status;
		is = status_settled((was & ~bits) | (status & (bits | STATUS_RESET)), FLOW_ESTABLISHED);
		if (__sync_val_compare_and_swap(&f->status, was, is) == was)
			break;
	}
	flow_count_change(f, service);
	return 1;
}
